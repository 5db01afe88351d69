import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';

/**
 * What two trees are compared by: nothing of Aliquot's own code, so that it cannot agree with its
 * own mistakes.
 */

/**
 * Everything about a tree that a restore must give back, path by path: kind, size, content hash,
 * time to the millisecond, mode.
 */
export async function pictureOf(root: string): Promise<Map<string, string>> {
  const picture = new Map<string, string>();
  const visit = async (folder: Buffer, shown: string): Promise<void> => {
    for (const name of await readdir(folder, { encoding: 'buffer' })) {
      const path = Buffer.concat([folder, Buffer.from('/'), name]);
      const label = `${shown}/${name.toString('latin1')}`;
      const stats = await lstat(path, { bigint: true });
      if (stats.isSymbolicLink()) {
        picture.set(label, `link ${(await readlink(path, 'buffer')).toString('latin1')}`);
      } else if (stats.isDirectory()) {
        picture.set(label, `folder ${(Number(stats.mode) & 0o7777).toString(8)}`);
        await visit(path, label);
      } else {
        const hash = createHash('sha256')
          .update(await readFile(path))
          .digest('hex');
        picture.set(
          label,
          `file ${stats.size} ${hash} ${stats.mtimeMs} ${(Number(stats.mode) & 0o7777).toString(8)}`,
        );
      }
    }
  };
  await visit(Buffer.from(root), '');
  return picture;
}

/** The lines in which two pictures differ; empty when they are the same. */
export function differences(expected: Map<string, string>, actual: Map<string, string>): string[] {
  const found: string[] = [];
  for (const [path, what] of expected) {
    const other = actual.get(path);
    if (other !== what) found.push(`${path}: expected ${what}, got ${other ?? 'nothing'}`);
  }
  for (const path of actual.keys()) if (!expected.has(path)) found.push(`${path}: not expected`);
  return found;
}
