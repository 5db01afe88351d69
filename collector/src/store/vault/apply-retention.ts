import {
  decodeRetentionApprovalBody,
  type EventBody,
  encodeStoredExpired,
  type StoredDropped,
  type StoredExpired,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { formatInstant } from '@aliquot/shared/cli/format';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyRetentionApproval } from '@aliquot/shared/keys/retention-approval';
import { keys, ranges } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { countSet } from '../catalog/item-row.ts';
import type { Registry } from '../catalog/registry.ts';
import {
  decodeTally,
  encodeRun,
  encodeTally,
  type RunRow,
  waits,
} from '../catalog/retention-runs.ts';
import { read } from '../catalog/row-codec.ts';
import { StoreError } from '../errors.ts';
import type { HistoryRecord } from '../history/history-log.ts';
import { type Effect, IDLE, type LeafPlace } from './effect.ts';

type Event<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;

/*
 * Runs of retention in the history and the catalog. What a run expires stands in records before the
 * event that says so, appended with it: without that they mean nothing, so of a batch which a crash
 * has torn nothing is expired.
 */

/** What a run expires, as it stands in the history. */
export function expiredRecord(expired: StoredExpired): HistoryRecord {
  return { kind: 'expired', payload: encodeStoredExpired(expired) };
}

/** Notes which versions a run is about to expire. */
export async function applyExpired(
  change: CatalogChange,
  { run, part, branchId, agent, leaves }: StoredExpired,
): Promise<Effect> {
  if (part === 0) await forgetExpired(change, run);
  const lineage = await change.get(keys.lineage(branchId));
  // It has lost its commits since, as far as the history can be read: so nothing of it expires.
  if (lineage === undefined) return IDLE;
  const { number } = read.lineage(lineage);
  const tallied = await change.get(keys.tally(run));
  const tally = tallied === undefined ? new Map<string, number>() : decodeTally(tallied);
  for (const { leafIndex, slots } of leaves) {
    change.put(keys.expired(run, number, leafIndex), Buffer.from(slots));
    tally.set(agent, (tally.get(agent) ?? 0) + countSet(slots));
  }
  change.put(keys.tally(run), encodeTally(tally));
  return IDLE;
}

/** Removes what a crash left of an earlier beginning of a run. */
async function forgetExpired(change: CatalogChange, run: number): Promise<void> {
  for await (const [key] of change.scan(ranges.expired(run))) change.del(key);
}

/** What was dropped is no more for any run to have expired. */
export async function forgetDropped(
  change: CatalogChange,
  history: number,
  { run, leaves }: Pick<StoredDropped, 'run' | 'leaves'>,
): Promise<void> {
  for (const { leafIndex, slots } of leaves) {
    const key = keys.expired(run, history, leafIndex);
    const row = await change.get(key);
    if (row === undefined) continue;
    const left = row.map((byte, at) => byte & ~(slots[at] ?? 0));
    if (left.some((byte) => byte !== 0)) change.put(key, Buffer.from(left));
    else change.del(key);
  }
}

/** Throws unless it is the next run. */
export function admitRun({ runs }: Registry, { run }: Event<'retentionRan'>): undefined {
  if (run === runs.newest + 1) return undefined;
  throw bad(`the next run of retention is ${runs.newest + 1}, not ${run}`);
}

/** From here on the versions are expired that stand in the records before it. */
export async function applyRun(
  change: CatalogChange,
  event: Event<'retentionRan'>,
  { leafIndex, timeMs }: Pick<LeafPlace, 'leafIndex' | 'timeMs'>,
): Promise<Effect> {
  const { run, policy, versions, bytes, sum, records, undoUntilMs, approves, brakes } = event;
  if (records === 0) await forgetExpired(change, run);
  const tallied = records === 0 ? undefined : await change.get(keys.tally(run));
  change.del(keys.tally(run));
  const row: RunRow = {
    ...{ run, leafIndex, timeMs, policy, versions, bytes, sum, undoUntilMs, approves, brakes },
    ...{ approvedAtMs: undefined, approvedLeaf: 0 },
    undone: undefined,
    agents: tallied === undefined ? new Map() : decodeTally(tallied),
  };
  return put(change, row);
}

/** The leaf of the approval where it was given already. Throws unless the run waits for one. */
export function admitRunApproval(
  { runs }: Registry,
  descriptor: VaultDescriptorBody,
  event: Event<'retentionApproved'>,
): number | undefined {
  const body = verifyRetentionApproval(descriptor, event, event.timeMs);
  const row = runs.run(body.run);
  if (row === undefined || !equalBytes(row.sum, body.sum))
    throw bad(`there is no such run ${body.run}; \`aliquot retention status\` lists them`);
  if (row.approvedLeaf > 0) return row.approvedLeaf;
  if (!waits(row)) throw bad(`run ${body.run} waits for nobody`);
  if (runs.waiting?.run !== body.run)
    throw bad(`run ${body.run} was followed by others; \`aliquot retention status\` lists them`);
  return undefined;
}

export function applyRunApproval(
  change: CatalogChange,
  event: Event<'retentionApproved'>,
  { timeMs, leafIndex }: Pick<LeafPlace, 'leafIndex' | 'timeMs'>,
  { runs }: Registry,
): Effect {
  const { run } = decodeRetentionApprovalBody(event.approval.body);
  const row = runs.run(run);
  return row === undefined
    ? IDLE
    : put(change, { ...row, approvedAtMs: timeMs, approvedLeaf: leafIndex });
}

/**
 * The leaf that says so where it was undone already. Throws unless the run expired something that
 * can still be had back.
 */
export function admitUndo(
  { runs }: Registry,
  { run, timeMs }: Event<'retentionUndone'>,
): number | undefined {
  const row = runs.run(run);
  if (row === undefined)
    throw bad(`there is no run ${run}; \`aliquot retention status\` lists them`);
  if (row.brakes.length > 0) throw bad(`run ${run} has expired nothing: nothing to undo`);
  if (row.undone !== undefined) return row.undone.leafIndex;
  if (timeMs >= row.undoUntilMs)
    throw bad(
      `run ${run} could be undone until ${formatInstant(row.undoUntilMs)}: what it expired may be gone; \`aliquot explain\` says of each file what is left`,
    );
  return undefined;
}

export function applyUndo(
  change: CatalogChange,
  { run }: Event<'retentionUndone'>,
  { timeMs, leafIndex }: Pick<LeafPlace, 'leafIndex' | 'timeMs'>,
  { runs, desk }: Registry,
): Effect {
  const row = runs.run(run);
  if (row === undefined) return IDLE;
  return put(change, { ...row, undone: { timeMs, leafIndex, policy: desk.newest } });
}

function put(change: CatalogChange, row: RunRow): Effect {
  change.put(keys.run(row.run), encodeRun(row));
  return (live) => live.runs.set(row);
}

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}
