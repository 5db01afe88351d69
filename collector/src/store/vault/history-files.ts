import { decodeStoredPurged, type StoredPurged } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { noSums } from '../catalog/catalog-rows.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import {
  type BegunPurge,
  decodePurgedCommit,
  decodePurging,
  encodePurgedCommit,
  encodePurging,
} from '../catalog/purge-row.ts';
import { read, values } from '../catalog/row-codec.ts';
import { StoreError } from '../errors.ts';
import type {
  HistoryKind,
  HistoryLog,
  HistoryPlace,
  HistoryRecord,
} from '../history/history-log.ts';
import { knownHistory } from './core-load.ts';

/*
 * Files of the history that were written anew: the catalog notes which generation of each its
 * places are of. It follows the files, never the other way round.
 */

/** How often each file was written anew, as the catalog's places have it. */
async function knownGenerations(catalog: CatalogStore): Promise<Map<number, number>> {
  const known = new Map<number, number>();
  for await (const [key, value] of catalog.scan(ranges.historyFiles))
    known.set(readKey.historyFile(key), read.u32(value));
  return known;
}

/**
 * Brings the places of a catalog to the files that are in force, where a crash, or a catalog that
 * fell back, has left it behind; whether it was. The caller writes it. Throws `STORE_CATALOG` where
 * it has to be made again.
 */
export async function followFiles(history: HistoryLog, catalog: CatalogStore): Promise<boolean> {
  const known = await knownGenerations(catalog);
  const point = await knownHistory(catalog);
  const change = new CatalogChange(catalog);
  let hasChanged = false;
  for (const { file, generation } of history.files()) {
    if ((known.get(file) ?? 0) === generation) continue;
    hasChanged = true;
    // What stands behind its point the catalog has not taken in: there the places come by replay.
    if (point.file === file && point.offset > 0) throw behind(file);
    if (point.file > file) {
      const places: PlacedRecord[] = [];
      for await (const { place, ...record } of history.replay({ file, offset: 0 })) {
        if (place.file !== file) break;
        places.push(placed(record, record.isBroken, place));
      }
      for (const row of await rowsAt(catalog, file, places)) change.put(...row);
    }
    // As a replay has it, one that was put back by hand has no row.
    if (generation === 0) change.del(keys.historyFile(file));
    else change.put(keys.historyFile(file), values.u32(generation));
  }
  change.commit();
  return hasChanged;
}

/** A record by its kind, and where it stands. */
export interface PlacedRecord extends Pick<HistoryRecord, 'kind'> {
  readonly place: HistoryPlace;
  /** Of a purged commit. */
  readonly purged?: Pick<StoredPurged, 'purgeId' | 'leafIndex'> | undefined;
}

/** A record at its place. */
export function placed(
  { kind, payload }: HistoryRecord,
  isBroken: boolean | undefined,
  place: HistoryPlace,
): PlacedRecord {
  const purged = kind === 'purged' && isBroken !== true ? decodeStoredPurged(payload) : undefined;
  return { kind, place, purged };
}

/** The rows of leaves and of purged commits of a file whose records stand at other places. */
export async function rowsAt(
  catalog: CatalogStore,
  file: number,
  records: readonly PlacedRecord[],
): Promise<[Buffer, Buffer][]> {
  return [...(await leavesAt(catalog, file, records)), ...(await purgedAt(catalog, file, records))];
}

/** What a crash has left of an approval stands before the record that is meant. */
async function purgedAt(
  catalog: CatalogStore,
  file: number,
  records: readonly PlacedRecord[],
): Promise<[Buffer, Buffer][]> {
  const places = new Map<string, HistoryPlace[]>();
  const nameOf = ({ purgeId, leafIndex }: Pick<StoredPurged, 'purgeId' | 'leafIndex'>) =>
    `${hex(purgeId)} ${leafIndex}`;
  for (const { purged, place } of records) {
    if (purged === undefined) continue;
    const name = nameOf(purged);
    places.set(name, [...(places.get(name) ?? []), place]);
  }
  const rows: [Buffer, Buffer][] = [];
  if (places.size === 0) return rows;
  for await (const [key, value] of catalog.scan(ranges.purged)) {
    const row = decodePurgedCommit(value);
    const leafIndex = readKey.number(key);
    const place = places.get(nameOf({ ...row, leafIndex }))?.at(-1);
    if (row.place.file !== file || place === undefined) continue;
    rows.push([key, encodePurgedCommit({ ...row, place })]);
  }
  const begun = await begunPurges(catalog);
  if (begun.every(({ place }) => place.file !== file)) return rows;
  const moved = begun.map((one) => {
    if (one.place.file !== file) return one;
    return { ...one, place: places.get(nameOf(one))?.shift() ?? one.place };
  });
  rows.push([keys.purging, encodePurging(moved)]);
  return rows;
}

/** The records of purges that no approval has made mean anything, in their order. */
export async function begunPurges(catalog: CatalogStore): Promise<BegunPurge[]> {
  const begun = await catalog.get(keys.purging);
  return begun === undefined ? [] : decodePurging(begun);
}

/** Whether records of a kind are leaves of the log. */
export function isLeaf(kind: HistoryKind): boolean {
  return kind === 'commit' || kind === 'thinned' || kind === 'event';
}

/**
 * The catalog's rows of the leaves in a file whose records stand at other places: it is known which
 * leaf is its first, and their order never changes. Throws `STORE_CATALOG` where they do not fit.
 */
async function leavesAt(
  catalog: CatalogStore,
  file: number,
  records: readonly PlacedRecord[],
): Promise<[Buffer, Buffer][]> {
  const leaves = records.filter(({ kind }) => isLeaf(kind));
  const first = await firstLeafOf(catalog, file);
  const rows: [Buffer, Buffer][] = [];
  let at = 0;
  for await (const [key, value] of catalog.scan(
    ranges.leavesBetween(first, first + leaves.length + 1),
  )) {
    const row = read.leaf(value);
    const next = leaves[at];
    at += 1;
    if (row.place.file !== file && next === undefined) break;
    const type = next?.kind === 'event' ? 'event' : 'commit';
    if (next === undefined || row.place.file !== file || row.type !== type) throw behind(file);
    rows.push([key, values.leaf(next.place, row.type, row.bytes)]);
  }
  if (rows.length !== leaves.length) throw behind(file);
  return rows;
}

/** The first leaf whose record stands in a file or behind it: leaves stand in their order. */
export async function firstLeafOf(catalog: CatalogStore, file: number): Promise<number> {
  const sums = await catalog.get(keys.sums);
  let [low, high] = [0, (sums === undefined ? noSums : read.sums(sums)).leaves];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = await catalog.get(keys.leaf(middle));
    if (row === undefined) throw behind(file);
    if (read.leaf(row).place.file < file) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The leaves of commits that purges have sealed anew, rising. */
export async function purgedLeaves(catalog: CatalogStore): Promise<number[]> {
  const leaves: number[] = [];
  for await (const [key] of catalog.scan(ranges.purged)) leaves.push(readKey.number(key));
  return leaves;
}

function behind(file: number): StoreError {
  const says = `the catalog does not know file ${file} of the history as it is`;
  return new StoreError('STORE_CATALOG', `${says}; run aliquot fsck --repair`);
}
