import {
  type ChunkId,
  type CommitHash,
  type CommitHeader,
  ID_BYTES,
  type LineageId,
  MAX_SLAB_PIECES,
  type ReceiptBody,
  type References,
  type ResultId,
  rowKind,
  type Signed,
  type StoredReferences,
  type StoredUploads,
  type VersionBlock,
} from '@aliquot/proto';
import type { CommitRows } from '@aliquot/shared/commit/rows';
import { clampVersionTime } from '@aliquot/shared/log/version-time';
import { keys } from '../catalog/catalog-keys.ts';
import { type LineageRow, newLineage, noSums, type Sums } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { ExactSum } from '../catalog/exact-sum.ts';
import { isSet, setBit } from '../catalog/item-row.ts';
import type { NamedContents, NamedSlab } from '../catalog/named-contents.ts';
import { idName } from '../catalog/reference-walk.ts';
import { read, values } from '../catalog/row-codec.ts';
import type { HeadRow } from '../catalog/version-rows.ts';
import { applyChainHead } from './apply-fork.ts';
import { itemRowOf } from './apply-items.ts';
import { type Effect, IDLE, type LeafPlace } from './effect.ts';
import { FileVersions } from './file-versions.ts';
import { own } from './own-items.ts';

/*
 * How each kind of record of the history changes the catalog. The live store and a replay both come
 * through here, with the same inputs, so that the catalog is one function of the history (I-C2).
 */

/** The sums as a change leaves them. */
export async function sumsOf(change: CatalogChange): Promise<Sums> {
  const row = await change.get(keys.sums);
  return row === undefined ? noSums : read.sums(row);
}

/** Who uploaded what. */
export async function applyUploads(
  change: CatalogChange,
  { lineageId, ids }: StoredUploads,
): Promise<Effect> {
  await own(change, lineageId, ids, 'uploaded');
  return IDLE;
}

/** Pages of which everything below is in the lineage's set, and what they say of their chunks. */
export async function applyReferences(
  change: CatalogChange,
  { lineageId, pages, chunks, plainSizes }: StoredReferences,
): Promise<Effect> {
  await own(change, lineageId, pages, 'referenced');
  const sizes = chunks.map((id, at) => ({ id, plainSize: plainSizes[at] ?? 0 }));
  const uniqueBytes = await applyPlainSizes(change, sizes);
  const sums = await sumsOf(change);
  change.put(keys.sums, values.sums({ ...sums, uniqueBytes: sums.uniqueBytes + uniqueBytes }));
  return IDLE;
}

/**
 * Notes the plaintext bytes of chunks that nothing had referred to before; answers with their sum.
 */
async function applyPlainSizes(
  change: CatalogChange,
  chunks: readonly { readonly id: ChunkId; readonly plainSize: number }[],
): Promise<bigint> {
  await change.prefetch(chunks.map(({ id }) => keys.item(id)));
  let uniqueBytes = 0n;
  for (const { id, plainSize } of chunks) {
    const row = await itemRowOf(change, id);
    if (row.plainSize !== undefined) continue;
    change.put(keys.item(id), values.item({ ...row, plainSize }));
    uniqueBytes += BigInt(plainSize);
  }
  return uniqueBytes;
}

/** As much as a row holds: more than a slab can have, and less than its references may claim. */
const MOST_PLAIN_BYTES = 2 ** 32 - 2;

/**
 * Notes pieces of slabs that nothing had referred to before; answers with the sum of their
 * plaintext bytes as the references state them.
 */
async function applyNamedPieces(
  change: CatalogChange,
  slabs: readonly NamedSlab[],
): Promise<bigint> {
  await change.prefetch(slabs.map(({ id }) => keys.item(id)));
  let uniqueBytes = 0n;
  for (const { id, plainSizes } of slabs) {
    const row = await itemRowOf(change, id);
    const named = new Uint8Array(MAX_SLAB_PIECES / 8);
    named.set(row.named);
    let bytes = 0;
    let most = 8 * row.named.length - 1;
    for (const [piece, plainSize] of plainSizes.entries()) {
      if (plainSize === 0 || isSet(named, piece)) continue;
      setBit(named, piece);
      bytes += plainSize;
      most = Math.max(most, piece);
    }
    if (bytes === 0) continue;
    const marks = named.subarray(0, (most >>> 3) + 1);
    const before = row.plainSize ?? 0;
    const plainSize = Math.min(before + bytes, MOST_PLAIN_BYTES);
    change.put(keys.item(id), values.item({ ...row, plainSize, named: marks }));
    uniqueBytes += BigInt(plainSize - before);
  }
  return uniqueBytes;
}

