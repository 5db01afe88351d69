import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ensureDirectory, removeDurably, removeTree } from '../durable/durable.ts';
import type { FilePort } from '../durable/file-port.ts';
import { patiently } from '../durable/patience.ts';
import { crc32c } from './crc32c.ts';
import type { DerivedIndex } from './derived-index.ts';
import { rebuild, told } from './level-errors.ts';
import { lookInUse, type TableFile } from './level-folder.ts';
import { type IndexOptions, LevelIndex } from './level-index.ts';
import type { DiskPort, LevelDatabase } from './level-port.ts';
import { levelTrouble } from './level-trouble.ts';
import { noteProved, wasProved } from './proved-file.ts';
import { RestingLevel } from './resting-level.ts';
import { checkedValue, decodeSeal, SEAL_KEY } from './seal.ts';
import { isDoubtful, isLarge, TableProofs } from './table-proofs.ts';

/**
 * Opens an index over LevelDB, or makes it where its folder is empty. In milliseconds: the small
 * files are read whole, of the tables only those of a small index are (`TableProofs`). Who calls it
 * holds the folder. Seam: for the owners.
 *
 * Errors: `DERIVED_REBUILD` when it cannot be believed (`removeIndex`, then open again),
 * `DERIVED_LOCKED`, `DERIVED_NO_SPACE`, `DERIVED_STORAGE`, and `FileError`s.
 */
export async function openIndex(disk: DiskPort, options: IndexOptions): Promise<DerivedIndex> {
  const { dir, what, mustExist = false } = options;
  // LevelDB makes it too, but not durably.
  if (!mustExist) await ensureDirectory(disk, dir);
  const found = await lookInUse(disk, dir);
  if (found.state === 'damaged') throw rebuild(what, found.why);
  if (found.state === 'empty' && mustExist) throw rebuild(what, 'there is none');
  const tables = found.state === 'whole' ? found.tables : [];
  if (found.state === 'whole' && isDoubtful(found.opening))
    if (!(await wasProved(disk, dir, found.opening)))
      throw rebuild(what, 'LevelDB wrote tables of it anew before they were proved');
  const proofs = await TableProofs.begin(disk, tables).catch((error: unknown) => {
    throw told(error, what);
  });
  const sizes = {
    cacheSize: options.cacheBytes,
    writeBufferSize: options.writeBufferBytes,
    ...(options.maxOpenFiles === undefined ? {} : { maxOpenFiles: options.maxOpenFiles }),
  };
  let database: LevelDatabase | undefined;
  let index: LevelIndex | undefined;
  /** As at any opening the small files are looked at first. */
  const again = async (): Promise<LevelDatabase> => {
    const now = await lookInUse(disk, dir);
    if (now.state !== 'whole' || now.changes !== index?.changes)
      throw rebuild(what, 'its files are not what was written');
    const open = () => disk.level.open(dir, { ...sizes, createIfMissing: false });
    // Somebody else may just look at it.
    const level = await patiently(pause, (error) => levelTrouble(error) === 'locked', open);
    // It rests only when all was proved.
    if (isLarge(bytesOf(now.tables))) await noteProved(disk, dir);
    return level;
  };
  try {
    // Before LevelDB is opened: it could write damage anew, and the next opening would believe it.
    await proofs.covering(SEAL_KEY, SEAL_KEY);
    const opened = await disk.level.open(dir, {
      ...sizes,
      createIfMissing: found.state === 'empty',
    });
    const { mostMappedBytes } = options;
    database =
      mostMappedBytes === undefined
        ? opened
        : // Another opening would hide what this one has written anew before it was proved.
          new RestingLevel(opened, again, mostMappedBytes, () => proofs.isDone);
    const owner = crc32c(options.owner);
    const stored = await database.get(SEAL_KEY);
    const value = stored === undefined ? undefined : checkedValue(owner, SEAL_KEY, stored);
    const seal = value === undefined ? undefined : decodeSeal(value);
    const changes = found.state === 'whole' ? found.changes : 0;
    if ((seal?.changes ?? 0) !== changes) throw rebuild(what, 'its files are not of one moment');
    index = new LevelIndex(disk, options, database, proofs, {
      owner,
      changes,
      mark: seal?.mark,
    });
    if (isLarge(bytesOf(tables))) index.proveBesides();
    return index;
  } catch (error) {
    await proofs.end();
    await database?.close();
    throw told(error, what);
  }
}

/** Removes an index, so that it can be made again. Seam: for the owners. */
export async function removeIndex(files: FilePort, dir: string): Promise<void> {
  await ensureDirectory(files, dir);
  // First the file that makes it an index: what is left after a crash is then no index.
  await removeDurably(files, join(dir, 'CURRENT'));
  await removeTree(files, dir);
  await ensureDirectory(files, dir);
}

function bytesOf(tables: readonly TableFile[]): number {
  return tables.reduce((sum, { size }) => sum + size, 0);
}
