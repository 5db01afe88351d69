import { availableParallelism } from 'node:os';
import type { Ref, VaultId } from '@aliquot/proto';
import { SealError, type SealErrorCode } from '../content/errors.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import {
  type ChunkOpener,
  forTransfer,
  type OpenedPiece,
  openHere,
  type SealedPiece,
} from './opener.ts';

export interface OpenJob {
  readonly vaultId: VaultId;
  readonly refs: readonly Ref[];
  readonly keys: readonly Uint8Array[];
  readonly sealed: readonly Uint8Array[];
}

export interface OpenAnswer {
  readonly plain: readonly Uint8Array[];
  readonly failures: readonly (
    | { readonly code: SealErrorCode | undefined; readonly message: string }
    | undefined
  )[];
}

/** What is opened on the spot before threads are worth their start. */
const ALONE_BYTES = 6 * 1024 * 1024;
/** About so much plaintext goes to a thread at once: little enough that several share a batch. */
const JOB_BYTES = 1024 * 1024;
const MOST_THREADS = 4;

/** Opens chunks in worker threads. Unless they are started before, a small restore needs none. */
export class OpenPool implements ChunkOpener {
  readonly #threads: ThreadPool<OpenJob, OpenAnswer>;
  #opened = 0;

  constructor(threads: number = Math.min(MOST_THREADS, Math.max(1, availableParallelism()))) {
    const source = import.meta.url.endsWith('.ts');
    const script = new URL(source ? './open-worker.ts' : './open-worker.js', import.meta.url);
    this.#threads = new ThreadPool({ script, name: 'open', threads });
  }

  /**
   * Starts the threads now: before a kit is opened, which leaves the other cores idle for half a
   * second.
   */
  start(): void {
    this.#threads.start();
  }

  async open(vaultId: VaultId, pieces: readonly SealedPiece[]): Promise<readonly OpenedPiece[]> {
    const bytes = pieces.reduce((sum, { ref }) => sum + ref.plainSize, 0);
    this.#opened += bytes;
    if (this.#opened <= ALONE_BYTES) return openHere(vaultId, pieces);
    return (await Promise.all([...jobs(pieces)].map((job) => this.#ask(vaultId, job)))).flat();
  }

  close(): Promise<void> {
    return this.#threads.close();
  }

  async #ask(vaultId: VaultId, pieces: readonly SealedPiece[]): Promise<OpenedPiece[]> {
    const { arrays, transfer } = forTransfer(pieces.map(({ sealed }) => sealed));
    const refs = pieces.map(({ ref }) => ref);
    const keys = pieces.map(({ key }) => key.slice());
    const { plain, failures } = await this.#threads.ask(
      { vaultId, refs, keys, sealed: arrays },
      transfer,
    );
    return plain.map((one, index): OpenedPiece => {
      const failure = failures[index];
      if (failure === undefined) return { plain: one };
      return {
        error:
          failure.code === undefined
            ? new Error(failure.message)
            : new SealError(failure.code, failure.message),
      };
    });
  }
}

function* jobs(pieces: readonly SealedPiece[]): Generator<SealedPiece[]> {
  let job: SealedPiece[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    job.push(piece);
    bytes += piece.ref.plainSize;
    if (bytes < JOB_BYTES) continue;
    yield job;
    job = [];
    bytes = 0;
  }
  if (job.length > 0) yield job;
}
