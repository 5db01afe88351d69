import { resolve } from 'node:path';

/**
 * A path or name as a *binary string*: one character for each byte (latin1), so that names of any bytes survive, compare in
 * byte order with `<`, serve as map keys, and cost a third of a Buffer's memory. POSIX: the raw bytes; Windows: UTF-8.
 */
export type BytePath = string;

/** The separator of this system, as it stands in a `BytePath`. */
export const separator = process.platform === 'win32' ? '\\' : '/';

/** The bytes that stand in catalogs and go to the system. */
export function pathBytes(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** A binary string of exact path bytes. */
export function bytePath(bytes: Uint8Array): BytePath {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** An absolute binary path from what a person typed (UTF-8), resolved against `cwd`; no trailing separator except at a root. */
export function fromText(text: string, cwd: string): BytePath {
  return Buffer.from(resolve(cwd, text), 'utf8').toString('latin1');
}

/** `folder` joined with one name. */
export function join(folder: BytePath, name: BytePath): BytePath {
  return folder.endsWith(separator) ? folder + name : folder + separator + name;
}

/** Whether `path` is `folder` itself or lies below it. */
export function isWithin(path: BytePath, folder: BytePath): boolean {
  return path === folder || path.startsWith(folder.endsWith(separator) ? folder : folder + separator);
}

/** The last name of a path. */
export function nameOf(path: BytePath): BytePath {
  return path.slice(path.lastIndexOf(separator) + 1);
}

/** The folder that a path lies in; a root lies in itself. */
export function parentOf(path: BytePath): BytePath {
  const at = path.lastIndexOf(separator);
  return path.slice(0, path.indexOf(separator) === at ? at + 1 : at);
}
