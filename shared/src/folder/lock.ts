import { join } from 'node:path';
import { type FolderState, lookInUse } from '../derived/level-folder.ts';
import type { DiskPort, LevelDatabase } from '../derived/level-port.ts';
import { levelTrouble } from '../derived/level-trouble.ts';
import {
  ensureDirectory,
  readFileIfThere,
  removeDurably,
  writeFileDurably,
} from '../durable/durable.ts';
import { FileError, FolderError, withFileErrors } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import { errnoOf } from '../durable/system-errors.ts';
import { jsonOf } from '../json.ts';

/**
 * The right to use a folder; the operating system takes it back when the process ends, however it
 * ends.
 */
export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Claims a folder for this process. `what` names the folder in the message ("the data folder").
 *
 * An empty LevelDB in `DIR/lock` decides: LevelDB takes a kernel lock (fcntl, LockFileEx) that dies
 * with its process, which Node itself does not offer. `DIR/lock.json` only tells people who holds
 * it. Error: `FOLDER_IN_USE`.
 */
export async function lockDirectory(
  port: DiskPort,
  dir: string,
  what: string,
): Promise<FolderLock> {
  const holderFile = join(dir, 'lock.json');
  await ensureDirectory(port, join(dir, 'lock'));
  let level: LevelDatabase;
  try {
    level = await openAnew(port, join(dir, 'lock'), async () =>
      isAlive(await holderPid(port, holderFile)),
    );
  } catch (error) {
    if (levelTrouble(error) !== 'locked') throw error;
    const holder = await holderPid(port, holderFile);
    const who = holder === undefined ? 'a living process' : `a living process (pid ${holder})`;
    throw new FolderError('FOLDER_IN_USE', `${what} ${dir} is in use by ${who}; stop it first`, {
      cause: error,
    });
  }
  try {
    await writeFileDurably(
      port,
      holderFile,
      Buffer.from(`${JSON.stringify({ pid: process.pid })}\n`),
    );
  } catch (error) {
    await level.close();
    throw error;
  }
  let isHeld = true;
  return {
    async release() {
      if (!isHeld) return;
      isHeld = false;
      await removeDurably(port, holderFile);
      await level.close();
    },
  };
}

/**
 * The database is empty, so one that cannot be opened is made again: damage to it must not keep
 * anybody from the folder.
 */
async function openAnew(
  port: DiskPort,
  path: string,
  inUse: () => Promise<boolean>,
): Promise<LevelDatabase> {
  const open = () =>
    port.level.open(
      path,
      { createIfMissing: true, writeBufferSize: 64 * 1024, cacheSize: 0 },
      inUse,
    );
  // Not opened to see whether it can be: of some damage LevelDB ends the process.
  const found = await lookInUse(port, path);
  const isSound = found.state === 'empty' || (found.state === 'whole' && isEmpty(found));
  try {
    if (!isSound) await emptyButLock(port, path);
    return await open();
  } catch (error) {
    if (levelTrouble(error) === 'locked' || error instanceof FileError) throw error;
    await emptyButLock(port, path);
    return await withFileErrors('lock', path, open);
  }
}

/** Whether nothing was ever written there: then it is what this program made. */
function isEmpty({ tables, changes }: Extract<FolderState, { state: 'whole' }>): boolean {
  return tables.length === 0 && changes === 0;
}

/** Not LOCK itself: it is what a second process that starts at this moment must find. */
function emptyButLock(port: DiskPort, path: string): Promise<void> {
  return withFileErrors('lock', path, async () => {
    for await (const { name } of port.list(path))
      if (name.toString() !== 'LOCK') await port.unlink(join(path, name.toString()));
  });
}

/** Whether there is a process of this number, of whichever user. */
function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}

async function holderPid(port: FilePort, path: string): Promise<number | undefined> {
  // It is only for a message: a file that cannot be read, or is torn, must not hide the real error.
  const bytes = await readFileIfThere(port, path, 4096).catch((error: unknown) => {
    if (error instanceof FileError) return undefined;
    throw error;
  });
  const told = bytes && jsonOf(bytes);
  return typeof told === 'object' && told !== null && 'pid' in told && typeof told.pid === 'number'
    ? told.pid
    : undefined;
}
