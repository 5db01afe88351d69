import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { FinishedResult, Record } from './record.ts';

/**
 * A tree of many small files, as instruments leave them and people move them: new folders full of
 * them, and some of those that are there changed, touched, renamed or deleted, one by one or by the
 * folder.
 */

/** More than so many, and files are only taken away. */
const MOST_FILES = 800;
/** The sizes that matter: nothing, one byte, and around the size from which a file is cut. */
const edges = [0, 1, 65_535, 65_536, 65_537] as const;
const USUAL_BYTES = 6000;
/** The furthest that a touched file's time goes back. */
const YEAR_S = 365 * 86_400;

/** Writes below `folder` until `stopped`, and ends between two changes. */
export async function keepSmallTree(
  folder: string,
  random: SeededRandom,
  record: Record,
  stopped: () => boolean,
): Promise<void> {
  const tree = new SmallTree(folder, random, record);
  while (!stopped()) {
    await tree.step();
    await delay(random.below(3000)); // the pace of those who write; nothing depends on it
  }
}

/** One such tree; `step` is one of its changes. */
export class SmallTree {
  readonly #folder: string;
  readonly #random: SeededRandom;
  readonly #record: Record;
  /** What each file holds now. */
  readonly #contents = new Map<string, Buffer>();
  readonly #results = new Map<string, FinishedResult>();
  #folders = 0;

  constructor(folder: string, random: SeededRandom, record: Record) {
    this.#folder = folder;
    this.#random = random;
    this.#record = record;
  }

  async step(): Promise<void> {
    const habits = [
      ...(this.#contents.size > MOST_FILES ? [] : (['new', 'new'] as const)),
      ...(this.#contents.size === 0
        ? []
        : (['change', 'change', 'touch', 'rename', 'move', 'delete', 'clear'] as const)),
    ];
    const habit = this.#random.pick(habits);
    if (habit === 'new') await this.#writeFolder();
    else if (habit === 'move') await this.#moveFolder();
    else if (habit === 'clear') await this.#clearFolder();
    else
      for (const path of this.#some(1 + this.#random.below(20))) {
        if (habit === 'change') await this.#write(path);
        else if (habit === 'touch') await this.#touch(path);
        else if (habit === 'rename') await this.#rename(path, this.#newName(this.#someFolder()));
        else await this.#remove(path);
      }
  }

  /** Each habit takes other files each time, and never one twice. */
  #some(count: number): string[] {
    const left = [...this.#contents.keys()];
    const taken: string[] = [];
    while (taken.length < count && left.length > 0)
      taken.push(...left.splice(this.#random.below(left.length), 1));
    return taken;
  }

  async #writeFolder(): Promise<void> {
    const folder = this.#newFolder();
    await mkdir(folder, { recursive: true });
    for (let left = 5 + this.#random.below(50); left > 0; left -= 1)
      await this.#write(this.#newName(folder));
  }

  async #write(path: string): Promise<void> {
    const content = this.#drawn(path);
    const known = this.#results.get(path);
    if (known !== undefined) this.#record.touch(known);
    const result = known ?? this.#record.begin(path, [path]);
    this.#results.set(path, result);
    this.#record.passes(path, content, 0);
    this.#record.wrote(path, content);
    this.#contents.set(path, content);
    await writeFile(path, content);
    this.#record.finish(result);
  }

  /** Another time, the same bytes. */
  async #touch(path: string): Promise<void> {
    const seconds = Math.floor(Date.now() / 1000) - this.#random.below(YEAR_S);
    await utimes(path, seconds, seconds);
  }

  async #rename(path: string, to: string): Promise<void> {
    this.#renamed(path, to);
    await rename(path, to);
    this.#arrived(to);
  }

  async #moveFolder(): Promise<void> {
    const folder = this.#someFolder();
    const to = this.#newFolder();
    await mkdir(dirname(to), { recursive: true });
    const moved = this.#below(folder).map((path) => [path, join(to, basename(path))] as const);
    for (const [path, there] of moved) this.#renamed(path, there);
    await rename(folder, to);
    for (const [, there] of moved) this.#arrived(there);
  }

  /** Its earlier path has it no more; what was told of that has to stay. */
  #renamed(path: string, to: string): void {
    const content = this.#contents.get(path);
    const result = this.#results.get(path);
    if (content === undefined || result === undefined) throw new Error(`${path} is not there`);
    this.#record.gone(result);
    this.#contents.delete(path);
    this.#results.delete(path);
    this.#record.wrote(to, content);
    this.#contents.set(to, content);
    this.#results.set(to, this.#record.begin(to, [to]));
  }

  #arrived(path: string): void {
    const result = this.#results.get(path);
    if (result !== undefined) this.#record.finish(result);
  }

  async #remove(path: string): Promise<void> {
    this.#forget(path);
    await rm(path);
  }

  async #clearFolder(): Promise<void> {
    const folder = this.#someFolder();
    for (const path of this.#below(folder)) this.#forget(path);
    await rm(folder, { recursive: true });
  }

  /** A folder with files, of which none is in another. */
  #someFolder(): string {
    return dirname(this.#random.pick([...this.#contents.keys()]));
  }

  #below(folder: string): string[] {
    return [...this.#contents.keys()].filter((path) => dirname(path) === folder);
  }

  #forget(path: string): void {
    const result = this.#results.get(path);
    if (result !== undefined) this.#record.gone(result);
    this.#contents.delete(path);
    this.#results.delete(path);
  }

  #newFolder(): string {
    this.#folders += 1;
    const below = this.#random.chance(0.3) ? `week ${this.#random.below(5)}` : '';
    return join(this.#folder, below, `plate ${this.#folders}`);
  }

  /** A name that was never there: no state of another file is then taken for one of its own. */
  #newName(folder: string): string {
    return join(folder, `well ${this.#random.below(1e9)}.csv`);
  }

  /** Sometimes what another file holds as well; always a size that this file never had. */
  #drawn(path: string): Buffer {
    if (this.#random.chance(0.1) && this.#contents.size > 0) {
      const other = this.#contents.get(this.#random.pick([...this.#contents.keys()]));
      if (other !== undefined && !this.#record.hadSize(path, other.length)) return other;
    }
    for (;;) {
      const bytes = this.#random.chance(0.1)
        ? this.#random.pick(edges)
        : 1 + this.#random.below(USUAL_BYTES);
      if (!this.#record.hadSize(path, bytes)) return text(bytes, this.#random.below(1e9));
    }
  }
}

/** Lines of readings, cut to so many bytes. */
function text(bytes: number, seed: number): Buffer {
  let lines = '';
  for (let at = 0; lines.length < bytes; at += 1)
    lines += `A${at},${(seed * (at + 7)) % 9973},${((seed >>> 3) ^ (at * 31)) % 401}\n`;
  return Buffer.from(lines.slice(0, bytes), 'latin1');
}
