import type { ChunkId, LineageId } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { type ItemNeed, isDead } from '../../collection/removal.ts';
import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange } from '../catalog/catalog-store.ts';
import { type ItemRow, nowhere } from '../catalog/item-row.ts';
import { StoreError } from '../errors.ts';
import { closingBytes, END_BYTES } from '../packs/pack-format.ts';
import { comparePlaces, type PackRow, type PackStore } from '../packs/pack-store.ts';
import type { PackSpace } from '../vault-records.ts';
import { itemRowOf } from './apply-items.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import {
  type CopyParts,
  copyItems,
  hasAll,
  type Moved,
  readBack,
  requireSame,
} from './pack-copy.ts';
import { isOnly } from './sweep-set.ts';
import type { ThinSlab } from './thin-slabs.ts';

/** How often what came to life meanwhile is copied before the pack waits for the next run. */
const MOST_ROUNDS = 3;
/** Items that are looked at once more in one job of the vault's queue: some 50 ms. */
const MOST_JOB_ITEMS = 4096;

/** What became of a pack. */
export type PackOutcome =
  | { readonly type: 'removed' }
  /** It stays as it is, because something in it is not understood or proves nowhere. */
  | { readonly type: 'kept'; readonly why: string };

/** A closed pack. */
type WholePack = Pick<PackSpace, 'pack' | 'bytes'>;

/** The items of a pack, and why it has to stay if it has. */
interface PackContents {
  readonly rows: readonly PackRow[];
  readonly why: string | undefined;
}

/** What lies in a pack by its index, or by its records where it has lost that. */
export async function contentsOf(
  packs: PackStore,
  { pack, bytes }: WholePack,
): Promise<PackContents> {
  const rows: PackRow[] = [];
  try {
    for await (const some of packs.rows(pack)) rows.push(...some);
  } catch (error) {
    const isPacks = error instanceof StoreError;
    if (!isPacks || (error.code !== 'STORE_DAMAGED' && error.code !== 'STORE_CORRUPT')) throw error;
    return { rows: [], why: error.message };
  }
  return { rows, why: isNamed(bytes, rows) ? undefined : 'bytes in it belong to no item' };
}

/** Whether a pack holds what its rows name and nothing else: it may have an index, and an end. */
function isNamed(bytes: number, rows: readonly PackRow[]): boolean {
  const records = rows.reduce((sum, { place }) => sum + RECORD_HEADER_BYTES + place.length, 0);
  const behind = bytes - records;
  const closing = closingBytes(rows.length);
  const known = [0, FILE_HEADER_BYTES, FILE_HEADER_BYTES + closing - END_BYTES];
  return behind === FILE_HEADER_BYTES + closing || known.includes(behind);
}

/** Items of a pack that nobody owns, and that nobody has just sent. */
export async function deadIn(
  { core, keeper }: { readonly core: VaultCore; readonly keeper: CoreKeeper },
  rows: readonly PackRow[],
): Promise<ChunkId[]> {
  const known = await core.items.rows(rows.map(({ id }) => id));
  return rows
    .filter(({ id }, at) => isDead(needOf(keeper, id, known[at] ?? nowhere)))
    .map(({ id }) => id);
}

function needOf({ uploads }: CoreKeeper, id: ChunkId, row: ItemRow): ItemNeed {
  const owners = (row.owner === undefined ? 0 : 1) + row.others;
  return { owners, isPending: uploads.holds(id) };
}

/** A pack on its way out. */
interface GoingPack {
  readonly whole: WholePack;
  readonly rows: readonly PackRow[];
  /** What is to be copied out of it. */
  living: readonly PackRow[];
}

/**
 * Removes packs: what lives in them is copied into the newest, synced, read back and proved
 * (I-C25); then, in one job of the vault's queue, it is seen that everything in them is dead or
 * elsewhere, the catalog is written without them, and the files go. A crash before that leaves
 * items in two packs, which is no fault: the next run finds the copies, and ends the work. `dead`:
 * what nobody owns by the history (`dead-proof.ts`), by `mapKey`; everything else is copied. Tells
 * what became of each; of those that it had no time for, nothing.
 */
export async function rewriteGroup(
  parts: CopyParts,
  packs: readonly WholePack[],
  dead: ReadonlySet<string>,
  tell: (pack: WholePack, outcome: PackOutcome) => void,
): Promise<void> {
  const { keeper, core } = parts;
  const moved: Moved = new Map();
  let going: GoingPack[] = [];
  for (const whole of packs) {
    const { rows, why } = await contentsOf(core.packs, whole);
    if (why !== undefined) tell(whole, { type: 'kept', why });
    else going.push({ whole, rows, living: rows.filter(({ id }) => !dead.has(mapKey(id))) });
  }
  for (let round = 0; going.length > 0 && round < MOST_ROUNDS; round += 1) {
    going = await copyOut(parts, going, moved, tell);
    if (parts.isStopped() || going.length === 0) return;
    await keeper.settleData();
    const proved: GoingPack[] = [];
    for (const pack of going) {
      const why = 'what was copied out of it cannot be read back';
      if (await readBack(parts, idsOf(pack.living), moved)) proved.push(pack);
      else tell(pack.whole, { type: 'kept', why });
    }
    const left: GoingPack[] = [];
    for (const some of jobsOf(proved))
      left.push(...(await keeper.do((now) => leave(now, parts, some, { dead, moved }))));
    for (const { whole } of proved)
      if (!left.some((one) => one.whole === whole)) tell(whole, { type: 'removed' });
    // Somebody has sent of it again meanwhile, and was told that it is here: that is copied, too.
    going = left;
  }
  const why = 'items in it come to life again and again';
  for (const { whole } of going) tell(whole, { type: 'kept', why });
}

