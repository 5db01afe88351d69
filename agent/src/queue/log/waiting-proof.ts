import type { Position } from '@aliquot/shared/records/format';
import { type ChainFacts, readChain } from './chain-proof.ts';
import { QueueError } from './errors.ts';
import type { ChainKind, SegmentKind } from './formats.ts';
import { hasGap } from './index-proof.ts';
import { decodeLostRecord } from './lost-payloads.ts';
import { NumberSet } from './number-set.ts';
import type { QueueLogs } from './open-queue.ts';
import {
  decodeReceiptRecord,
  decodeSignedRecord,
  decodeVersion,
  entriesOfHead,
  type VersionHead,
} from './payloads.ts';

/** What versions without a receipt need, at least. */
export interface Needed {
  /** Every version before this one is receipted or lost; beyond all numbers when all are. */
  readonly entry: number;
  /** None of them needs a segment before this one. */
  readonly segment: number;
  /** One that needs it. */
  readonly by: number;
}

/** Versions in a row that stand in no signed commit, and whose oldest segment is the same. */
interface WaitingRun {
  readonly from: number;
  readonly to: number;
  readonly holdSegment: number;
}

const nothingNeeded: Needed = {
  entry: Number.MAX_SAFE_INTEGER,
  segment: Number.MAX_SAFE_INTEGER,
  by: Number.MAX_SAFE_INTEGER,
};
/** What is read of a segment at once. */
const RUN_BYTES = 256 * 1024;
/** Above this, runs are joined where that only makes more needed: bounds memory. */
const MOST_RUNS = 16_384;

/**
 * What waits for its receipt, proved by segments and chain log: the index may be lost, old or
 * another folder's, and a dropped segment does not come back (D5). What this process appended it
 * counts itself. Of what was there before, it reads the chain log and the versions that are not
 * signed, the newest segments first, when somebody asks.
 */
export class WaitingProof {
  readonly #logs: QueueLogs;
  /** Where the segments ended when this process began: behind it, it counts itself. */
  readonly #began: Position | undefined;
  #runs: WaitingRun[] = [];
  /** Undefined: the chain log is to be read. */
  #chain: ChainFacts | undefined;
  /** Segments from before that are not looked at yet, the oldest first. */
  #left: number[];
  /** The first version that segments hold; undefined: not looked for yet. */
  #oldest: number | undefined;
  /** A segment was missing between others: what it holds may come back. */
  readonly #hasGap: boolean;
  /** A record of a later release: nobody knows what it needs. */
  #isUnknown = false;

  constructor(logs: QueueLogs) {
    const { segments } = logs;
    this.#logs = logs;
    this.#began = segments.lastNumber === undefined ? undefined : segments.end();
    this.#left = segments.files().map(({ number }) => number);
    this.#hasGap = hasGap(segments);
  }

