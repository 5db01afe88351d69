import { readChain } from '../log/chain-proof.ts';
import { QueueError } from '../log/errors.ts';
import { hasGap } from '../log/index-proof.ts';
import type { NumberSet } from '../log/number-set.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import { decodeVersion, entriesOfHead } from '../log/payloads.ts';

/** Versions by their numbers, ascending, and the batch under whose key their drafts were sealed. */
export interface BatchedEntries {
  readonly entries: readonly number[];
  readonly batch: number;
}

/**
 * Proves that nobody needs a batch key any more, without the index: to erase a key is for good, and
 * an index may be lost, old or another folder's. What this process sealed it counts itself; of
 * batches from before, segments and chain log say it.
 */
export class SentProof {
  /** Versions that wait to be signed, by batches that this process made. */
  readonly #waiting = new Map<number, number>();
  #logs: LogProof | undefined;

  sealed(batch: number, versions: number): void {
    this.#waiting.set(batch, (this.#waiting.get(batch) ?? 0) + versions);
  }

  /** These stand in a durable record of the chain log: signed, or lost. */
  settled(versions: readonly BatchedEntries[]): void {
    for (const { batch, entries } of versions) {
      const waiting = this.#waiting.get(batch);
      if (waiting !== undefined) this.#waiting.set(batch, waiting - entries.length);
      this.#logs?.settle(entries);
    }
  }

  /** Asks the logs about everything: after the files were opened again. */
  forget(): void {
    this.#waiting.clear();
    this.#logs = undefined;
  }

  /**
   * Whether every version under this key is signed or named as lost. Everything appended before
   * must be durable.
   */
  async isSettled(files: QueueFiles, batch: number): Promise<boolean> {
    const waiting = this.#waiting.get(batch);
    if (waiting !== undefined) {
      if (waiting > 0) return false;
      this.#waiting.delete(batch);
      return true;
    }
    this.#logs ??= await LogProof.read(files);
    return this.#logs.isSettled(files, batch);
  }
}

/**
 * What segments and chain log say of batches. Segments are stepped through once, as far as somebody
 * asks.
 */
class LogProof {
  /** What the chain log has signed or named as lost. */
  readonly #settled: NumberSet;
  /** Versions by batch, as far as the segments were looked at. */
  readonly #versions = new Map<number, number[]>();
  #at: { readonly file: number; readonly offset: number } = { file: 0, offset: 0 };
  #newestBatch = 0;

  private constructor(settled: NumberSet) {
    this.#settled = settled;
  }

  static async read({ chain, segments }: QueueFiles): Promise<LogProof> {
    return new LogProof((await readChain(chain, await oldestEntry(segments))).settled);
  }

  settle(entries: readonly number[]): void {
    this.#settled.addAll(entries);
  }

  async isSettled({ segments }: QueueFiles, batch: number): Promise<boolean> {
    // What a missing segment holds may come back, and needs its key then.
    if (hasGap(segments)) return false;
    await this.#lookPast(segments, batch);
    const versions = this.#versions.get(batch);
    // Batches stand in the segments in their order: a later one shows that this one's place is
    // there, and empty.
    if (versions === undefined) return this.#newestBatch > batch;
    const settled = versions.every((entry) => this.#settled.has(entry));
    if (settled) this.#versions.delete(batch);
    return settled;
  }

  /** Steps through the segments until a batch behind this one, or to their end. */
  async #lookPast(segments: QueueFiles['segments'], batch: number): Promise<void> {
    for (const { number } of segments.files()) {
      if (number < this.#at.file) continue;
      const from = number === this.#at.file ? this.#at.offset : 0;
      for await (const item of segments.scanFile(number, { from, take: () => 'skip' })) {
        if (this.#newestBatch > batch || item.type === 'unknown') return;
        if (item.type === 'record' && item.header.kind === 'version')
          await this.#note(segments, item);
        this.#at = { file: number, offset: item.end };
      }
    }
  }

  async #note(
    segments: QueueFiles['segments'],
    at: { readonly file: number; readonly offset: number },
  ): Promise<void> {
    try {
      const { head } = decodeVersion((await segments.read(at)).payload);
      const { batch } = head;
      this.#newestBatch = Math.max(this.#newestBatch, batch);
      const versions = this.#versions.get(batch);
      if (versions === undefined) this.#versions.set(batch, entriesOfHead(head));
      else versions.push(...entriesOfHead(head));
    } catch (error) {
      // No key opens a damaged version.
      if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    }
  }
}

/** The number of the first version in the segments. */
async function oldestEntry(segments: QueueFiles['segments']): Promise<number> {
  for (const { number } of segments.files()) {
    for await (const item of segments.scanFile(number, { take: () => 'skip' })) {
      if (item.type !== 'record' || item.header.kind !== 'version') continue;
      try {
        return decodeVersion((await segments.read(item)).payload).head.entry;
      } catch (error) {
        if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
      }
    }
  }
  return 0;
}
