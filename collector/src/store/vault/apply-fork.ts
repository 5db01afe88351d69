import { asLineageId, type EventBody, ID_BYTES, type LineageId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { branchIdOf } from '../branch-id.ts';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import {
  type BranchRow,
  type ChainHeadRow,
  type LineageRow,
  newLineage,
  type Sums,
} from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import {
  type DroppedNext,
  decodeHead,
  type EarlierVersion,
  encodeHead,
  type HeadRow,
  type KnownVersion,
} from '../catalog/version-rows.ts';
import type { Effect, LeafPlace } from './effect.ts';
import { FileVersions } from './file-versions.ts';

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
  const merged = await mergeVersions(change, branchId, trunkId, sums);
  return {
    sums: merged.sums,
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
 * what the sums are then, of live files and bytes of both together.
 */
async function mergeVersions(
  change: CatalogChange,
  from: LineageId,
  into: LineageId,
  sums: Sums,
): Promise<{ readonly trunk: LineageRow; readonly sums: Sums }> {
  const [source, known] = await Promise.all([lineageRow(change, from), lineageRow(change, into)]);
  const target = known ?? newLineage(sums.histories);
  const newest = (source?.lastReceiptMs ?? -1) > (target.lastReceiptMs ?? -1) ? source : target;
  const merged = source === undefined ? target : await mergeFiles(change, source.number, target);
  const trunk = { ...merged, lastReceiptMs: newest?.lastReceiptMs, afterMs: newest?.afterMs };
  change.del(keys.lineage(from));
  change.put(keys.lineage(into), values.lineage(trunk));
  return {
    trunk,
    sums: {
      ...sums,
      files: sums.files + trunk.files - target.files - (source?.files ?? 0),
      liveBytes: sums.liveBytes + trunk.bytes - target.bytes - (source?.bytes ?? 0n),
      histories: Math.max(sums.histories, target.number + 1),
    },
  };
}

/** The history with the versions of that number among its own. */
async function mergeFiles(
  change: CatalogChange,
  from: number,
  target: LineageRow,
): Promise<LineageRow> {
  const into = target.number;
  // Commits are in one of the two: no row of the one stands where one of the other does.
  for await (const [key, value] of change.scan(ranges.live(from))) {
    const { leafIndex, group } = readKey.group(key);
    change.del(key);
    change.put(keys.live(into, leafIndex, group), value);
  }
  for await (const [key, value] of change.scan(ranges.earlier(from))) {
    const { leafIndex, group } = readKey.group(key);
    change.del(key);
    change.put(keys.earlier(into, leafIndex, group), value);
  }
  const versions = new FileVersions(change, into);
  let { files, bytes } = target;
  for await (const [key, value] of change.scan(ranges.heads(from))) {
    change.del(key);
    const file = readKey.file(key);
    const incoming = decodeHead(value);
    const known = await versions.head(file);
    const newer = known !== undefined && isLater(known, incoming) ? known : incoming;
    change.put(keys.head(into, file), encodeHead(newer));
    if (known !== undefined) await mergeChains(versions, known, incoming);
    files += liveFiles(newer) - liveFiles(known);
    bytes += BigInt(newer.size) - BigInt(known?.size ?? 0);
  }
  await mergeResults(change, versions, from, into);
  versions.finish();
  return { ...target, files, bytes };
}

async function mergeResults(
  change: CatalogChange,
  versions: FileVersions,
  from: number,
  into: number,
): Promise<void> {
  for await (const [key, value] of change.scan(ranges.results(from))) {
    change.del(key);
    const result = readKey.result(key);
    const incoming = decodeHead(value);
    const known = await versions.resultHead(result);
    const newer = known !== undefined && isLater(known, incoming) ? known : incoming;
    change.put(keys.result(into, result), encodeHead(newer));
    if (known !== undefined) await mergeChains(versions, known, incoming);
  }
}

/**
 * Makes one chain of two of one file, in the order of its versions; the newest alone is live. What
 * took a version's place and was dropped since took it at its own time. Of more that were dropped
 * in a row nobody knows the times of those behind the first: what the other history has from
 * between them counts as current until the next one that is left. So it stays longer, not shorter.
 */
async function mergeChains(
  versions: FileVersions,
  one: KnownVersion,
  other: KnownVersion,
): Promise<void> {
  const all = [...(await chainFrom(versions, one)), ...(await chainFrom(versions, other))];
  all.sort((a, b) => (isLater(a, b) ? 1 : -1));
  let before: KnownVersion | undefined;
  let replacedBy: DroppedNext | undefined;
  for (const version of all) {
    if (isDropped(version)) replacedBy ??= version;
    else {
      await versions.setEarlier(version, before, replacedBy);
      [before, replacedBy] = [version, undefined];
    }
  }
  for (const head of [one, other])
    if (head !== before && head.kind !== 'gone' && head.kind !== 'result')
      await versions.setLive(head, false);
}

function isDropped(version: KnownVersion | DroppedNext): version is DroppedNext {
  return !('kind' in version);
}

/** The versions of a file, and what took the place of one of them and was dropped since. */
async function chainFrom(
  versions: FileVersions,
  head: KnownVersion,
): Promise<(KnownVersion | DroppedNext)[]> {
  const chain: (KnownVersion | DroppedNext)[] = [head];
  for (
    let at: EarlierVersion | undefined = await versions.earlier(head);
    at !== undefined;
    at = await versions.earlier(at)
  ) {
    if (at.replacedBy !== undefined) chain.push(at.replacedBy);
    chain.push(at);
  }
  return chain;
}

async function lineageRow(change: CatalogChange, id: LineageId): Promise<LineageRow | undefined> {
  const row = await change.get(keys.lineage(id));
  return row === undefined ? undefined : read.lineage(row);
}

/** The order of a file's versions: time, then place in the log. */
function isLater(a: DroppedNext, b: DroppedNext): boolean {
  return (a.timeMs - b.timeMs || a.leafIndex - b.leafIndex || a.slot - b.slot) > 0;
}

function liveFiles(head: HeadRow | undefined): number {
  return head?.kind === 'file' ? 1 : 0;
}
