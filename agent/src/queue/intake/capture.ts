import type { EntryDraft } from '@aliquot/proto';
import { CACHE_INDEX_BYTES, CACHED_BYTES, encodeCached } from '../ledger/cache-codec.ts';
import type { CachedChunk } from '../ledger/ledger.ts';
import { QueueError } from '../log/errors.ts';
import type { KnownStat, QueuedItem } from '../log/facts.ts';
import type { Capture } from './intake.ts';

const PAIR_BYTES = CACHE_INDEX_BYTES + CACHED_BYTES;
/**
 * Cache entries are packed into blocks, each twice the one before: most files have one, a file of
 * 100 GB has some 400,000.
 */
const FIRST_BLOCK_PAIRS = 1;
const MOST_BLOCK_PAIRS = 4096;

/** What a capture asks of the queue; each runs in the queue's serial section. */
export interface CaptureSink {
  putItem(capture: QueueCapture, item: QueuedItem): Promise<void>;
  putVersion(capture: QueueCapture, draft: EntryDraft, known: KnownStat | undefined): Promise<void>;
  ended(capture: QueueCapture): void;
}

/** One version on its way in: remembers what it holds in the queue until it is put or aborted. */
export class QueueCapture implements Capture {
  readonly #host: CaptureSink;
  /** The policy class that its bytes count for. */
  readonly class: string;
  readonly #blocks: Buffer[] = [];
  /** Bytes used of the last block. */
  #used = 0;
  #open = true;
  /** Aborted: what still waits for its turn must not be taken. */
  dropped = false;
  /** The oldest segment that it needs; `Holds` sets it. */
  holdSegment: number | undefined;
  /** See `keepGrowth`. */
  growth: Uint8Array | undefined;
  /** Sealed bytes appended for it; `Holds` counts them. */
  itemBytes = 0;

  constructor(host: CaptureSink, className: string) {
    this.#host = host;
    this.class = className;
  }

  putItem(item: QueuedItem): Promise<void> {
    return this.#open ? this.#host.putItem(this, item) : Promise.reject(ended());
  }

  cachePut(index: Uint8Array, chunk: CachedChunk): void {
    if (!this.#open) throw ended();
    if (index.length !== CACHE_INDEX_BYTES)
      throw new QueueError('QUEUE_REFUSED', `a cache index has ${CACHE_INDEX_BYTES} bytes`);
    let block = this.#blocks.at(-1);
    if (block === undefined || this.#used === block.length) {
      const pairs =
        block === undefined
          ? FIRST_BLOCK_PAIRS
          : Math.min(MOST_BLOCK_PAIRS, (2 * block.length) / PAIR_BYTES);
      block = Buffer.alloc(PAIR_BYTES * pairs);
      this.#blocks.push(block);
      this.#used = 0;
    }
    block.set(index, this.#used);
    block.set(encodeCached(chunk), this.#used + CACHE_INDEX_BYTES);
    this.#used += PAIR_BYTES;
  }

  keepGrowth(state: Uint8Array): void {
    if (!this.#open) throw ended();
    this.growth = state;
  }

  *cached(): Generator<{ readonly index: Uint8Array; readonly value: Uint8Array }> {
    for (const [at, block] of this.#blocks.entries()) {
      const end = at === this.#blocks.length - 1 ? this.#used : block.length;
      for (let start = 0; start < end; start += PAIR_BYTES) {
        const bytes = block.subarray(start, start + PAIR_BYTES);
        yield {
          index: bytes.subarray(0, CACHE_INDEX_BYTES),
          value: bytes.subarray(CACHE_INDEX_BYTES),
        };
      }
    }
  }

  async putVersion(draft: EntryDraft, known: KnownStat | undefined): Promise<void> {
    if (!this.#open) throw ended();
    this.#open = false;
    try {
      await this.#host.putVersion(this, draft, known);
    } finally {
      this.#host.ended(this);
    }
  }

  abort(): void {
    this.#open = false;
    this.dropped = true;
    this.#host.ended(this);
  }
}

function ended(): QueueError {
  return new QueueError('QUEUE_CLOSED', 'this capture has ended; start another one');
}
