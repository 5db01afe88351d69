import { type BytePath, separator } from '../source/paths.ts';

/** A run of files has as many at least, and … */
const RUN_FILES = 512;
/** … at most; after the least of them, one name in so many ends it. */
const MOST_RUN_FILES = 1024;
const RUN_ENDS_ONE_OF = 128;

/**
 * Whether what is captured together ends behind this file. Decided by its name, as far as possible:
 * a slab ends where a run does, and so the same folders on another PC, or with more or fewer files
 * in them, soon give the same runs again, and the same slabs.
 */
export function endsRun(files: number, path: BytePath): boolean {
  if (files < RUN_FILES) return false;
  if (files >= MOST_RUN_FILES) return true;
  // FNV-1a (Fowler, Noll, Vo), 32 bits.
  let hash = 0x811c9dc5;
  for (let at = path.lastIndexOf(separator) + 1; at < path.length; at += 1)
    hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % RUN_ENDS_ONE_OF === 0;
}