  /** Versions were appended, from one number to another. */
  versions(from: number, to: number, holdSegment: number): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.to === from - 1 && last.holdSegment === holdSegment)
      this.#runs[this.#runs.length - 1] = { ...last, to };
    else this.#runs.push({ from, to, holdSegment });
    if (this.#runs.length > MOST_RUNS) this.#runs = joined(this.#runs);
  }

  /** A record of the chain log is durable. */
  chained(kind: ChainKind, payload: Uint8Array): void {
    const waiting = this.#chain?.waiting;
    if (kind === 'signed') {
      const { sequence, entries, holdSegment } = decodeSignedRecord(payload);
      this.#settle(entries);
      waiting?.set(sequence, { holdSegment, firstEntry: entries[0] ?? 0 });
    } else if (kind === 'lost')
      this.#settle(decodeLostRecord(payload).entries.map(({ entry }) => entry));
    else if (kind === 'receipt') {
      const { sequence } = decodeReceiptRecord(payload);
      for (const known of [...(waiting?.keys() ?? [])])
        if (known <= sequence) waiting?.delete(known);
    }
    // Commits from before wait again, or do not any more: read anew when somebody asks.
    else if (kind === 'unreceipted' || kind === 'forked') this.#chain = undefined;
  }

  /**
   * What waits needs this, and nothing before. Undefined as long as that is not proved: `atMost` so
   * many segments are read now, the next time the ones before them. In the queue's turn.
   */
  async needed(atMost: number): Promise<Needed | undefined> {
    const { chain } = this.#logs;
    this.#oldest ??= await this.#firstVersion();
    this.#chain ??= await readChain(chain, this.#oldest);
    const { settled, waiting } = this.#chain;
    for (let looked = 0; this.#left.length > 0; looked += 1) {
      if (looked === atMost) return undefined;
      const first = await this.#look(this.#left.at(-1) ?? 0, settled);
      this.#left.pop();
      if (first !== undefined && settled.covers(this.#oldest, first - 1)) this.#left = [];
    }
    if (this.#isUnknown || (this.#hasGap && this.#hasHole(this.#oldest, settled))) return undefined;
    let needed = nothingNeeded;
    for (const { firstEntry, holdSegment } of waiting.values())
      needed = leastOf(needed, firstEntry, holdSegment);
    for (const { from, holdSegment } of this.#runs) needed = leastOf(needed, from, holdSegment);
    return needed;
  }

  /** The first version from one number up to another that waits and is not signed, if one does. */
  async waitsIn(from: number, to: number): Promise<number | undefined> {
    await this.needed(Number.MAX_SAFE_INTEGER);
    const run = this.#runs.find((each) => each.to >= from && each.from <= to);
    return run === undefined ? undefined : Math.max(run.from, from);
  }

  /** These stand in the chain log: signed, or lost. */
  #settle(entries: readonly number[]): void {
    const settled = new NumberSet();
    settled.addAll(entries);
    this.#chain?.settled.addAll(entries);
    this.#runs = this.#runs.flatMap((run) => without(run, settled));
  }

  /**
   * The number of the first version that was there before; beyond all numbers when there is none.
   */
  async #firstVersion(): Promise<number> {
    for (const { number } of this.#logs.segments.files())
      for await (const { entry } of this.#versionsIn(number)) return entry;
    return Number.MAX_SAFE_INTEGER;
  }

  /** Counts what a segment has that is not settled; the number of its first version. */
  async #look(number: number, settled: NumberSet): Promise<number | undefined> {
    const runs: WaitingRun[] = [];
    let first: number | undefined;
    for await (const head of this.#versionsIn(number)) {
      const { holdSegment } = head;
      first ??= head.entry;
      for (const entry of entriesOfHead(head)) {
        if (settled.has(entry)) continue;
        const last = runs.at(-1);
        if (last?.to === entry - 1 && last.holdSegment === holdSegment)
          runs[runs.length - 1] = { ...last, to: entry };
        else runs.push({ from: entry, to: entry, holdSegment });
      }
    }
    this.#runs = [...runs, ...this.#runs];
    return first;
  }

  /** The sound versions that a segment had when this process began. */
  async *#versionsIn(number: number): AsyncGenerator<VersionHead, void, void> {
    if (this.#began === undefined || number > this.#began.file) return;
    const to = number === this.#began.file ? this.#began.offset : undefined;
    const take = (kind: SegmentKind) => (kind === 'version' ? 'give' : 'skip');
    const options = { to, take, runBytes: RUN_BYTES } as const;
    for await (const item of this.#logs.segments.scanFile(number, options)) {
      if (item.type === 'unknown') this.#isUnknown = true;
      if (item.type !== 'record' || item.payload === undefined) continue;
      try {
        yield decodeVersion(item.payload).head;
      } catch (error) {
        // What is damaged can never be sent, so it needs nothing.
        if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
      }
    }
  }

  /** Whether there is a number that is neither settled nor found. */
  #hasHole(oldest: number, settled: NumberSet): boolean {
    let next = oldest;
    for (const { from, to } of this.#runs) {
      next = settled.behind(next);
      if (next < from) return true;
      next = Math.max(next, to + 1);
    }
    return false;
  }
}

function leastOf(least: Needed, entry: number, segment: number): Needed {
  const oldest = segment < least.segment ? { segment, by: entry } : least;
  return { segment: oldest.segment, by: oldest.by, entry: Math.min(least.entry, entry) };
}

function without(run: WaitingRun, settled: NumberSet): WaitingRun[] {
  const left: WaitingRun[] = [];
  for (let from = settled.behind(run.from); from <= run.to; ) {
    const next = settled.firstFrom(from);
    left.push({ ...run, from, to: Math.min(run.to, next - 1) });
    from = settled.behind(next);
  }
  return left;
}

/** Runs that touch, by two and two: their versions are taken to need what the older one does. */
function joined(runs: readonly WaitingRun[]): WaitingRun[] {
  const fewer: WaitingRun[] = [];
  for (let at = 0; at < runs.length; at += 1) {
    const [run, next] = [runs[at] as WaitingRun, runs[at + 1]];
    if (next === undefined || next.from !== run.to + 1) {
      fewer.push(run);
      continue;
    }
    const holdSegment = Math.min(run.holdSegment, next.holdSegment);
    fewer.push({ from: run.from, to: next.to, holdSegment });
    at += 1;
  }
  return fewer;
}
