import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SeededRandom } from './random.ts';

/**
 * What of a LevelDB folder is there after a power failure: everything, or only what was flushed, or
 * that and a part of the newest log (`torn`: its first half; `holes`: some of its pages), or
 * nothing at all, or everything with bytes altered in each file.
 */
export type LevelSurvival =
  | 'all'
  | 'none'
  | 'torn'
  | { readonly holes: SeededRandom }
  | 'missing'
  | { readonly corrupted: SeededRandom };

type Files = ReadonlyMap<string, Buffer>;

const PAGE_BYTES = 4096;

/** Keeps, for each LevelDB folder, a copy of its last flushed moment. */
export class LevelFolders {
  readonly #flushed = new Map<string, Files>();

  /**
   * LevelDB has flushed: after opening (its recovery writes and flushes tables), and after a batch
   * with `sync`.
   */
  flushed(folder: string): void {
    this.#flushed.set(folder, filesIn(folder));
  }

  knows(folder: string): boolean {
    return this.#flushed.has(folder);
  }

  forget(folder: string): void {
    this.#flushed.delete(folder);
  }

  folders(): string[] {
    return [...this.#flushed.keys()];
  }

  /** Call before the real files are touched: what the folders will be, by folder. */
  survivors(survival: LevelSurvival): ReadonlyMap<string, Files> {
    return new Map(
      [...this.#flushed].map(([folder, flushed]) => [
        folder,
        surviving(flushed, filesIn(folder), survival),
      ]),
    );
  }

  /** Puts the folders that exist back to these files. */
  restore(survivors: ReadonlyMap<string, Files>): void {
    for (const [folder, files] of survivors) {
      if (!existsSync(folder)) {
        this.#flushed.delete(folder);
        continue;
      }
      rmSync(folder, { recursive: true });
      mkdirSync(folder, { mode: 0o700 });
      for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
      this.#flushed.set(folder, files);
    }
  }
}

function surviving(flushed: Files, now: Files, survival: LevelSurvival): Files {
  if (survival === 'all') return now;
  if (survival === 'none') return flushed;
  if (survival === 'missing') return new Map();
  if (typeof survival === 'object' && 'corrupted' in survival) {
    return new Map([...now].map(([name, bytes]) => [name, altered(bytes, survival.corrupted)]));
  }
  return new Map(
    [...now].map(([name, bytes]) => {
      const from = flushed.get(name)?.length ?? 0;
      if (!name.endsWith('.log') || bytes.length <= from) return [name, bytes];
      if (survival === 'torn')
        return [name, bytes.subarray(0, from + Math.floor((bytes.length - from) / 2))];
      return [name, withHoles(bytes, from, survival.holes)];
    }),
  );
}

function withHoles(bytes: Buffer, from: number, random: SeededRandom): Buffer {
  const holed = Buffer.from(bytes);
  for (let at = from - (from % PAGE_BYTES); at < bytes.length; at += PAGE_BYTES) {
    if (random.chance(0.5))
      holed.fill(0, Math.max(at, from), Math.min(at + PAGE_BYTES, holed.length));
  }
  return holed;
}

function altered(bytes: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(bytes);
  for (let count = 0; count < 8 && copy.length > 0; count += 1) {
    const at = random.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 + random.below(255));
  }
  return copy;
}

/** A compaction may be under way in LevelDB's own thread: only two equal looks are one moment. */
function filesIn(folder: string): Files {
  if (!existsSync(folder)) return new Map();
  let before = look(folder);
  for (;;) {
    const now = look(folder);
    if (before !== undefined && now !== undefined && same(before, now)) return now;
    before = now;
  }
}

function look(folder: string): Map<string, Buffer> | undefined {
  const files = new Map<string, Buffer>();
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isFile() && entry.name !== 'LOCK')
        files.set(entry.name, readFileSync(join(folder, entry.name)));
    }
    return files;
  } catch {
    return undefined; // removed meanwhile
  }
}

function same(left: Files, right: Files): boolean {
  return (
    left.size === right.size &&
    [...left].every(([name, bytes]) => right.get(name)?.equals(bytes) === true)
  );
}
