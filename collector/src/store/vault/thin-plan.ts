import {
  type ChunkId,
  decodeSignedCommit,
  decodeStoredCommit,
  decodeStoredDropped,
  encodeStoredCommit,
  type StoredCommit,
} from '@aliquot/proto';
import { CommitRows } from '@aliquot/shared/commit/rows';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import { isOwned, isSet } from '../catalog/item-row.ts';
import { contentsOf } from '../catalog/named-contents.ts';
import { passedOver } from '../errors.ts';
import { type HistoryFile, type HistoryLog, historyStart } from '../history/history-log.ts';
import { united } from './apply-dropped.ts';
import type { VaultCore } from './core.ts';
import { knownHistory } from './core-load.ts';
import { firstLeafOf, purgedLeaves } from './history-files.ts';
import { thinned } from './thin-commit.ts';

const NO_SLOTS: Uint8Array = new Uint8Array(0);

/** A closed file of the history, and what would go of it if it were written anew. */
export interface FilePlan extends HistoryFile {
  readonly goesBytes: number;
  /** Its leaves: from one on, up to another. */
  readonly from: number;
  readonly below: number;
  /** Chunks of rows that would go which nobody has any more, by the catalog. */
  readonly dead: readonly ChunkId[];
}

/**
 * The closed files of which something would go, by their numbers, as the catalog proposes it. Reads
 * each commit of which versions were dropped.
 */
export async function* planFiles(core: VaultCore): AsyncGenerator<FilePlan, void, void> {
  const { file: open } = core.history.end;
  // Where a replay would begin, no place may move.
  const { file: known } = await knownHistory(core.catalog);
  const purged = await purgedLeaves(core.catalog);
  for (const whole of core.history.files()) {
    if (whole.file >= Math.min(open, known)) return;
    const from = await firstLeafOf(core.catalog, whole.file);
    const below = await firstLeafOf(core.catalog, whole.file + 1);
    // What a purge has left of a commit is served whole: its record stays what that is.
    if (purged.some((leaf) => leaf >= from && leaf < below)) continue;
    const plan = { ...whole, from, below, ...(await goingOf(core, from, below)) };
    if (plan.goesBytes > 0) yield plan;
  }
}

async function goingOf(
  core: VaultCore,
  from: number,
  below: number,
): Promise<Pick<FilePlan, 'goesBytes' | 'dead'>> {
  let goesBytes = 0;
  const dead: ChunkId[] = [];
  const dropped = new Map<number, Uint8Array>();
  for await (const [key, slots] of core.catalog.scan(ranges.droppedBetween(from, below))) {
    const leaf = readKey.droppedLeaf(key);
    dropped.set(leaf, united(dropped.get(leaf) ?? NO_SLOTS, slots));
  }
  for (const [leafIndex, slots] of dropped) {
    const record = await core.leafRecord(leafIndex).catch(passedOver);
    if (record?.type !== 'commit') continue;
    const stored = decodeStoredCommit(record.payload);
    const gone = goingBlocks(stored, slots);
    if (gone.size === 0) continue;
    const after = thinned(stored, { gone, replaced: new Map() }, () => true);
    goesBytes += record.payload.length - encodeStoredCommit(after).length;
    dead.push(...(await unownedIn(core, after)));
  }
  return { goesBytes, dead };
}

/** Chunks that facts of a commit name and that no lineage has. */
async function unownedIn(core: VaultCore, { commit, facts }: StoredCommit): Promise<ChunkId[]> {
  const { lists } = contentsOf(new CommitRows(decodeSignedCommit(commit), facts));
  const ids = lists.flatMap(({ refs }) => refs.map(({ id }) => id));
  const rows = await core.items.rows(ids);
  return ids.filter((_, at) => {
    const row = rows[at];
    return row === undefined || !isOwned(row);
  });
}

/**
 * The blocks of a commit of which every row was dropped, or was lost by its agent before. One that
 * is gone already, or of which nothing was dropped, is none of them.
 */
export function goingBlocks({ commit }: StoredCommit, dropped: Uint8Array): ReadonlySet<number> {
  const signed = decodeSignedCommit(commit);
  const lacking = new Set(signed.lacking);
  const going = new Set<number>();
  for (const [at, { rows, from, gone }] of new CommitRows(signed).blocks.entries()) {
    if (gone !== undefined) continue;
    const slots = [...rows.numbers].map((number) => from + number);
    const isLeft = slots.some((slot) => !isSet(dropped, slot) && !lacking.has(slot));
    if (!isLeft && slots.some((slot) => isSet(dropped, slot))) going.add(at);
  }
  return going;
}

/**
 * What the history itself says was dropped of some leaves, from its first record to its last: a bit
 * for each slot. What the catalog says is a proposal (D5), and a record that has rotted says
 * nothing.
 */
export async function provedDropped(
  history: HistoryLog,
  isAsked: (leafIndex: number) => boolean,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const dropped = new Map<number, Uint8Array>();
  for await (const { kind, payload, isBroken } of history.replay(historyStart)) {
    if (kind !== 'dropped' || isBroken === true) continue;
    for (const { leafIndex, slots } of decodeStoredDropped(payload).leaves)
      if (isAsked(leafIndex))
        dropped.set(leafIndex, united(dropped.get(leafIndex) ?? NO_SLOTS, slots));
  }
  return dropped;
}
