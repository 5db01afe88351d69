import { resolve } from 'node:path';
import { pathText, printable } from '../cli/format.ts';
import { exists, joinRaw, syncAncestors } from '../durable/durable.ts';
import { type FileFacts, type FilePort, parentOf, type RawPath } from '../durable/file-port.ts';
import { heldFiles } from '../durable/held-files.ts';
import {
  type FolderId,
  HeldFolders,
  type HoldingOptions,
  holderOf,
  isFolder,
} from '../durable/held-folders.ts';
import { canHold } from '../durable/held-name.ts';
import { othersMayChange } from '../durable/link-trust.ts';
import { lastName } from '../durable/raw-names.ts';
import { errnoOf } from '../durable/system-errors.ts';
import { RestoreError, type RestoreErrorCode } from './errors.ts';

/** The files of a restore's target: whoever may change folders there leads nothing elsewhere. */
export interface TargetFiles {
  /** By paths; each call goes through the folders that are held. */
  readonly port: FilePort;
  readonly folders: HeldFolders;
  /** For what a held folder names. */
  readonly raw: FilePort;
}

/**
 * @param forbidden Folders that nothing may be written into.
 * @param options Test only.
 */
export function targetFiles(
  raw: FilePort,
  forbidden: readonly FolderId[],
  options: HoldingOptions = {},
): TargetFiles {
  const rule = { links: 'never', accepts: acceptance(forbidden, options) } as const;
  const folders = new HeldFolders(holderOf(raw), rule, options);
  return { raw, folders, port: heldFiles(raw, folders) };
}

/** The numbers of those folders that are there. */
export async function folderIds(
  port: FilePort,
  folders: readonly RawPath[],
): Promise<readonly FolderId[]> {
  const ids: FolderId[] = [];
  for (const folder of folders) {
    if (!(await exists(port, folder))) continue;
    const { dev, ino } = await port.stat(folder);
    ids.push({ dev, ino });
  }
  return ids;
}

/**
 * Makes the folder that everything goes below, and those above it, with the usual mode: it is the
 * person's own. Links above it are followed where nobody else can have put them. Nothing is made
 * where it is refused.
 *
 * @returns Its path without links. @throws RestoreError `RESTORE_FORBIDDEN_TARGET`,
 * `RESTORE_SHARED_TARGET`, `RESTORE_THROUGH_LINK`, `RESTORE_TARGET`; errors of the system.
 */
export async function openRoot(
  { raw, port, folders }: TargetFiles,
  root: RawPath,
  options: HoldingOptions = {},
): Promise<Buffer> {
  const path = absolute(root);
  const { platform = process.platform } = options;
  const real =
    platform === 'win32' ? await nearestReal(raw, path) : await withoutLinks(raw, path, options);
  // Looked at before anything is made, so that a refused target leaves no folder behind.
  await enter(folders, real.above, path);
  let folder = real.above;
  for (const name of real.missing) {
    folder = joinRaw(folder, name);
    try {
      await port.mkdir(folder);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
  await enter(folders, folder, path);
  await syncAncestors(port, folder);
  return folder;
}

async function enter(folders: HeldFolders, folder: Buffer, root: Buffer): Promise<void> {
  try {
    (await folders.hold(folder)).release();
  } catch (error) {
    throw errnoOf(error) === 'ENOTDIR' ? noFolder(root) : error;
  }
}

/** A path without links as far as it is there, and the names behind that. */
interface Real {
  readonly above: Buffer;
  readonly missing: readonly Buffer[];
}

async function withoutLinks(port: FilePort, path: Buffer, options: HoldingOptions): Promise<Real> {
  const folders = new HeldFolders(holderOf(port), { links: 'trusted' }, options);
  const missing: Buffer[] = [];
  try {
    for (let at = path; ; at = parentOf(at)) {
      try {
        const folder = await folders.hold(at);
        folder.release();
        return { above: folder.real, missing };
      } catch (error) {
        if (errnoOf(error) === 'ENOTDIR') throw noFolder(path);
        if (errnoOf(error) !== 'ENOENT' || parentOf(at).equals(at)) throw error;
        missing.unshift(lastName(at));
      }
    }
  } finally {
    folders.rest();
  }
}

async function nearestReal(port: FilePort, path: Buffer): Promise<Real> {
  const missing: Buffer[] = [];
  for (let at = path; ; at = parentOf(at)) {
    try {
      return { above: await port.realpath(at), missing };
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || parentOf(at).equals(at)) throw error;
      missing.unshift(lastName(at));
    }
  }
}

function absolute(path: RawPath): Buffer {
  if (typeof path === 'string') return Buffer.from(resolve(path));
  return Buffer.from(resolve(path.toString('latin1')), 'latin1');
}

/** What is asked of each folder on the way to the target, and below. */
function acceptance(
  forbidden: readonly FolderId[],
  { canHold: holds = canHold, user = process.geteuid?.() }: HoldingOptions,
): (facts: FileFacts, path: Buffer) => void {
  return (facts, path) => {
    for (const id of forbidden)
      if (isFolder(facts, id))
        throw refused('RESTORE_FORBIDDEN_TARGET', path, 'it belongs to Aliquot itself');
    // What is held stays what it is; where nothing can be, nobody else may have a hand in it.
    if (holds || user === undefined) return;
    if (othersMayChange(facts, user))
      throw refused('RESTORE_SHARED_TARGET', path, 'another user may change what is in it');
  };
}

function noFolder(path: Buffer): RestoreError {
  const says = `cannot restore into ${printable(pathText(path))}: it is no folder; choose another target`;
  return new RestoreError('RESTORE_TARGET', says);
}

function refused(code: RestoreErrorCode, path: Buffer, why: string): RestoreError {
  const says = `will not restore into ${printable(pathText(path))}: ${why}; choose another target`;
  return new RestoreError(code, says);
}
