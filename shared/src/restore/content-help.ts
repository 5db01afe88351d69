import type { MessagePort } from 'node:worker_threads';
import { AliquotError, asChunkId, type ChunkId, type Ref, type VaultId } from '@aliquot/proto';
import { Arrivals, type FetchedItem } from './arrivals.ts';
import { type FetchAgain, ItemOpener } from './open-items.ts';
import type { ContentStep } from './plan.ts';

/** Plaintexts that somebody else fetches and opens. */
export interface HelpedContent {
  /** That of one of the steps; `undefined` when it could not be had. Asked for once, in order. */
  plain(index: number): Promise<Uint8Array | undefined>;
}

/** Who fetches and opens a part of a large file meanwhile. */
export interface ContentHelper {
  open(steps: readonly Pick<ContentStep, 'ref' | 'key' | 'piece'>[]): HelpedContent;
}

/** Chunks to be opened by another thread: bytes go as latin1 text, as in a `FileOrder`. */
interface HelpAsked {
  readonly question: number;
  readonly ids: readonly string[];
  readonly keys: readonly string[];
  readonly plainSizes: readonly number[];
  readonly pieces: readonly number[];
}

interface HelpGiven {
  readonly question: number;
  readonly plain: Uint8Array | undefined;
}

/** Less than this is copied sooner than it is handed over, and is perhaps a part of a pool. */
const OWN_FROM_BYTES = 64 * 1024;

/** Asks another thread, which runs `giveHelp` at the other end of the port. */
export class ThreadHelper implements ContentHelper {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, PromiseWithResolvers<Uint8Array | undefined>[]>();
  #questions = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', ({ question, plain }: HelpGiven) => {
      const waiting = this.#waiting.get(question);
      waiting?.shift()?.resolve(plain);
      if (waiting?.length === 0) this.#waiting.delete(question);
    });
  }

  open(steps: Parameters<ContentHelper['open']>[0]): HelpedContent {
    const question = ++this.#questions;
    const answers = steps.map(() => Promise.withResolvers<Uint8Array | undefined>());
    this.#waiting.set(question, [...answers]);
    this.#port.postMessage({
      question,
      ids: steps.map(({ ref }) => text(ref.id)),
      keys: steps.map(({ key }) => text(key)),
      plainSizes: steps.map(({ ref }) => ref.plainSize),
      pieces: steps.map(({ piece }) => piece),
    } satisfies HelpAsked);
    return { plain: (index) => answers[index]?.promise ?? Promise.resolve(undefined) };
  }
}

/** Where help comes from: as in `OrdersRequest`. */
interface HelpSource {
  readonly vaultId: VaultId;
  fetchItems(ids: readonly ChunkId[]): AsyncIterable<FetchedItem>;
  readonly fetchAgain?: FetchAgain | undefined;
}

/**
 * Fetches and opens what another thread asks for. What cannot be had it is told so of, and tries by
 * itself: the error is then its own.
 */
export function giveHelp(port: MessagePort, { vaultId, fetchItems, fetchAgain }: HelpSource): void {
  port.on('message', async ({ question, ids, keys, plainSizes, pieces }: HelpAsked) => {
    const refs = ids.map((id, at): Ref => {
      return { id: asChunkId(bytes(id)), plainSize: plainSizes[at] ?? 0, epoch: 0 };
    });
    const opener = new ItemOpener(vaultId, fetchAgain);
    const arrivals = new Arrivals(
      refs.map(({ id }) => id),
      fetchItems(refs.map(({ id }) => id)),
    );
    for (const [at, ref] of refs.entries()) {
      const step = { ref, key: bytes(keys[at] ?? ''), piece: pieces[at] ?? 0 };
      const plain = await arrivals
        .item(at)
        .then((sealed) => (sealed === undefined ? undefined : opener.open(step, sealed)))
        .catch((error: unknown) => {
          if (!(error instanceof AliquotError)) throw error;
          return undefined;
        });
      hand(port, question, plain);
    }
    arrivals.drop();
  });
}

function hand(port: MessagePort, question: number, plain: Uint8Array | undefined): void {
  const isOwn =
    plain !== undefined &&
    plain.length >= OWN_FROM_BYTES &&
    plain.buffer instanceof ArrayBuffer &&
    plain.buffer.byteLength - plain.length <= OWN_FROM_BYTES;
  // A slice has memory of its own.
  const whole = isOwn || plain === undefined ? plain : Uint8Array.prototype.slice.call(plain);
  const transfer = whole === undefined ? [] : [whole.buffer as ArrayBuffer];
  port.postMessage({ question, plain: whole } satisfies HelpGiven, transfer);
}

function text(from: Uint8Array): string {
  return Buffer.from(from.buffer, from.byteOffset, from.byteLength).toString('latin1');
}

function bytes(from: string): Buffer {
  return Buffer.from(from, 'latin1');
}
