import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { concat } from '@aliquot/shared/crypto/bytes';
import { systemClock } from '@aliquot/shared/ports';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import type { Found } from '../source/walk.ts';
import { systemSource } from '../source/windows-source.ts';
import { Comparisons } from './compare-worker.ts';
import { LocalHost, lookAt, walkBatches } from './host.ts';
import { unpackJobs } from './job-packing.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { packFound, packWindow } from './packing.ts';
import type { CaptureExchange, CaptureWindow } from './window.ts';

/**
 * The capture worker: looks, reads, cuts and seals, so that the main thread only moves buffers. See
 * `worker-host.ts`.
 */

if (parentPort === null) throw new Error('this file runs as a worker only');
const port = parentPort;
const { keys, own } = workerData as WorkerStart;
const source = await systemSource(own);
const host = new LocalHost(source, keys, systemClock, (ms) => pause(ms));
const walks = new Map<number, Iterator<readonly Found[], void, void>>();
const comparisons = new Comparisons(source);
const exchanges = new Map<number, RemoteExchange>();

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

/** The main thread's cache and queue, as seen from here. */
class RemoteExchange implements CaptureExchange {
  readonly #id: number;
  readonly lookups: {
    resolve: (hits: readonly (CachedChunk | undefined)[]) => void;
    reject: (error: Error) => void;
  }[] = [];
  readonly windows: {
    resolve: (refused: readonly number[]) => void;
    reject: (error: Error) => void;
  }[] = [];

  constructor(id: number) {
    this.#id = id;
  }

  lookup(indexes: readonly Uint8Array[]): Promise<readonly (CachedChunk | undefined)[]> {
    return new Promise((resolve, reject) => {
      this.lookups.push({ resolve, reject });
      send({ type: 'lookup', id: this.#id, indexes: concat(...indexes) });
    });
  }

  deliver(window: CaptureWindow): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      this.windows.push({ resolve, reject });
      const { packed, transfer } = packWindow(window);
      send({ type: 'window', id: this.#id, window: packed }, transfer);
    });
  }

  stop(): void {
    const error = new Error('the main thread could not take what was captured');
    for (const { reject } of [...this.lookups.splice(0), ...this.windows.splice(0)]) reject(error);
  }
}

function answerWalk(id: number): void {
  const walk = walks.get(id);
  // An empty answer would read as a folder in which nothing is left.
  if (walk === undefined) throw new Error(`there is no walk ${id}`);
  const step = walk.next();
  if (step.done === true) walks.delete(id);
  const batch = packFound(step.done === true ? [] : step.value);
  send({ type: 'found', id, batch, last: step.done === true }, [batch.numbers]);
}

async function capture(
  id: number,
  jobs: Extract<ToWorker, { type: 'capture' }>['jobs'],
): Promise<void> {
  const exchange = new RemoteExchange(id);
  exchanges.set(id, exchange);
  try {
    await host.capture(unpackJobs(jobs), exchange);
    send({ type: 'captured', id });
  } catch (error) {
    // Any error: the main thread throws it.
    send({ type: 'failed', id, message: error instanceof Error ? error.message : String(error) });
  } finally {
    exchanges.delete(id);
  }
}

function handle(message: ToWorker): void {
  switch (message.type) {
    case 'walk':
      walks.set(message.id, walkBatches(source, message.request));
      answerWalk(message.id);
      break;
    case 'next':
      answerWalk(message.id);
      break;
    case 'endWalk':
      walks.delete(message.id);
      break;
    case 'compare':
    case 'compareOn':
    case 'endCompare': {
      const answered = comparisons.handle(message);
      if (answered !== undefined) send(answered.answer, answered.transfer);
      break;
    }
    case 'look':
      send({ type: 'seen', id: message.id, stat: lookAt(source, message.path) });
      break;
    case 'capture':
      void capture(message.id, message.jobs);
      break;
    case 'hits':
      exchanges.get(message.id)?.lookups.shift()?.resolve(message.hits);
      break;
    case 'taken':
      exchanges.get(message.id)?.windows.shift()?.resolve(message.refused);
      break;
    case 'stop':
      exchanges.get(message.id)?.stop();
      break;
  }
}

port.on('message', (message: ToWorker) => {
  try {
    handle(message);
    // Nobody knows when the next question comes; what is read meanwhile holds its folder again.
    source.rest?.();
  } catch (error) {
    // Any error: the main thread throws it.
    send({
      type: 'failed',
      id: message.id,
      message: error instanceof Error ? error.message : String(error),
    });
  }
});
