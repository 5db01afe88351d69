import { asLineageId, type EventBody, ID_BYTES, type LineageId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { branchIdOf } from '../branch-id.ts';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import {
  type BranchRow,
  type ChainHeadRow,
  type HeadRow,
  type LineageRow,
  noLineage,
  type Sums,
} from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import type { Effect, LeafPlace } from './effect.ts';

type Forked = Extract<EventBody, { type: 'chainForked' }>;
type Acknowledged = Extract<EventBody, { type: 'problemsAcknowledged' }>;
type Decided = Extract<EventBody, { type: 'forkDecided' }>;

/**
 * What the agent of an announced chain hears of a line that ended when the trunk went on elsewhere.
 */
const NOWHERE = asLineageId(new Uint8Array(ID_BYTES));

/** A branch held apart begins: the commit that opens it follows in the history. */
export function applyForked(
  change: CatalogChange,
  { agentId, at }: Forked,
  leaf: LeafPlace,
): Effect {
  const row: BranchRow = {
    branchId: branchIdOf(agentId, at),
    state: 'held',
    at,
    openedAtMs: leaf.timeMs,
    openedLeaf: leaf.leafIndex,
    decidedAtMs: undefined,
    decidedLeaf: undefined,
    name: '',
    acknowledgedLeaf: undefined,
  };
  change.put(keys.history(agentId, row.branchId), values.history(row));
  return (registry) => registry.lines(agentId)?.setBranch(row);
}

/**
 * What cannot be mended was seen: lost versions are no problem any more, nor are clones that do not
 * go on from here.
 */
export async function applyAcknowledged(
  change: CatalogChange,
  { agentId }: Acknowledged,
  leaf: LeafPlace,
  registry: Registry,
): Promise<Effect> {
  for await (const [key] of change.scan(ranges.lostOf(agentId))) change.del(key);
  const clones = (registry.lines(agentId)?.apart() ?? [])
    .filter(({ state }) => state === 'clone')
    .map(({ line: _, ...row }): BranchRow => ({ ...row, acknowledgedLeaf: leaf.leafIndex }));
  for (const row of clones) change.put(keys.history(agentId, row.branchId), values.history(row));
  return (live) => {
    live.dropLost(agentId);
    for (const row of clones) live.lines(agentId)?.setBranch(row);
  };
}

/**
 * The newest commit of its chain id. The trunk's word goes before that of a branch held apart,
 * which may share its old chain id.
 */
export async function applyChainHead(
  change: CatalogChange,
  agentId: Forked['agentId'],
  trunkId: LineageId,
  row: ChainHeadRow,
): Promise<Effect> {
  const key = keys.chainHead(agentId, row.head.chainId);
  const before = await change.get(key);
  const isTrunks =
    before !== undefined && equalBytes(read.chainHead(before, row.head.chainId).branchId, trunkId);
  if (isTrunks && !equalBytes(row.branchId, trunkId)) return () => undefined;
  change.put(key, values.chainHead(row));
  return (registry) => registry.lines(agentId)?.setChainHead(row);
}

/**
 * The operator's word about a history. A clone keeps it under its own name; of a PC that was put
 * back it becomes part of the trunk, and its line the trunk's. Memory grows with the versions that
 * are merged, about a kilobyte each.
 */
export async function applyDecided(
  change: CatalogChange,
  { agentId, branchId, decision, name }: Decided,
  leaf: LeafPlace,
  sums: Sums,
  registry: Registry,
): Promise<{ readonly sums: Sums; readonly effect: Effect }> {
  const lines = registry.lines(agentId);
  const known = lines?.history(branchId);
  if (lines === undefined || known === undefined) return { sums, effect: () => undefined };
  const row: BranchRow = {
    ...known,
    state: decision,
    decidedAtMs: leaf.timeMs,
    decidedLeaf: leaf.leafIndex,
    name,
  };
  change.put(keys.history(agentId, branchId), values.history(row));
  if (decision === 'clone') return { sums, effect: () => lines.setBranch(row) };

  const { trunkId } = lines;
  const chains = lines.chainHeads().flatMap(({ head, branchId: of }): ChainHeadRow[] => {
    if (equalBytes(of, branchId)) return [{ head, branchId: trunkId }];
    return equalBytes(of, trunkId) ? [{ head, branchId: NOWHERE }] : [];
  });
  for (const chain of chains)
    change.put(keys.chainHead(agentId, chain.head.chainId), values.chainHead(chain));
  const line = lines.line(branchId);
  if (line !== undefined) change.put(keys.line(agentId, trunkId), values.chain(line));
  change.del(keys.line(agentId, branchId));
  const merged = await mergeVersions(change, branchId, trunkId);
  return {
    sums: { ...sums, files: sums.files + merged.files, liveBytes: sums.liveBytes + merged.bytes },
    effect: (live) => {
      lines.setBranch(row);
      for (const chain of chains) lines.setChainHead(chain);
      if (line !== undefined) lines.setLine(trunkId, line);
      lines.dropLine(branchId);
      live.setLineage(trunkId, merged.trunk);
      live.dropLineage(branchId);
    },
  };
}

/**
 * Enters each version of one history in another at its own time, which lies between the receipts of
 * its own line; then the newest of each file, of whichever history it came, is the live one. Tells
 * by how much live files and bytes of both together changed.
 */
async function mergeVersions(
  change: CatalogChange,
  from: LineageId,
  into: LineageId,
): Promise<{ readonly trunk: LineageRow; readonly files: number; readonly bytes: bigint }> {
  const [source, target] = await Promise.all([lineageRow(change, from), lineageRow(change, into)]);
  let { files, bytes } = target;
  for await (const [key, value] of change.scan(ranges.versionsOf(from))) {
    change.del(key);
    change.put(Buffer.concat([key.subarray(0, 1), into, key.subarray(1 + ID_BYTES)]), value);
  }
  for await (const [key, value] of change.scan(ranges.live(from))) {
    change.del(key);
    const place = readKey.live(key);
    change.put(keys.live(into, place.leafIndex, place.slot), value);
  }
  for await (const [key, value] of change.scan(ranges.headsOf(from))) {
    change.del(key);
    const newKey = Buffer.concat([key.subarray(0, 1), into, key.subarray(1 + ID_BYTES)]);
    const incoming = read.head(value);
    const stored = await change.get(newKey);
    const known = stored === undefined ? undefined : read.head(stored);
    const [older, newer] =
      known !== undefined && isLater(known, incoming) ? [incoming, known] : [known, incoming];
    change.put(newKey, values.head(newer));
    if (older !== undefined && older.kind !== 'gone')
      change.del(keys.live(into, older.leafIndex, older.slot));
    files += liveFiles(newer) - liveFiles(known);
    bytes += BigInt(newer.size) - BigInt(known?.size ?? 0);
  }
  change.del(keys.lineage(from));
  const receipts = [target.lastReceiptMs, source.lastReceiptMs].filter(
    (time) => time !== undefined,
  );
  const trunk = {
    files,
    bytes,
    lastReceiptMs: receipts.length === 0 ? undefined : Math.max(...receipts),
  };
  change.put(keys.lineage(into), values.lineage(trunk));
  return {
    trunk,
    files: files - target.files - source.files,
    bytes: bytes - target.bytes - source.bytes,
  };
}

async function lineageRow(change: CatalogChange, id: LineageId): Promise<LineageRow> {
  const row = await change.get(keys.lineage(id));
  return row === undefined ? noLineage : read.lineage(row);
}

/** The order of a file's versions: time, then place in the log. */
function isLater(a: HeadRow, b: HeadRow): boolean {
  return (
    a.timeMs - b.timeMs > 0 ||
    (a.timeMs === b.timeMs && (a.leafIndex - b.leafIndex || a.slot - b.slot) > 0)
  );
}

function liveFiles(head: HeadRow | undefined): number {
  return head?.kind === 'file' ? 1 : 0;
}