/** The leaf of a record, with what its place in the tree changes. */
export function applyLeaf(change: CatalogChange, type: 'commit' | 'event', leaf: LeafPlace): void {
  change.put(keys.leaf(leaf.leafIndex), values.leaf(leaf.place, type, leaf.bytes));
  for (const node of leaf.nodes)
    change.put(keys.node(node.level, node.index), Buffer.from(node.hash));
}

/** A leaf whose record cannot be applied. */
export async function applyLeafOnly(
  change: CatalogChange,
  type: 'commit' | 'event',
  leaf: LeafPlace,
): Promise<void> {
  applyLeaf(change, type, leaf);
  change.put(keys.sums, values.sums(withLeaf(await sumsOf(change), leaf)));
}

/** The sums with one leaf more. */
export function withLeaf(sums: Sums, leaf: LeafPlace): Sums {
  return {
    ...sums,
    leaves: leaf.leafIndex + 1,
    lastLeafMs: Math.max(sums.lastLeafMs, leaf.timeMs),
  };
}

export interface AcceptedCommit {
  readonly header: Pick<CommitHeader, 'agentId' | 'chainId' | 'sequence'>;
  readonly hash: CommitHash;
  readonly rows: CommitRows;
  /** Versions that its agent declared lost. */
  readonly lostVersions: number;
  /** What they refer to. */
  readonly contents: NamedContents;
  /** Whose one set holds what it refers to. */
  readonly lineageId: LineageId;
  /** The trunk's (the lineage's own id), or one held apart. */
  readonly branchId: LineageId;
  /** Lower bound of version times when the history has no receipt yet. */
  readonly earliestMs: number | undefined;
  readonly receipt: Signed;
  readonly receiptBody: ReceiptBody;
  readonly leaf: LeafPlace;
}

export async function applyCommit(change: CatalogChange, commit: AcceptedCommit): Promise<Effect> {
  const { header, lineageId, branchId, leaf } = commit;
  applyLeaf(change, 'commit', leaf);
  const head = { chainId: header.chainId, sequence: header.sequence, hash: commit.hash };
  const { receivedAtMs } = commit.receiptBody;
  const { timeMs: receiptMs } = leaf;
  const { receipt } = commit;
  const line = { head, leafIndex: leaf.leafIndex, receivedAtMs: receiptMs, receipt };
  change.put(keys.line(header.agentId, branchId), values.chain(line));
  change.put(
    keys.link(header.agentId, head),
    values.link({ leafIndex: leaf.leafIndex, receivedAtMs, branchId }),
  );
  const tellHead = await applyChainHead(change, header.agentId, lineageId, { head, branchId });

  const versions = commit.lostVersions;
  const lost = { sequence: header.sequence, versions, timeMs: leaf.timeMs };
  if (versions > 0) change.put(keys.lost(header.agentId, leaf.leafIndex), values.lost(lost));
  const uniqueBytes =
    (await applyPlainSizes(change, chunksNamedBy(commit.contents))) +
    (await applyNamedPieces(change, commit.contents.slabs));
  const lineageBefore = await change.get(keys.lineage(branchId));
  const known = withLeaf(await sumsOf(change), leaf);
  const before =
    lineageBefore === undefined ? newLineage(known.histories) : read.lineage(lineageBefore);
  const versionsOf = new FileVersions(change, before.number);
  const afterMs = lowerBound(before, receiptMs, commit.earliestMs);
  const counts = await applyVersions(versionsOf, commit, afterMs);
  const lineage = {
    number: before.number,
    files: before.files + counts.files,
    bytes: before.bytes + counts.bytes,
    lastReceiptMs: receiptMs,
    afterMs,
  };
  change.put(keys.lineage(branchId), values.lineage(lineage));

  const grown: Sums = {
    ...known,
    rawBytes: known.rawBytes + counts.rawBytes,
    uniqueBytes: known.uniqueBytes + uniqueBytes,
    commits: known.commits + 1,
    versions: known.versions + counts.versions,
    files: known.files + counts.files,
    liveBytes: known.liveBytes + counts.bytes,
    histories: Math.max(known.histories, before.number + 1),
  };
  change.put(keys.sums, values.sums(grown));
  return (registry) => {
    registry.lines(header.agentId)?.setLine(branchId, line);
    tellHead(registry);
    registry.setLineage(branchId, lineage);
    if (versions > 0) registry.addLost(header.agentId, lost);
  };
}

