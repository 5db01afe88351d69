import {
  type ChunkId,
  decodePurgeApprovalBody,
  type EventBody,
  ID_BYTES,
  type LineageId,
  type PurgeOrderBody,
} from '@aliquot/proto';
import { keysWholeSlab } from '@aliquot/shared/commit/purge';
import { type CommitRows, readCommit } from '@aliquot/shared/commit/rows';
import { bitsOf } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys, ranges } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { encodePurgedCommit } from '../catalog/purge-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import { read } from '../catalog/row-codec.ts';
import { passedOver } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { ownedBy } from './own-items.ts';

/** A commit that a purge has to seal anew, as it is served until then. */
export interface ConcernedCommit {
  readonly leafIndex: number;
  /** What of it goes: a bit for each slot; none where it only has the key of a slab. */
  readonly slots: Uint8Array;
  readonly commit: Uint8Array;
}

/** All of them, in the order of their leaves, and what tells slabs of which a piece goes. */
export interface Concerned {
  readonly commits: readonly ConcernedCommit[];
  opensPurged(slabId: Uint8Array): boolean;
}

/**
 * The commits with rows of the files of an order, whatever became of those versions, and those that
 * have the key of a slab of which a piece goes. Reads every commit of the lineage, and of those
 * that have such a slab: rows stand in clear as far as this goes. Errors: `STORE_DAMAGED`.
 */
export async function concernedCommits(
  core: VaultCore,
  { lineageId, fileIds, head }: Pick<PurgeOrderBody, 'lineageId' | 'fileIds' | 'head'>,
  commitAt: (leafIndex: number) => Promise<{ readonly commit: Uint8Array } | undefined> = (at) =>
    core.servedCommit(at),
): Promise<Concerned> {
  const wanted = new Set(fileIds.map(idName));
  const slabs = new Map<string, ChunkId>();
  const found = new Map<number, ConcernedCommit>();
  for (const leafIndex of await leavesOf(core, lineageId)) {
    if (leafIndex >= head.size) continue;
    const commit = (await commitAt(leafIndex))?.commit;
    if (commit === undefined) continue;
    const slots = slotsOf(readCommit(commit).rows, wanted, slabs);
    if (slots.length > 0) found.set(leafIndex, { leafIndex, slots, commit });
  }
  const opensPurged = (id: Uint8Array): boolean => slabs.has(idName(id));
  for (const lineage of await lineagesWith(core, [...slabs.values()]))
    for (const leafIndex of await leavesOf(core, lineage)) {
      if (found.has(leafIndex)) continue;
      const commit = (await commitAt(leafIndex))?.commit;
      if (commit === undefined) continue;
      const { blocks } = readCommit(commit).rows;
      if (blocks.some(({ rows }) => keysWholeSlab(rows, opensPurged)))
        found.set(leafIndex, { leafIndex, slots: new Uint8Array(0), commit });
    }
  const commits = [...found.values()].sort((a, b) => a.leafIndex - b.leafIndex);
  return { commits, opensPurged };
}

/**
 * Of an approved purge of which a record has rotted: the commits that it had sealed anew, and that
 * are nowhere now, are served no more, or what went would come back with them.
 */
export async function withholdUnread(
  change: CatalogChange,
  core: VaultCore,
  { approval }: Extract<EventBody, { type: 'purgeApproved' }>,
  approvedLeaf: number,
): Promise<void> {
  const { purgeId } = decodePurgeApprovalBody(approval.body);
  const body = core.registry.purges.get(purgeId)?.body;
  if (body === undefined) return;
  const asAccepted = (leafIndex: number) => core.storedCommit(leafIndex).catch(passedOver);
  for (const { leafIndex, slots } of (await concernedCommits(core, body, asAccepted)).commits) {
    const key = keys.purged(leafIndex, approvedLeaf);
    if ((await change.get(key)) !== undefined) continue;
    const withheld = { purgeId, place: nowhere, approvedLeaf, slots };
    change.put(key, encodePurgedCommit(withheld));
  }
}

/** No file has this number. */
const nowhere = { file: 0, offset: 0, length: 0 };

/** What of a commit are versions of these files; the slabs of their pieces are added to `slabs`. */
function slotsOf(
  rows: CommitRows,
  wanted: ReadonlySet<string>,
  slabs: Map<string, ChunkId>,
): Uint8Array {
  const slots: number[] = [];
  // Rows of versions that were lost have their names all the same.
  rows.asSigned.each((block, place, slot) => {
    if (!wanted.has(idName(block.ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES)))) return;
    slots.push(slot);
    const slab = block.slabs[block.slabOf[place] ?? -1];
    if (slab !== undefined) slabs.set(idName(slab.id), slab.id.slice() as ChunkId);
  });
  return bitsOf(slots);
}

/** The lineages that have any of these items. */
async function lineagesWith(core: VaultCore, ids: readonly ChunkId[]): Promise<LineageId[]> {
  if (ids.length === 0) return [];
  const rows = await core.items.rows(ids);
  const lineages = new Map(
    core.registry.rows().map(({ lineageId }) => [idName(lineageId), lineageId]),
  );
  const having: LineageId[] = [];
  for (const lineageId of lineages.values())
    if ((await ownedBy(core.catalog, lineageId, ids, rows)).some((owned) => owned !== undefined))
      having.push(lineageId);
  return having;
}

/** The leaves of all commits of a lineage's agents, rising. */
async function leavesOf({ catalog, registry }: VaultCore, lineageId: LineageId): Promise<number[]> {
  const leaves: number[] = [];
  for (const row of registry.rows()) {
    if (!equalBytes(row.lineageId, lineageId)) continue;
    for await (const [, value] of catalog.scan(ranges.linksOf(row.agentId)))
      leaves.push(read.link(value).leafIndex);
  }
  return leaves.sort((a, b) => a - b);
}
