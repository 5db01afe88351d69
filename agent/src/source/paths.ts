import { resolve } from 'node:path';
import type { Platform } from '@aliquot/proto';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { oneCase } from '@aliquot/shared/keys/path-case';
import { here } from '@aliquot/shared/settings/where';

/**
 * A path or name as a *binary string*: one character for each byte (latin1), so that names of any
 * bytes survive, compare in byte order with `<`, serve as map keys, and cost a third of a Buffer's
 * memory. POSIX: the raw bytes; Windows: UTF-8.
 */
export type BytePath = string;

/** The separator of this system, as it stands in a `BytePath`. */
export const separator = separatorOf(here);

/** The separator of a system. */
export function separatorOf(platform: Platform): string {
  return platform === 'windows' ? '\\' : '/';
}

/** The bytes that stand in catalogs and go to the system. */
export function pathBytes(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** A binary string of exact path bytes. */
export function bytePath(bytes: Uint8Array): BytePath {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/**
 * An absolute binary path from what a person typed (UTF-8), resolved against `cwd`; no trailing
 * separator except at a root.
 */
export function fromText(text: string, cwd: string): BytePath {
  return Buffer.from(resolve(cwd, text), 'utf8').toString('latin1');
}

/** `folder` joined with one name. */
export function join(folder: BytePath, name: BytePath, platform = here): BytePath {
  const slash = separatorOf(platform);
  return folder.endsWith(slash) ? folder + name : folder + slash + name;
}

/** Whether `path` is `folder` itself or lies below it; on Windows case is nothing. */
export function isWithin(path: BytePath, folder: BytePath, platform = here): boolean {
  if (startsAsFolder(path, folder, platform)) return true;
  return (
    platform === 'windows' &&
    startsAsFolder(oneCase(path, platform), oneCase(folder, platform), platform)
  );
}

function startsAsFolder(path: BytePath, folder: BytePath, platform: Platform): boolean {
  if (!path.startsWith(folder)) return false;
  const slash = separatorOf(platform);
  return path.length === folder.length || folder.endsWith(slash) || path[folder.length] === slash;
}

/** Whether two paths are one. */
export function isSamePath(one: BytePath, other: BytePath, platform = here): boolean {
  return (
    one === other || (platform === 'windows' && oneCase(one, platform) === oneCase(other, platform))
  );
}

/**
 * What paths are put in order by, where known files and found ones are brought together: on Windows
 * in one case, so that a name that was changed in case alone meets itself.
 */
export function orderOf(path: BytePath, platform = here): BytePath {
  return oneCase(path, platform);
}

/** A path as the disk spells it, however a person did. */
export async function spelledPath(port: FilePort, path: BytePath): Promise<BytePath> {
  if (port.spell === undefined) return path;
  return bytePath(Buffer.from(await port.spell(pathBytes(path).toString('utf8')), 'utf8'));
}

/** The last name of a path. */
export function nameOf(path: BytePath, platform = here): BytePath {
  return path.slice(path.lastIndexOf(separatorOf(platform)) + 1);
}

/** The folder that a path lies in; a root lies in itself. */
export function parentOf(path: BytePath): BytePath {
  const at = path.lastIndexOf(separator);
  return path.slice(0, path.indexOf(separator) === at ? at + 1 : at);
}
