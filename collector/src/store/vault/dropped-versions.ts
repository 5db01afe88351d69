import { asCommitHash, type CommitHash, decodeLogLeaf, type LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { decodeDroppedNote } from '../catalog/dropped-note.ts';
import { isSet } from '../catalog/item-row.ts';
import { approvalOfRun } from '../catalog/purge-row.ts';
import { read } from '../catalog/row-codec.ts';
import type { DroppedPlace, DroppedVersion, Subject } from '../vault-retention.ts';
import type { VaultCore } from './core.ts';

/** What was dropped of a file or result, the oldest first, as far as it was noted. */
export async function droppedOf(
  core: VaultCore,
  { branchId, id }: Pick<Subject, 'branchId' | 'id'>,
): Promise<DroppedVersion[]> {
  const history = core.registry.lineage(branchId)?.number;
  if (history === undefined) return [];
  const lineageId = core.registry.lineageOf(branchId) ?? branchId;
  const found: DroppedVersion[] = [];
  for await (const [key, value] of core.catalog.scan(ranges.droppedOf(history, id))) {
    const place = readKey.droppedPlace(key);
    const note = decodeDroppedNote(value);
    // A note may be of what a rollback took: the history says what was dropped.
    const slots = await core.catalog.get(keys.dropped(place.leafIndex, note.run));
    if (slots === undefined || !isSet(slots, place.slot)) continue;
    const purge = approvalOfRun(note.run);
    found.push({
      ...place,
      ...note,
      purge,
      commit: await commitAt(core, place.leafIndex, lineageId),
    });
  }
  return found.sort((a, b) => a.fromMs - b.fromMs);
}

/** See `VaultRetention.droppedById`. Reads rows of the catalog alone. */
export async function droppedById(
  core: VaultCore,
  lineageId: LineageId,
  { digits, slot }: { readonly digits: string; readonly slot: number | undefined },
): Promise<DroppedPlace[]> {
  const found: DroppedPlace[] = [];
  let [known, commit]: [number, CommitHash | undefined] = [-1, undefined];
  for await (const [key, slots] of core.catalog.scan(ranges.dropped)) {
    const leafIndex = readKey.droppedLeaf(key);
    if (leafIndex !== known) commit = await commitAt(core, leafIndex, lineageId);
    known = leafIndex;
    if (commit === undefined || !hex(commit).startsWith(digits)) continue;
    const run = readKey.droppedRun(key);
    const wanted = slot === undefined ? [...new Array(slots.length * 8).keys()] : [slot];
    for (const one of wanted)
      if (isSet(slots, one))
        found.push({ leafIndex, slot: one, run, purge: approvalOfRun(run), commit });
  }
  return found;
}

/** The hash of a commit of a lineage, by its leaf: its record is not read. */
async function commitAt(
  core: VaultCore,
  leafIndex: number,
  lineageId: LineageId,
): Promise<CommitHash | undefined> {
  const row = await core.catalog.get(keys.leaf(leafIndex));
  if (row === undefined) return undefined;
  const { type, bytes } = read.leaf(row);
  if (type !== 'commit') return undefined;
  const { subject, agentId } = decodeLogLeaf(bytes);
  const of = agentId && core.registry.row(agentId)?.lineageId;
  return of !== undefined && equalBytes(of, lineageId) ? asCommitHash(subject) : undefined;
}
