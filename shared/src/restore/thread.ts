import type { MessagePort } from 'node:worker_threads';
import { AliquotError } from '@aliquot/proto';
import { errnoOf } from '../durable/system-errors.ts';
import type { FetchedItem } from './arrivals.ts';
import { giveHelp, ThreadHelper } from './content-help.ts';
import { unpackOrder } from './file-order.ts';
import { addSummaries, type OrdersRequest, restoreOrders } from './orders.ts';
import { itemsByPort, SourceFailed } from './port-items.ts';
import { RowsProof, type ThreadOrder } from './rows-proof.ts';
import type { FromThread, ToldError, ToThread } from './thread-messages.ts';

/** Progress is told again after so many bytes, or so many files. */
const TOLD_BYTES = 1024 * 1024;
const TOLD_FILES = 256;

/** The restore has failed elsewhere. */
class Stopped extends Error {}

/** What a thread fetches from and writes to. */
export type ThreadRequest = Omit<OrdersRequest, 'onProgress' | 'onFailure' | 'helper'>;

/**
 * What a thread of restores does: it takes whole files from the main thread, fetches their items
 * itself, or through the main thread, and proves and writes them. `requestOf` makes of what the
 * main thread begins a restore with where that goes.
 */
export async function runRestoreThread<Begin>(
  port: MessagePort,
  requestOf: (begin: Begin, fetchItems: OrdersRequest['fetchItems'] | undefined) => ThreadRequest,
): Promise<void> {
  const inbox = new Inbox<Begin>(port);
  for (;;) {
    const { begin, asks, gives, items } = await inbox.begun();
    const request = requestOf(begin, items && itemsByPort(items));
    if (gives !== undefined) giveHelp(gives, request);
    const helper = asks === undefined ? undefined : new ThreadHelper(asks);
    await restoreOnce(port, inbox, { ...request, helper });
    asks?.close();
    items?.close();
  }
}

async function restoreOnce<Begin>(
  port: MessagePort,
  inbox: Inbox<Begin>,
  request: OrdersRequest,
): Promise<void> {
  const tell = (message: FromThread): void => port.postMessage(message);
  let [bytesTold, filesTold] = [0, 0];
  const progress = { files: { files: 0, bytes: 0 }, rows: { files: 0, bytes: 0 } };
  const progressOf = (which: keyof typeof progress): NonNullable<OrdersRequest['onProgress']> => {
    return ({ files, bytes, path }) => {
      progress[which] = { files, bytes };
      const [allFiles, allBytes] = [
        progress.files.files + progress.rows.files,
        progress.files.bytes + progress.rows.bytes,
      ];
      if (allBytes - bytesTold < TOLD_BYTES && allFiles - filesTold < TOLD_FILES) return;
      [bytesTold, filesTold] = [allBytes, allFiles];
      tell({ type: 'progress', files: allFiles, bytes: allBytes, path: textOf(path) });
    };
  };
  const shared: OrdersRequest = {
    ...request,
    fetchItems: (ids) => inbox.unlessStopped(request.fetchItems(ids)),
    onFailure: (path, error) => tell({ type: 'failure', path: textOf(path), error: toldOf(error) }),
  };
  const rows = new RowsProof({
    ...shared,
    onProgress: progressOf('rows'),
    onUnopened: (of, versions, error) =>
      tell({ type: 'unopened', of, versions, error: toldOf(error) }),
  });
  try {
    const files = await restoreOrders(rows.filesOf(inbox.orders()), {
      ...shared,
      onProgress: progressOf('files'),
    });
    const summary = addSummaries(files, rows.counts);
    tell({ type: 'done', summary });
  } catch (error) {
    if (error instanceof AliquotError) tell({ type: 'ended', fatal: toldOf(error) });
    else if (error instanceof Stopped || error instanceof SourceFailed)
      tell({ type: 'ended', fatal: undefined });
    // A fault of ours: it ends the thread, and the program.
    else throw error;
  }
}

function textOf(path: Uint8Array): string {
  return Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString('latin1');
}

function toldOf({ code, message, cause }: AliquotError): ToldError {
  return { code, message, errno: errnoOf(cause) };
}

type BeginMessage<Begin> = Extract<ToThread<Begin>, { type: 'begin' }>;

/** What came from the main thread and was not taken yet. */
class Inbox<Begin> {
  readonly #port: MessagePort;
  #waiting: ToThread<Begin>[] = [];
  #isStopped = false;
  #wake: () => void = () => undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: ToThread<Begin>) => {
      if (message.type === 'stop') this.#isStopped = true;
      this.#waiting.push(message);
      this.#wake();
    });
  }

  /** What the next restore begins with; what is left of the one before concerns nobody. */
  async begun(): Promise<BeginMessage<Begin>> {
    for (;;) {
      const message = await this.#next();
      if (message.type !== 'begin') continue;
      this.#isStopped = false;
      return message;
    }
  }

  async *orders(): AsyncGenerator<ThreadOrder> {
    for (;;) {
      this.#port.postMessage({ type: 'more' } satisfies FromThread);
      const message = await this.#next();
      if (message.type === 'stop') throw new Stopped();
      if (message.type === 'rows') yield message.rows;
      else if (message.type === 'order') yield unpackOrder(message.files);
      else return;
    }
  }

  async *unlessStopped(items: AsyncIterable<FetchedItem>): AsyncGenerator<FetchedItem> {
    for await (const item of items) {
      if (this.#isStopped) throw new Stopped();
      yield item;
    }
  }

  async #next(): Promise<ToThread<Begin>> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
