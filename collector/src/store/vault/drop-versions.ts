import type { FileId, LeafSlots, ResultId, StoredDropped } from '@aliquot/proto';
import { bitsOf } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { mayDrop } from '../../collection/progress.ts';
import { CatalogChange } from '../catalog/catalog-store.ts';
import { idName } from '../catalog/reference-walk.ts';
import { type KnownVersion, placeName, type VersionPlace } from '../catalog/version-rows.ts';
import type { VaultCore } from './core.ts';
import { droppable } from './droppable.ts';
import { FileVersions } from './file-versions.ts';
import type { NamedVersion } from './named-versions.ts';

/**
 * Drops versions of one history that retention lets go, but for those that nothing may drop: see
 * `droppable`; of a lineage that waits for a sweep none. `named` is what their records say of them.
 * Answers with how many went. In the vault's queue; the record is durable with the next sync.
 */
export async function dropVersions(
  core: VaultCore,
  letGo: StoredDropped,
  named: readonly NamedVersion[],
): Promise<number> {
  const history = core.registry.lineage(letGo.branchId)?.number;
  const lineageId = core.registry.lineageOf(letGo.branchId);
  if (history === undefined || lineageId === undefined) return 0;
  const { announced, swept, droppedVersions } = core.registry.sweep(lineageId);
  if (!mayDrop({ announced, swept, hasDropped: droppedVersions > 0 })) return 0;
  const versions = new FileVersions(new CatalogChange(core.catalog), history);
  const going: NamedVersion[] = [];
  for (const of of bySubject(named).values())
    going.push(...(await goingOf(versions, of, equalBytes(lineageId, letGo.branchId))));
  if (going.length === 0) return 0;
  await core.appendDropped({ ...letGo, leaves: slotsOf(going) }, going);
  return going.length;
}

function bySubject(named: readonly NamedVersion[]): Map<string, NamedVersion[]> {
  const subjects = new Map<string, NamedVersion[]>();
  for (const version of named) {
    const name = `${version.isResult ? 'R' : 'H'}${idName(version.id)}`;
    const of = subjects.get(name) ?? [];
    of.push(version);
    subjects.set(name, of);
  }
  return subjects;
}

/** Those of one file's versions that may go. */
async function goingOf(
  versions: FileVersions,
  letGo: readonly NamedVersion[],
  trunk: boolean,
): Promise<NamedVersion[]> {
  const [first] = letGo;
  if (first === undefined) return [];
  const { id, isResult } = first;
  const byPlace = new Map(letGo.map((version) => [placeName(version), version]));
  const chain: KnownVersion[] = [];
  let at: KnownVersion | undefined = await (isResult
    ? versions.resultHead(id as ResultId)
    : versions.head(id as FileId));
  let left = byPlace.size;
  for (; at !== undefined; at = await versions.earlier(at)) {
    chain.push(at);
    if (byPlace.has(placeName(at))) left -= 1;
    // What is behind the last of them bears on a "gone" alone.
    const [newest] = chain;
    const isEnding = newest?.kind === 'gone' && byPlace.has(placeName(newest));
    if (left === 0 && !isEnding) break;
  }
  const may = droppable(
    chain.map((version) => {
      return { kind: version.kind, isLetGo: byPlace.has(placeName(version)) };
    }),
    { isTrunk: trunk },
  );
  return chain.flatMap((version, place) =>
    may[place] === true ? (byPlace.get(placeName(version)) ?? []) : [],
  );
}

/** Versions as slots of their leaves, in the order of these. */
function slotsOf(versions: readonly VersionPlace[]): LeafSlots[] {
  const leaves = new Map<number, number[]>();
  for (const { leafIndex, slot } of versions) {
    const slots = leaves.get(leafIndex) ?? [];
    slots.push(slot);
    leaves.set(leafIndex, slots);
  }
  return [...leaves]
    .sort(([a], [b]) => a - b)
    .map(([leafIndex, slots]) => ({ leafIndex, slots: bitsOf(slots) }));
}
