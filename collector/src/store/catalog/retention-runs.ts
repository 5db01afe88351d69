import type { RetentionBrake, RetentionBrakeKind } from '@aliquot/proto';
import { RowReader, RowWriter } from './row.ts';

/** A run of retention, and what became of it. */
export interface RunRow {
  readonly run: number;
  /** Of the event that says it. */
  readonly leafIndex: number;
  readonly timeMs: number;
  /** The revision of the policy that it went by. */
  readonly policy: number;
  /** What it expired, or would. */
  readonly versions: number;
  readonly bytes: number;
  /** As the event has it: what an approval is for. */
  readonly sum: Uint8Array;
  /** Until when it can be undone; 0: it waits. */
  readonly undoUntilMs: number;
  /** The run that waited and whose approval let this one pass; 0: none. */
  readonly approves: number;
  /** Why it waits; none: it does not. */
  readonly brakes: readonly RetentionBrake[];
  /** It waited, and an operator let it pass. */
  readonly approvedAtMs: number | undefined;
  /** Of the event that says so; 0: none does. */
  readonly approvedLeaf: number;
  /** It was undone, while `policy` was the newest. */
  readonly undone:
    | { readonly timeMs: number; readonly leafIndex: number; readonly policy: number }
    | undefined;
  /** Versions that it expired, by the name of their PC. */
  readonly agents: ReadonlyMap<string, number>;
}

const kinds: readonly RetentionBrakeKind[] = [
  'bytes',
  'versions',
  'bytes-in-days',
  'versions-in-days',
];
const SUM_BYTES = 32;
/** What was let pass and has not gone then is looked at again. */
const APPROVAL_HOLDS_MS = 7 * 86_400_000;

export function encodeRun(run: RunRow): Buffer {
  const row = new RowWriter().u64(run.run).u64(run.leafIndex).u64(run.timeMs).u64(run.policy);
  row.u64(run.versions).u64(run.bytes).fixed(run.sum).u64(run.undoUntilMs).u64(run.approves);
  row
    .u64(run.approvedAtMs ?? 0)
    .u64(run.approvedLeaf)
    .u64(run.undone?.timeMs ?? 0)
    .u64(run.undone?.leafIndex ?? 0)
    .u64(run.undone?.policy ?? 0);
  row.u32(run.brakes.length);
  for (const { kind, agent, of, expiring } of run.brakes)
    row.u8(kinds.indexOf(kind)).text(agent).u64(of).u64(expiring);
  return row.fixed(encodeTally(run.agents)).finish();
}

/** Throws `STORE_CATALOG`. */
export function decodeRun(value: Uint8Array): RunRow {
  const row = new RowReader(value);
  const [run, leafIndex, timeMs, policy] = [row.u64(), row.u64(), row.u64(), row.u64()];
  const [versions, bytes, sum] = [row.u64(), row.u64(), row.fixed(SUM_BYTES)];
  const [undoUntilMs, approves] = [row.u64(), row.u64()];
  const [approvedAtMs, approvedLeaf] = [row.u64(), row.u64()];
  const undone = { timeMs: row.u64(), leafIndex: row.u64(), policy: row.u64() };
  const brakes = Array.from({ length: row.u32() }, () => {
    const kind = kinds[row.u8()] ?? 'bytes';
    return { kind, agent: row.text(), of: row.u64(), expiring: row.u64() };
  });
  return {
    ...{ run, leafIndex, timeMs, policy, versions, bytes, sum, undoUntilMs, approves, brakes },
    approvedAtMs: approvedAtMs === 0 ? undefined : approvedAtMs,
    approvedLeaf,
    undone: undone.timeMs === 0 ? undefined : undone,
    agents: readTally(row),
  };
}

/** What a person let pass and has not gone yet. */
export interface Allowance {
  /** The run that waited. */
  readonly run: number;
  readonly untilMs: number;
  readonly versions: number;
  readonly bytes: number;
  readonly brakes: readonly RetentionBrake[];
}

/** How many versions of each PC the records of a run have, while they are taken in. */
export function encodeTally(tally: ReadonlyMap<string, number>): Buffer {
  const row = new RowWriter().u32(tally.size);
  for (const [agent, versions] of tally) row.text(agent).u64(versions);
  return row.finish();
}

/** Throws `STORE_CATALOG`. */
export function decodeTally(value: Uint8Array): Map<string, number> {
  return readTally(new RowReader(value));
}

function readTally(row: RowReader): Map<string, number> {
  return new Map(Array.from({ length: row.u32() }, () => [row.text(), row.u64()] as const));
}

/** Every run of a vault in memory: a mirror of its rows, some hundred bytes each. */
export class RetentionRuns {
  readonly #runs = new Map<number, RunRow>();
  #newest = 0;

  /** The number of the newest; 0: there was none. */
  get newest(): number {
    return this.#newest;
  }

  /** The oldest first. */
  all(): readonly RunRow[] {
    return [...this.#runs.values()];
  }

  run(run: number): RunRow | undefined {
    return this.#runs.get(run);
  }

  /** Whether a run was undone, and under which policy. */
  undone(run: number): RunRow['undone'] {
    return this.#runs.get(run)?.undone;
  }

  /** A run that waits: the newest, as long as nobody has let it pass. */
  get waiting(): RunRow | undefined {
    const newest = this.#runs.get(this.#newest);
    return newest !== undefined && waits(newest) ? newest : undefined;
  }

  /**
   * A run that waited and was let pass, as long as nothing that came after it waits, with what may
   * still go for that.
   */
  get allowed(): Allowance | undefined {
    const passed = this.all().findLast(({ brakes }) => brakes.length > 0);
    if (passed?.approvedAtMs === undefined) return undefined;
    let { versions, bytes } = passed;
    const untilMs = passed.approvedAtMs + APPROVAL_HOLDS_MS;
    for (const later of this.#runs.values()) {
      if (later.approves !== passed.run) continue;
      versions -= later.versions;
      bytes -= later.bytes;
    }
    const { run, brakes } = passed;
    return versions > 0 ? { run, untilMs, versions, bytes: Math.max(0, bytes), brakes } : undefined;
  }

  set(row: RunRow): void {
    this.#runs.set(row.run, row);
    this.#newest = Math.max(this.#newest, row.run);
  }
}

/** Whether it waits for a person. */
export function waits({ brakes, approvedAtMs }: RunRow): boolean {
  return brakes.length > 0 && approvedAtMs === undefined;
}