/**
 * The newest receipt of a line that bears another time than its next one, which bears `receiptMs`.
 */
function lowerBound(
  { lastReceiptMs, afterMs }: LineageRow,
  receiptMs: number,
  earliestMs: number | undefined,
): number | undefined {
  if (lastReceiptMs === undefined) return earliestMs;
  return lastReceiptMs < receiptMs ? lastReceiptMs : afterMs;
}

/** The chunks that versions name themselves: what pages say was noted when they were proved. */
function chunksNamedBy({ lists }: NamedContents): References['refs'][number][] {
  const refs = lists.flatMap(({ depth, refs }) => (depth === 0 ? refs : []));
  return [...new Map(refs.map((ref) => [idName(ref.id), ref])).values()];
}

interface Counts {
  readonly files: number;
  readonly bytes: bigint;
  readonly rawBytes: bigint;
  readonly versions: number;
}

/** Enters each version as the newest of its file, at its time. */
async function applyVersions(
  versions: FileVersions,
  { rows, leaf: { leafIndex, timeMs: receiptMs } }: AcceptedCommit,
  afterMs: number | undefined,
): Promise<Counts> {
  const [bytes, rawBytes] = [new ExactSum(), new ExactSum()];
  let [files, count] = [0, 0];
  const membersMs = new Map<string, number>();
  const heads = await versions.headsOf(rows.blocks.map(({ rows: { ids } }) => ids));
  const results = new Map<string, HeadRow | undefined>();
  for (const id of resultsIn(rows)) results.set(idName(id), await versions.resultHead(id));
  let [block, known] = [-1, heads[0]];
  let columns: VersionBlock | undefined;
  rows.each((of, place, slot) => {
    if (of !== columns) {
      do block += 1;
      while (rows.blocks[block]?.rows !== of);
      [columns, known] = [of, heads[block]];
    }
    const claimed = clampVersionTime(of.capturedMs[place] ?? 0, afterMs, receiptMs);
    const [kind, size] = [rowKind(of, place), of.sizes[place] ?? 0];
    if (kind === 'result') {
      const resultId = idAt(of, place) as ResultId;
      const name = idName(resultId);
      const before = results.get(name);
      const least = Math.max(before?.timeMs ?? 0, membersMs.get(name) ?? 0);
      const head = { timeMs: Math.max(claimed, least), leafIndex, slot, kind, size };
      versions.enterResult(resultId, before, head);
      results.set(name, head);
      return;
    }
    const before = known?.at(place);
    // The agent sends a file's versions in the order of capture; its clock may have jumped back in
    // between.
    const timeMs = Math.max(claimed, before?.timeMs ?? 0);
    known?.enter(place, before, { timeMs, leafIndex, slot, kind, size }, afterMs);
    // Nor is a result older than the members that it follows.
    const result = of.results[of.resultOf[place] ?? -1];
    if (result !== undefined)
      membersMs.set(idName(result), Math.max(timeMs, membersMs.get(idName(result)) ?? 0));
    files += liveFiles(kind) - liveFiles(before?.kind);
    bytes.add(size);
    bytes.add(-(before?.size ?? 0));
    rawBytes.add(size);
    count += 1;
  });
  versions.finish();
  return { files, bytes: bytes.value, rawBytes: rawBytes.value, versions: count };
}

function resultsIn(rows: CommitRows): ResultId[] {
  return rows.blocks.flatMap(({ rows: block }) =>
    [...block.kinds.keys()].flatMap((place) =>
      rowKind(block, place) === 'result' ? [idAt(block, place) as ResultId] : [],
    ),
  );
}

function idAt({ ids }: VersionBlock, place: number): Uint8Array {
  return ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES);
}

function liveFiles(kind: HeadRow['kind'] | undefined): number {
  return kind === 'file' ? 1 : 0;
}
