import { MAX_PIECE_PLAIN_BYTES } from '@aliquot/proto';
import { type BytePath, separator } from '../source/paths.ts';

/** What a walk found, as far as runs are concerned. */
export interface RunFile {
  readonly path: BytePath;
  readonly size: number;
  readonly class: string;
}

/** Behind a folder with as many bytes of small files a run ends. */
const FOLDER_BYTES = 64 << 10;
/** A run that no folder ends has as many files at least, and … */
const LEAST_FILES = 384;
/** … at most; in between, one size in so many ends it. */
const MOST_FILES = 768;
const ENDS_ONE_OF = 64;
/** With as many bytes a run ends, for what was captured should not wait long to be durable. */
const MOST_BYTES = 64 << 20;

interface OpenFolder {
  /** How many bytes of the path name it, with the separator behind it. */
  readonly length: number;
  /** Bytes of small files that were met before it was entered. */
  readonly before: number;
}

/**
 * Cuts the files of a walk into runs. Slabs end where runs do, and what is captured together
 * consists of whole runs: so slabs depend on no batch, thread or time.
 *
 * The same files on another PC, and a folder that was renamed or moved, shall give the same slabs
 * again. Therefore a run ends where the walk leaves a folder that is worth a slab, however few
 * files it then has: what comes before or behind such a folder changes nothing in it. Inside of a
 * large folder a run ends by a file's size, which is known before it is read, and stays when it is
 * renamed, copied or touched.
 */
export class Runs {
  #number = 0;
  #files = 0;
  #bytes = 0;
  #ended = false;
  #last: RunFile | undefined;
  /** The folders that lead to the last file, from the outermost on. */
  readonly #folders: OpenFolder[] = [];
  #smallBytes = 0;

  /** Whether nothing more comes into the run of the last file. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The number of the run that the next file belongs to. Files come in the order of the walk. */
  next(file: RunFile): number {
    const { path, size } = file;
    const leaves = this.#leaves(path);
    if (this.#ended || leaves || (this.#last !== undefined && this.#last.class !== file.class)) {
      this.#number += 1;
      this.#files = 0;
      this.#bytes = 0;
    }
    this.#last = file;
    this.#files += 1;
    this.#bytes += size;
    if (size <= MAX_PIECE_PLAIN_BYTES) this.#smallBytes += size;
    this.#ended =
      this.#bytes >= MOST_BYTES ||
      this.#files >= MOST_FILES ||
      (this.#files >= LEAST_FILES && endsBySize(size));
    return this.#number;
  }

  /** Whether the way to this path leaves a folder that ends a run; notes those that it enters. */
  #leaves(path: BytePath): boolean {
    const same = this.#last === undefined ? 0 : sameStart(this.#last.path, path);
    let kept = this.#folders.length;
    while (kept > 0 && (this.#folders[kept - 1]?.length ?? 0) > same) kept -= 1;
    // The outermost one has all that was met in those below it.
    const left = this.#folders[kept];
    this.#folders.length = kept;
    let from = this.#folders.at(-1)?.length ?? 0;
    for (let at = path.indexOf(separator, from); at >= 0; at = path.indexOf(separator, from)) {
      from = at + separator.length;
      this.#folders.push({ length: from, before: this.#smallBytes });
    }
    return left !== undefined && this.#smallBytes - left.before >= FOLDER_BYTES;
  }
}

function sameStart(one: BytePath, other: BytePath): number {
  const most = Math.min(one.length, other.length);
  let at = 0;
  while (at < most && one.charCodeAt(at) === other.charCodeAt(at)) at += 1;
  return at;
}

/**
 * Multiplicative hashing (Knuth, The Art of Computer Programming, 6.4): sizes lie close together.
 */
function endsBySize(size: number): boolean {
  return Math.imul(size, 0x9e3779b1) >>> 0 < 2 ** 32 / ENDS_ONE_OF;
}
