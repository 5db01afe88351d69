import type { ChunkId } from '@aliquot/proto';
import { mapKey, releasePart } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange } from '../catalog/catalog-store.ts';
import { type HeldPlace, isSet, nowhere, placesToRead } from '../catalog/item-row.ts';
import { isDamaged, StoreError } from '../errors.ts';
import { comparePlaces, type PackItem, type PackRow, type Place } from '../packs/pack-store.ts';
import { thinnedSlab } from '../packs/slab-pieces.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { provedRuns } from './proved-runs.ts';

/** Bytes, and items, that are written in one go: others wait no longer than for an upload. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_ITEMS = 1024;

/** What copying needs. */
export interface CopyParts {
  readonly keeper: CoreKeeper;
  readonly core: VaultCore;
  readonly hasher: Hasher;
  /** Called with the bytes that were just copied; rests where that was fast. */
  readonly copied: (bytes: number) => Promise<void>;
  readonly isStopped: () => boolean;
}

/** Items that are sound outside of the pack that they lay in, by `mapKey` of their ids. */
export type Moved = Map<string, Place>;

/**
 * Copies items of one pack into the newest, but for those that lie elsewhere too and prove there.
 * What is copied is proved before; it is not durable yet. Answers with the ids of which no place
 * proves: those are known as damaged from now on.
 */
export async function copyItems(
  parts: CopyParts,
  pack: number,
  rows: readonly PackRow[],
  moved: Moved,
): Promise<ChunkId[]> {
  const { items } = parts.core;
  // What is known to be damaged comes first: where it keeps the pack, nothing is copied for
  // nothing.
  const inOrder = [
    ...rows.filter(({ id }) => items.isDamaged(id)),
    ...rows.filter(({ id }) => !items.isDamaged(id)),
  ];
  let writing: Promise<void> | undefined;
  for (const batch of batchesOf(inOrder)) {
    if (parts.isStopped()) break;
    const wanted: PackRow[] = [];
    const known = await items.rows(batch.map(({ id }) => id));
    for (const [at, row] of batch.entries()) {
      const other = placesToRead(known[at] ?? nowhere)[0];
      const isElsewhere = other !== undefined && other.pack !== pack;
      if (!isElsewhere || !(await isMovedTo(parts, pack, row, moved))) wanted.push(row);
    }
    const sound = await soundItems(parts, wanted);
    const hurt: ChunkId[] = [];
    for (const row of wanted) {
      if (sound.has(mapKey(row.id))) continue;
      const twins = rows.filter(({ id }) => equalBytes(id, row.id));
      const [twin] = (await soundItems(parts, twins)).values();
      if (twin !== undefined) sound.set(mapKey(row.id), twin);
      else if (!(await isMovedTo(parts, pack, row, moved))) {
        items.setDamaged(row.id);
        hurt.push(row.id);
      }
    }
    await writing;
    if (hurt.length > 0) return hurt;
    // The next batch is read and proved beside it.
    writing = putAll(parts, [...sound.values()], moved);
    writing.catch(() => undefined);
  }
  await writing;
  return [];
}

function* batchesOf(rows: readonly PackRow[]): Generator<readonly PackRow[]> {
  let batch: PackRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    const isFull = bytes + row.place.length > BATCH_BYTES || batch.length >= BATCH_ITEMS;
    if (batch.length > 0 && isFull) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(row);
    bytes += row.place.length;
  }
  if (batch.length > 0) yield batch;
}

/** Whether an item proves in some other pack, with all pieces that it has here. */
async function isMovedTo(
  { core }: CopyParts,
  pack: number,
  { id, pieces }: PackRow,
  moved: Moved,
): Promise<boolean> {
  const [row] = await core.items.rows([id]);
  for (const place of placesToRead(row ?? nowhere)) {
    if (place.pack === pack || !hasAll(place, pieces?.here, pieces?.count ?? 0)) continue;
    try {
      await core.packs.read(id, place);
      moved.set(mapKey(id), place);
      return true;
    } catch (error) {
      if (!isDamaged(error)) throw error;
    }
  }
  return false;
}

/** Whether a place of a slab has all of these pieces. */
export function hasAll(
  { here }: HeldPlace,
  wanted: Uint8Array | undefined,
  count: number,
): boolean {
  if (here === undefined) return true;
  for (let piece = 0; piece < count; piece += 1)
    if ((wanted === undefined || isSet(wanted, piece)) && !isSet(here, piece)) return false;
  return true;
}

/** Those that prove where they lie, by `mapKey` of their ids. */
async function soundItems(
  { core, hasher }: Pick<CopyParts, 'core' | 'hasher'>,
  rows: readonly PackRow[],
): Promise<Map<string, PackItem>> {
  const sound = new Map<string, PackItem>();
  for await (const items of provedRuns(core.packs, hasher, rows))
    for (const item of items) sound.set(mapKey(item.id), item);
  return sound;
}

async function putAll(parts: CopyParts, items: readonly PackItem[], moved: Moved): Promise<void> {
  if (items.length === 0) return;
  const put = items.map((item) => withoutDeadPieces(parts, item));
  const places = await parts.keeper.do(async (core) => {
    requireSame(core, parts.core);
    const change = new CatalogChange(core.catalog);
    await change.prefetch([keys.itemSums, ...put.map(({ id }) => keys.item(id))]);
    const written = await core.items.put(put, change);
    await parts.keeper.syncWhenFull(core);
    return written;
  });
  let bytes = 0;
  for (const [at, { id, bytes: own }] of put.entries()) {
    const place = places[at];
    if (place !== undefined) moved.set(mapKey(id), place);
    bytes += own.length;
  }
  for (const { bytes: own } of items) releasePart(own);
  await parts.copied(bytes);
}

/** A slab as it may be left, if nobody comes to rely on all of it before its pack goes. */
function withoutDeadPieces({ keeper }: CopyParts, item: PackItem): PackItem {
  const thin = item.kind === 'slab' ? keeper.uploads.thin.of(item.id) : undefined;
  return thin === undefined ? item : { ...item, bytes: thinnedSlab(item.bytes, thin.live) };
}

/**
 * Whether all that was moved can be read from there, from stable storage as far as one can tell.
 */
export async function readBack(
  { core, hasher }: Pick<CopyParts, 'core' | 'hasher'>,
  ids: readonly ChunkId[],
  moved: Moved,
): Promise<boolean> {
  const placed = ids.flatMap((id) => {
    const place = moved.get(mapKey(id));
    return place === undefined ? [] : [{ id, place }];
  });
  placed.sort((a, b) => comparePlaces(a.place, b.place));
  let proved = 0;
  for await (const items of provedRuns(core.packs, hasher, placed)) {
    proved += items.length;
    for (const { bytes } of items) releasePart(bytes);
  }
  return proved === ids.length;
}

/** Throws `STORE_FAILED` (retryable) where the vault was opened again: what was put may be gone. */
export function requireSame(now: VaultCore, before: VaultCore): void {
  if (now === before) return;
  const says = 'the vault was opened again meanwhile: the pack stays, and its turn comes again';
  throw new StoreError('STORE_FAILED', says);
}
