import type { VaultId } from '@aliquot/proto';
import { type DerivedIndex, type Row, rowsOf } from '@aliquot/shared/derived/derived-index';
import { DerivedError, isRebuild } from '@aliquot/shared/derived/errors';
import type { IndexOptions } from '@aliquot/shared/derived/level-index';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { openIndex, removeIndex } from '@aliquot/shared/derived/open-index';
import { salvagedRows } from '@aliquot/shared/derived/salvage';
import { FolderError } from '@aliquot/shared/durable/errors';
import { StoreError } from '../errors.ts';
import { CATALOG_VERSION, type Range } from './catalog-keys.ts';
import type { CatalogChanges, CatalogRow, CatalogStore } from './catalog-store.ts';
import { read, values } from './row-codec.ts';

/** LevelDB's own memory for each vault: blocks read, and the table being filled. */
const CACHE_BYTES = 4 * 1024 * 1024;
const WRITE_BUFFER_BYTES = 4 * 1024 * 1024;
/** What every flush says of the rows. */
const MARK = values.u32(CATALOG_VERSION);
/** Keys of notes begin with `~`; everything before them follows from history and packs. */
const notesFamily: Range = { gte: Buffer.from('~'), lt: Buffer.from([0x7f]) };
const derivedOptions: Range = { gte: Buffer.from([1]), lt: notesFamily.gte };
/** Notes that a broken catalog may give back: as many as memory bears. */
const MOST_NOTES = 100_000;

/**
 * Opens the catalog of a vault in its folder. It is empty when there was none, when it was of
 * another release, and when it could not be believed: the caller then takes in history and packs
 * again. Notes survive wherever LevelDB can still be read.
 *
 * Errors: `STORE_FOLDER`, `STORE_NO_SPACE`, `FOLDER_IN_USE`.
 */
export async function openCatalog(
  disk: DiskPort,
  dir: string,
  vaultId: VaultId,
): Promise<CatalogStore> {
  const options = optionsFor(dir, vaultId);
  try {
    const found = await openIndex(disk, options).catch((error: unknown) => {
      if (isRebuild(error)) return undefined;
      throw error;
    });
    const index = found ?? (await openAnew(disk, options));
    const catalog = new DerivedCatalog(index);
    if (!isOfThisRelease(index)) await catalog.clear();
    return catalog;
  } catch (error) {
    throw toldAtOpening(error, dir);
  }
}

/**
 * Opens one that exists, to look at it: error `DERIVED_REBUILD` when there is none to believe.
 */
export async function openExistingCatalog(
  disk: DiskPort,
  dir: string,
  vaultId: VaultId,
): Promise<CatalogStore> {
  const index = await openIndex(disk, { ...optionsFor(dir, vaultId), mustExist: true });
  return new DerivedCatalog(index, isOfThisRelease(index));
}

/** Removes the files of a catalog: it follows from history and packs again. */
export function removeCatalog(disk: DiskPort, dir: string): Promise<void> {
  return removeIndex(disk, dir);
}

/** A catalog over any index: what is in memory goes with it. Seam: for vaults in memory. */
export function catalogOver(index: DerivedIndex): CatalogStore {
  return new DerivedCatalog(index);
}

function optionsFor(dir: string, vaultId: VaultId): IndexOptions {
  return {
    dir,
    what: `the catalog ${dir}`,
    owner: vaultId,
    cacheBytes: CACHE_BYTES,
    writeBufferBytes: WRITE_BUFFER_BYTES,
  };
}

function isOfThisRelease(index: DerivedIndex): boolean {
  const { mark } = index;
  return mark !== undefined && mark.length === MARK.length && read.u32(mark) === CATALOG_VERSION;
}

/** A new one in place of one that cannot be believed, with the notes of that as far as they go. */
async function openAnew(disk: DiskPort, options: IndexOptions): Promise<DerivedIndex> {
  const notes: Row[] = [];
  for await (const note of salvagedRows(disk, options, notesFamily)) {
    notes.push(note);
    if (notes.length === MOST_NOTES) break;
  }
  await removeIndex(disk, options.dir);
  const index = await openIndex(disk, options);
  for (const [key, value] of notes) index.put(key, value);
  return index;
}

function toldAtOpening(error: unknown, dir: string): unknown {
  if (!(error instanceof DerivedError)) return error;
  const cause = { cause: error };
  switch (error.code) {
    // It begins new files when it opens, so a full disk keeps the store from starting.
    case 'DERIVED_NO_SPACE':
      return new StoreError(
        'STORE_NO_SPACE',
        `cannot open the catalog ${dir}: the disk is full; free some space and try again`,
        cause,
      );
    case 'DERIVED_LOCKED':
      return new FolderError(
        'FOLDER_IN_USE',
        `${dir} is in use by a living process; stop it first`,
        cause,
      );
    default:
      return new StoreError('STORE_FOLDER', error.message, cause);
  }
}

class DerivedCatalog implements CatalogStore {
  readonly #index: DerivedIndex;
  readonly isCurrent: boolean;

  constructor(index: DerivedIndex, isCurrent = true) {
    this.#index = index;
    this.isCurrent = isCurrent;
  }

  get pendingChanges(): number {
    return this.#index.staged;
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#index.get(key);
  }

  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#index.getMany(keys);
  }

  scan(range: Range): AsyncGenerator<CatalogRow, void, void> {
    return rowsOf(this.#index, range, { staged: true });
  }

  take(changes: CatalogChanges): void {
    this.#index.take(changes);
  }

  note(key: Buffer, value: Buffer | undefined): void {
    if (value === undefined) this.#index.del(key);
    else this.#index.put(key, value);
  }

  async flush(): Promise<void> {
    if (this.#index.staged === 0) return;
    try {
      await this.#index.flush(MARK, { sync: true });
    } catch (error) {
      if (!(error instanceof DerivedError) || isRebuild(error)) throw error;
      throw new StoreError('STORE_FAILED', `cannot write the catalog: ${error.message}`, {
        cause: error,
      });
    }
  }

  async clear(): Promise<void> {
    // A crash half-way leaves a catalog of no release, which is cleared at its next opening.
    await this.#index.flush(new Uint8Array(), { sync: true });
    await this.#index.clear(derivedOptions);
    await this.#index.flush(MARK, { sync: true });
  }

  prove(): Promise<void> {
    return this.#index.prove();
  }

  close(): Promise<void> {
    return this.#index.close();
  }
}
