import { closeSync, createReadStream, openSync, readdirSync, readSync } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The sum of the lengths of all files below a folder, as `du -sb` counts without the folders
 * themselves.
 */
export async function bytesUnder(folder: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) sum += await bytesUnder(path);
    else {
      // A live store may take a file away between the listing and the look.
      const stat = await lstat(path).catch(() => undefined);
      sum += stat?.size ?? 0;
    }
  }
  return sum;
}

const BLOCK_BYTES = 1 << 20;

/**
 * Reads every file below a folder, and gives their bytes: the system has them in memory then. It
 * may take them out again when nobody looks at them for a minute, so this comes right before what
 * is measured.
 */
export function readThrough(folder: string): number {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = openSync(join(entry.parentPath, entry.name), 'r');
    for (let took = -1; took !== 0; bytes += took) took = readSync(file, block);
    closeSync(file);
  }
  return bytes;
}

/**
 * What differs between two trees (or files): the first difference as a sentence, or undefined when
 * names and bytes are the same.
 */
export async function difference(expected: string, actual: string): Promise<string | undefined> {
  const [left, right] = await Promise.all([lstat(expected), lstat(actual).catch(() => undefined)]);
  if (right === undefined) return `${actual} is missing`;
  if (left.isDirectory()) {
    if (!right.isDirectory()) return `${actual} is no folder`;
    const [wanted, there] = await Promise.all([readdir(expected), readdir(actual)]);
    const known = new Set(wanted);
    const surplus = there.find((name) => !known.has(name));
    if (surplus !== undefined) return `${join(actual, surplus)} should not be there`;
    for (const name of wanted) {
      const found = await difference(join(expected, name), join(actual, name));
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (left.isSymbolicLink()) {
    const same = right.isSymbolicLink() && (await readlink(expected)) === (await readlink(actual));
    return same ? undefined : `${actual} is another link`;
  }
  if (!right.isFile() || left.size !== right.size)
    return `${actual} has ${right.size} bytes instead of ${left.size}`;
  return (await sameBytes(expected, actual))
    ? undefined
    : `${actual} has other bytes than ${expected}`;
}

async function sameBytes(expected: string, actual: string): Promise<boolean> {
  const other = await open(actual);
  try {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    let at = 0;
    for await (const part of createReadStream(expected, {
      highWaterMark: BLOCK_BYTES,
    }) as AsyncIterable<Buffer>) {
      for (let from = 0; from < part.length; ) {
        const { bytesRead } = await other.read(block, 0, part.length - from, at + from);
        if (bytesRead === 0 || block.compare(part, from, from + bytesRead, 0, bytesRead) !== 0)
          return false;
        from += bytesRead;
      }
      at += part.length;
    }
    return true;
  } finally {
    await other.close();
  }
}
