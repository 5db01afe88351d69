import { FolderError } from './errors.ts';
import { type FilePort, type OpenFile, parentOf, type RawPath } from './file-port.ts';
import { errnoOf } from './system-errors.ts';

/**
 * Who may read what Aliquot writes: decided here, once, by the mode that a file or folder is made
 * with. A mode that gives nothing to group and others means *private*. POSIX keeps to the mode; on
 * Windows, where modes mean nothing, a private name gets a protected access control list (the
 * system, administrators, this account) unless it inherits one that is as closed from its folder.
 */
const isPrivate = (mode: number): boolean => (mode & 0o077) === 0;

/**
 * Makes a file for reading and writing, private from its first moment on where its mode says so.
 * Fails with EEXIST.
 */
export async function createFile(port: FilePort, path: RawPath, mode: number): Promise<OpenFile> {
  const access = await accessFor(port, path, mode);
  if (access === undefined) return port.open(path, 'createNew', mode);
  // Anyone who opened it in between, while others still could, would read what is written later.
  access.makePrivateFile(path.toString());
  try {
    return await port.open(path, 'update');
  } catch (error) {
    // best effort: the first error is the one to tell
    await port.unlink(path).catch(() => undefined);
    throw error;
  }
}

/**
 * Makes one folder, private from its first moment on where its mode says so. Fails with EEXIST,
 * ENOENT.
 */
export async function makeOneFolder(port: FilePort, path: RawPath, mode: number): Promise<void> {
  const access = await accessFor(port, path, mode);
  if (access === undefined) return port.mkdir(path, mode);
  access.makePrivateFolder(path.toString());
}

/**
 * What must give a new name its own list; undefined where the mode does, or the list of the folder
 * that it comes into.
 */
async function accessFor(port: FilePort, path: RawPath, mode: number) {
  if (!isPrivate(mode) || port.access === undefined) return undefined;
  const access = await port.access();
  const parent = parentOf(path).toString();
  try {
    // A list of its own would shut out a service's account that an administrator let into the
    // folder.
    return access.strangers(parent) === undefined ? undefined : access;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return access; // no such folder, or none that may be asked: making the name will say it
  }
}

/**
 * Gives an empty folder, which may have been made by somebody else, its list. A mode of POSIX stays
 * as its maker chose it.
 */
export async function closeToStrangers(port: FilePort, dir: string): Promise<void> {
  (await port.access?.())?.close(dir);
}

/**
 * Refuses a folder that holds keys and is open to others. Error: `FOLDER_OPEN_TO_OTHERS`. Modes of
 * POSIX are not looked at.
 */
export async function refuseStrangers(port: FilePort, dir: string): Promise<void> {
  const strangers = (await port.access?.())?.strangers(dir);
  if (strangers === undefined) return;
  const who = strangers.names.join(', ');
  const says = strangers.owned
    ? `belongs to another account, or is open to others (${who})`
    : `can be opened by ${who}`;
  throw new FolderError(
    'FOLDER_OPEN_TO_OTHERS',
    `${dir} ${says}, and holds keys; close it, then run this again: ${strangers.command}`,
  );
}