/** Copies what lives; answers with the packs in which nothing proves nowhere. */
async function copyOut(
  parts: CopyParts,
  going: readonly GoingPack[],
  moved: Moved,
  tell: (pack: WholePack, outcome: PackOutcome) => void,
): Promise<GoingPack[]> {
  const sound: GoingPack[] = [];
  for (const pack of going) {
    const hurt = await copyItems(parts, pack.whole.pack, pack.living, moved);
    const why = `${hurt.length} items in it prove nowhere: aliquot fsck names them`;
    if (hurt.length > 0) tell(pack.whole, { type: 'kept', why });
    else sound.push(pack);
  }
  return sound;
}

function idsOf(rows: readonly PackRow[]): ChunkId[] {
  return [...new Map(rows.map(({ id }) => [mapKey(id), id])).values()];
}

/** Packs that leave in one job: others wait no longer than for a large commit. */
function* jobsOf(going: readonly GoingPack[]): Generator<readonly GoingPack[]> {
  let job: GoingPack[] = [];
  let items = 0;
  for (const pack of going) {
    if (job.length > 0 && items + pack.rows.length > MOST_JOB_ITEMS) {
      yield job;
      [job, items] = [[], 0];
    }
    job.push(pack);
    items += pack.rows.length;
  }
  if (job.length > 0) yield job;
}

/** Where everything is that is not needed in a pack any more. */
interface Elsewhere {
  readonly dead: ReadonlySet<string>;
  readonly moved: Moved;
}

/**
 * Takes packs out of the catalog and removes them, but for those in which something is needed that
 * is nowhere else: these are the answer, with that. Nothing can come to rely on a pack in between:
 * this is one job.
 */
async function leave(
  core: VaultCore,
  { core: before, keeper }: CopyParts,
  going: readonly GoingPack[],
  elsewhere: Elsewhere,
): Promise<GoingPack[]> {
  requireSame(core, before);
  const left: GoingPack[] = [];
  const gone: number[] = [];
  for (const { whole, rows } of going) {
    const change = new CatalogChange(core.catalog);
    await change.prefetch([keys.itemSums, ...rows.map(({ id }) => keys.item(id))]);
    const { needed, thinned } = await neededOf(keeper, change, rows, elsewhere);
    // Nothing is awaited from here to the change of the catalog: who asks next hears of it.
    const isThin = needed.length === 0 && keeper.uploads.thin.take(thinned.map(({ id }) => id));
    if (!isThin) {
      left.push({ whole, rows, living: [...needed, ...thinned] });
      continue;
    }
    for (const { lineageId } of thinned) core.items.noteSwept(lineageId);
    const ids = rows.map(({ id }) => id);
    await core.items.leave(change, whole.pack, ids);
    gone.push(whole.pack);
  }
  if (gone.length === 0) return left;
  await keeper.flushHere(core);
  for (const pack of gone) await core.packs.remove(pack);
  return left;
}

/** Items of a pack that are neither dead nor proved elsewhere now; and slabs that lose pieces. */
async function neededOf(
  keeper: CoreKeeper,
  change: CatalogChange,
  rows: readonly PackRow[],
  { dead, moved }: Elsewhere,
): Promise<{ readonly needed: readonly PackRow[]; readonly thinned: readonly ThinnedRow[] }> {
  const needed: PackRow[] = [];
  const thinned: ThinnedRow[] = [];
  for (const row of rows) {
    const known = await itemRowOf(change, row.id);
    const name = mapKey(row.id);
    const place = moved.get(name);
    const copy =
      place === undefined || place.pack === row.place.pack
        ? undefined
        : known.places.find((one) => comparePlaces(one, place) === 0);
    const { count = 0, here } = row.pieces ?? {};
    const isMoved = copy !== undefined && hasAll(copy, here, count);
    if (copy !== undefined && !isMoved) {
      const thin = thinOf(keeper, row, known);
      if (thin !== undefined && hasAll(copy, both(thin.live, here), count)) {
        thinned.push({ ...row, lineageId: thin.lineageId });
        continue;
      }
    }
    const isGone = dead.has(name) && isDead(needOf(keeper, row.id, known));
    if (!isMoved && !isGone) needed.push(row);
  }
  return { needed, thinned };
}

/** A slab of a pack that is to lose pieces, and whose it is. */
interface ThinnedRow extends PackRow {
  readonly lineageId: LineageId;
}

/** What may be left of a slab now: it is one lineage's, and nobody relies on all of it. */
function thinOf({ uploads }: CoreKeeper, { id }: PackRow, known: ItemRow): ThinSlab | undefined {
  const thin = uploads.thin.of(id);
  const isOffered = thin !== undefined && isOnly(known, thin.lineageId) && !uploads.holds(id);
  return isOffered ? thin : undefined;
}

function both(live: Uint8Array, here: Uint8Array | undefined): Uint8Array {
  return here === undefined ? live : live.map((byte, at) => byte & (here[at] ?? 0));
}
