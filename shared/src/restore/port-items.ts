import type { MessagePort } from 'node:worker_threads';
import { asChunkId, type ChunkId } from '@aliquot/proto';
import type { FetchedItem } from './arrivals.ts';

/** Ids that a thread asks for, one behind the other. */
interface ItemsAsked {
  readonly question: number;
  readonly ids: Uint8Array;
}

/** An item by its place in the question; without one the answer has ended. */
interface ItemsGiven {
  readonly question: number;
  readonly item?: { readonly at: number; readonly bytes: Uint8Array };
  /** At the end: the source has failed. */
  readonly isFailed?: boolean;
}

const ID_BYTES = 32;

/** The source, which another thread has, has failed: it is said there why. */
export class SourceFailed extends Error {}

/** One question of which the answer is coming. */
interface Waiting {
  readonly given: ItemsGiven[];
  wake: () => void;
}

/**
 * Fetches by asking another thread, which runs `giveItems` at the other end of the port: for items
 * that come over a session that one thread owns.
 *
 * @returns As `OrdersRequest.fetchItems`; it throws `SourceFailed`.
 */
export function itemsByPort(
  port: MessagePort,
): (ids: readonly ChunkId[]) => AsyncGenerator<FetchedItem> {
  const waiting = new Map<number, Waiting>();
  let questions = 0;
  port.on('message', (given: ItemsGiven) => {
    const one = waiting.get(given.question);
    one?.given.push(given);
    one?.wake();
  });
  // It keeps no thread alive by itself.
  port.unref();
  return async function* (ids) {
    const question = ++questions;
    const one: Waiting = { given: [], wake: () => undefined };
    waiting.set(question, one);
    port.postMessage({ question, ids: Buffer.concat(ids) } satisfies ItemsAsked);
    try {
      for (;;) {
        const next = one.given.shift();
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            one.wake = resolve;
          });
          continue;
        }
        if (next.isFailed === true) throw new SourceFailed();
        if (next.item === undefined) return;
        const id = ids[next.item.at];
        if (id !== undefined) yield { id, bytes: next.item.bytes };
      }
    } finally {
      waiting.delete(question);
    }
  };
}

/** Fetches what another thread asks for by `itemsByPort`. `onError` hears why that failed. */
export function giveItems(
  port: MessagePort,
  fetchItems: (ids: readonly ChunkId[]) => AsyncIterable<FetchedItem>,
  onError: (error: unknown) => void,
): void {
  port.on('message', async ({ question, ids: joined }: ItemsAsked) => {
    const ids = Array.from({ length: joined.length / ID_BYTES }, (_, at) =>
      asChunkId(joined.subarray(at * ID_BYTES, (at + 1) * ID_BYTES)),
    );
    const tell = (given: ItemsGiven, handed: ArrayBuffer[] = []): void =>
      port.postMessage(given, handed);
    try {
      let at = 0;
      for await (const { id, bytes } of fetchItems(ids)) {
        while (at < ids.length && Buffer.compare(ids[at] as ChunkId, id) !== 0) at += 1;
        // A slice has memory of its own.
        const own = Uint8Array.prototype.slice.call(bytes);
        tell({ question, item: { at, bytes: own } }, [own.buffer]);
        at += 1;
      }
      tell({ question });
    } catch (error) {
      onError(error);
      tell({ question, isFailed: true });
    }
  });
}
