import { availableParallelism } from 'node:os';
import {
  type Hashed,
  type Hasher,
  type HashRun,
  hashHere,
  type Span,
} from '@aliquot/shared/hashing/hasher';
import { ThreadPool } from '@aliquot/shared/threads/thread-pool';

export interface HashJob {
  readonly buffers: readonly ArrayBuffer[];
  /** For each buffer: offset and length in it, one after the other. */
  readonly spans: readonly Uint32Array[];
}

/** For each buffer of the question. */
export interface HashAnswer {
  readonly buffers: readonly ArrayBuffer[];
  readonly digests: readonly Uint8Array[];
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
    const [hashed] = await this.hashMany([{ bytes, spans }]);
    return hashed as Hashed;
  }

  /** As `hash`; one thread is given all of them. */
  async hashMany(runs: readonly HashRun[]): Promise<readonly Hashed[]> {
    const away = runs.flatMap((run) => ownBuffer(run) ?? []);
    if (away.length === 0) return runs.map(({ bytes, spans }) => hashHere(bytes, spans));
    const buffers = away.map(({ buffer }) => buffer);
    const places = new Map(
      away.map(({ run: { bytes } }, at) => [bytes, { at, ...placeOf(bytes) }]),
    );
    const spans = away.map(({ run }) => spansIn(run));
    const answer = await this.#threads.ask({ buffers, spans }, buffers);
    return runs.map((run) => {
      const place = places.get(run.bytes);
      if (place === undefined) return hashHere(run.bytes, run.spans);
      const bytes = new Uint8Array(
        answer.buffers[place.at] as ArrayBuffer,
        place.offset,
        place.length,
      );
      return { bytes, digests: answer.digests[place.at] as Uint8Array };
    });
  }

  /** Ends all threads; what they were asked rejects. */
  close(): Promise<void> {
    return this.#threads.close();
  }
}

/** The buffer of a run, if it is to be handed over. */
function ownBuffer(
  run: HashRun,
): { readonly run: HashRun; readonly buffer: ArrayBuffer } | undefined {
  const { buffer, byteLength } = run.bytes;
  const isOwn =
    buffer instanceof ArrayBuffer && buffer.byteLength - byteLength <= MOST_BESIDE_BYTES;
  return isOwn && byteLength >= LEAST_BYTES ? { run, buffer } : undefined;
}

/** Where bytes lie in their buffer: they no longer say so once it was handed over. */
function placeOf({ byteOffset, byteLength }: Uint8Array) {
  return { offset: byteOffset, length: byteLength };
}

function spansIn({ bytes, spans }: HashRun): Uint32Array {
  const places = new Uint32Array(spans.length * 2);
  for (const [index, { offset, length }] of spans.entries())
    places.set([bytes.byteOffset + offset, length], index * 2);
  return places;
}
