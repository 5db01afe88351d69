import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of a package: its path with `/`, whether it is a program, its bytes. */
export interface TreeFile {
  readonly path: string;
  readonly executable: boolean;
  readonly bytes: Buffer;
}

/** The files of a package, in the order of their paths' code units, so that twice is the same. */
export type Tree = readonly TreeFile[];

/** A file of text or bytes. */
export function file(path: string, content: string | Buffer, executable = false): TreeFile {
  return { path, executable, bytes: typeof content === 'string' ? Buffer.from(content) : content };
}

/** Puts files below a folder. */
export function below(folder: string, files: Tree): Tree {
  return files.map((entry) => ({ ...entry, path: `${folder}/${entry.path}` }));
}

/** Sorts; throws where two files have one path, also on a disk that does not tell A from a. */
export function tree(...parts: readonly Tree[]): Tree {
  const files = parts.flat().sort((a, b) => (a.path < b.path ? -1 : 1));
  const seen = new Set<string>();
  for (const { path } of files) {
    if (seen.has(path.toLowerCase())) throw new Error(`two files of the package are named ${path}`);
    seen.add(path.toLowerCase());
  }
  return files;
}

/** Every folder of the tree, parents first. */
export function foldersOf(files: Tree): readonly string[] {
  const folders = new Set<string>();
  for (const { path } of files) {
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
      folders.add(path.slice(0, at));
  }
  return [...folders].sort();
}

/** Octal permissions in a package: nobody but the owner (root) may change anything. */
export const modeOf = (entry: TreeFile) => (entry.executable ? 0o755 : 0o644);

/** Writes the tree as a folder, which holds nothing else afterwards. */
export function writeFolder(folder: string, files: Tree): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const path of foldersOf(files)) {
    mkdirSync(join(folder, path));
    chmodSync(join(folder, path), 0o755);
  }
  for (const entry of files) {
    const path = join(folder, entry.path);
    writeFileSync(path, entry.bytes);
    chmodSync(path, modeOf(entry));
  }
}
