import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { SEED } from '../data/sets.ts';
import { textFile } from '../data/text.ts';

/** Many in one folder, or a thousand a folder. */
export type TreeShape = 'tree' | 'folder';

/** What a tree of small files holds at a time. */
export interface TreeState {
  readonly name: 'result' | 'renamed' | 'none';
  /** Those that have another line than at first. */
  readonly changed: ReadonlySet<number>;
}

const EACH_FOLDER = 1000;
/** Never touched, so that the tree is never empty. */
const STAYS = 'stays.txt';

/**
 * So many different text files of 100 to 1,000 bytes. What each holds follows from its number, so
 * that nothing has to be kept for the comparison.
 */
export class ManyFiles {
  readonly #root: string;
  readonly #shape: TreeShape;
  readonly #count: number;
  #state: TreeState = { name: 'result', changed: new Set() };

  constructor(root: string, shape: TreeShape, count: number) {
    this.#root = root;
    this.#shape = shape;
    this.#count = count;
  }

  get state(): TreeState {
    return this.#state;
  }

  /** Writes all of it. */
  make(): void {
    for (const folder of this.#folders()) mkdirSync(join(this.#root, folder), { recursive: true });
    writeFileSync(join(this.#root, STAYS), 'what lies here belongs together');
    for (let at = 0; at < this.#count; at += 1)
      writeFileSync(join(this.#root, this.#path('result', at)), this.#text(at, false));
  }

  /** Another line in one of them. */
  change(at: number): void {
    const { name, changed } = this.#state;
    this.#state = { name, changed: new Set([...changed, at]) };
    writeFileSync(join(this.#root, this.#path('result', at)), this.#text(at, true));
  }

  renameAll(): void {
    for (let at = 0; at < this.#count; at += 1)
      renameSync(
        join(this.#root, this.#path('result', at)),
        join(this.#root, this.#path('renamed', at)),
      );
    this.#state = { ...this.#state, name: 'renamed' };
  }

  deleteAll(): void {
    for (let at = 0; at < this.#count; at += 1)
      unlinkSync(join(this.#root, this.#path('renamed', at)));
    for (const folder of this.#folders()) if (folder !== '') rmdirSync(join(this.#root, folder));
    this.#state = { ...this.#state, name: 'none' };
  }

  /** What another tree has otherwise than this one had in a state; undefined: nothing. */
  difference(other: string, { name, changed }: TreeState): string | undefined {
    let found = 0;
    for (const folder of name === 'none' ? [''] : this.#folders())
      found += this.#filesIn(other, folder);
    const expected = (name === 'none' ? 0 : this.#count) + 1;
    if (this.#shape === 'tree' && name !== 'none') found += this.#filesIn(other, '');
    if (found !== expected) return `${found} files came back instead of ${expected}`;
    for (let at = 0; name !== 'none' && at < this.#count; at += 1) {
      const path = this.#path(name, at);
      let bytes: Buffer | undefined;
      try {
        bytes = readFileSync(join(other, path));
      } catch {
        return `${path} did not come back`;
      }
      if (!bytes.equals(this.#text(at, changed.has(at))))
        return `${path} came back with other bytes`;
    }
    return undefined;
  }

  #filesIn(root: string, folder: string): number {
    return readdirSync(join(root, folder), { withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    ).length;
  }

  *#folders(): Generator<string> {
    if (this.#shape === 'folder') yield '';
    else for (let at = 0; at < this.#count; at += EACH_FOLDER) yield this.#folder(at);
  }

  #folder(at: number): string {
    return `plate-${String(Math.floor(at / EACH_FOLDER)).padStart(5, '0')}`;
  }

  #path(name: 'result' | 'renamed', at: number): string {
    const file = `${name}-${String(at).padStart(7, '0')}.csv`;
    return this.#shape === 'folder' ? file : join(this.#folder(at), file);
  }

  #text(at: number, changed: boolean): Buffer {
    const text = textFile('csv', `many ${at}`, SEED, 100 + (at % 900));
    return changed ? Buffer.concat([text, Buffer.from('corrected by the operator\n')]) : text;
  }
}
