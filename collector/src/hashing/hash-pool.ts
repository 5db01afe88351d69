import { availableParallelism } from 'node:os';
import { type Hashed, type Hasher, hashHere, type Span } from '@aliquot/shared/hashing/hasher';
import { ThreadPool } from '@aliquot/shared/threads/thread-pool';

export interface HashJob {
  readonly buffer: ArrayBuffer;
  /** Offset and length in `buffer`, one after the other. */
  readonly spans: Uint32Array;
}

export interface HashAnswer {
  readonly buffer: ArrayBuffer;
  readonly digests: Uint8Array;
}

/** Below this, handing a buffer over and back (some 40 µs) costs more than hashing it. */
const LEAST_BYTES = 128 * 1024;
/** What a buffer may hold beside the bytes that are asked about: it is handed over whole. */
const MOST_BESIDE_BYTES = 1024 * 1024;
/** More threads than this hash faster than any disk or line brings bytes. */
const MOST_THREADS = 4;

/**
 * SHA-256 in worker threads. Buffers are handed over and come back without a copy; small ones, and
 * those that others may have views of (Node's pool), are hashed on the spot.
 */
export class HashPool implements Hasher {
  readonly #threads: ThreadPool<HashJob, HashAnswer>;

  /** `threads`: at most so many. One core is left to the thread that calls. */
  constructor(threads: number = Math.min(MOST_THREADS, Math.max(1, availableParallelism() - 1))) {
    const source = import.meta.url.endsWith('.ts');
    const script = new URL(source ? './hash-worker.ts' : './hash-worker.js', import.meta.url);
    this.#threads = new ThreadPool({ script, name: 'hash', threads });
  }

  /** Rejects only when a thread dies: its bytes are lost then. */
  async hash(bytes: Uint8Array, spans: readonly Span[]): Promise<Hashed> {
    const { buffer, byteOffset, byteLength } = bytes;
    const own =
      buffer instanceof ArrayBuffer && buffer.byteLength - byteLength <= MOST_BESIDE_BYTES;
    if (byteLength < LEAST_BYTES || !own) return hashHere(bytes, spans);
    const places = new Uint32Array(spans.length * 2);
    for (const [index, { offset, length }] of spans.entries())
      places.set([byteOffset + offset, length], index * 2);
    const answer = await this.#threads.ask({ buffer, spans: places }, [buffer]);
    return {
      bytes: new Uint8Array(answer.buffer, byteOffset, byteLength),
      digests: answer.digests,
    };
  }

  /** Ends all threads; what they were asked rejects. */
  close(): Promise<void> {
    return this.#threads.close();
  }
}
