import type { SourceStat } from '../source/source-port.ts';
import type { Found } from '../source/walk.ts';

/**
 * A batch of a walk as it crosses from the worker: names as one text, numbers as one buffer.
 * Handing over a thousand objects, each with four large integers, costs more than to find them.
 */
export interface PackedFound {
  /** Paths of plain items in order, each behind a zero, which no path holds. */
  readonly paths: string;
  /** Eight 64-bit words for each: see `WORDS`. */
  readonly numbers: ArrayBuffer;
  /**
   * What is no plain item, with the place in the batch that it has: links, which have a target,
   * placeholders, and problems.
   */
  readonly others: readonly { readonly at: number; readonly found: Found }[];
}

/**
 * Words of one item: modification, change, inode, device, size, mode, kind, length of the result's
 * path.
 */
const WORDS = 8;
const kinds = ['file', 'directory', 'symlink', 'special'] as const;

export function packFound(batch: readonly Found[]): PackedFound {
  const others: { at: number; found: Found }[] = [];
  const numbers = new ArrayBuffer(batch.length * WORDS * 8);
  const integers = new BigInt64Array(numbers);
  const floats = new Float64Array(numbers);
  let paths = '';
  let word = 0;
  for (const [at, found] of batch.entries()) {
    if (found.type !== 'item' || found.linkTarget !== '' || found.stat.away === true) {
      others.push({ at, found });
      continue;
    }
    const { stat } = found;
    paths += `\0${found.path}`;
    integers[word] = stat.mtimeNs;
    integers[word + 1] = stat.ctimeNs;
    integers[word + 2] = BigInt.asIntN(64, stat.ino);
    integers[word + 3] = BigInt.asIntN(64, stat.dev);
    floats[word + 4] = stat.size;
    floats[word + 5] = stat.mode;
    floats[word + 6] = kinds.indexOf(stat.kind);
    floats[word + 7] = found.resultPathLength;
    word += WORDS;
  }
  return { paths, numbers, others };
}

export function unpackFound({ paths, numbers, others }: PackedFound): readonly Found[] {
  const integers = new BigInt64Array(numbers);
  const unsigned = new BigUint64Array(numbers);
  const floats = new Float64Array(numbers);
  const found: Found[] = [];
  let other = 0;
  const takeOthers = (): void => {
    for (
      let next = others[other];
      next !== undefined && next.at === found.length;
      next = others[other]
    ) {
      found.push(next.found);
      other += 1;
    }
  };
  let word = 0;
  for (const path of paths === '' ? [] : paths.slice(1).split('\0')) {
    takeOthers();
    const stat: SourceStat = {
      kind: kinds[floats[word + 6] as number] ?? 'special',
      size: floats[word + 4] as number,
      mtimeNs: integers[word] as bigint,
      ctimeNs: integers[word + 1] as bigint,
      ino: unsigned[word + 2] as bigint,
      dev: unsigned[word + 3] as bigint,
      mode: floats[word + 5] as number,
    };
    found.push({
      type: 'item',
      path,
      stat,
      linkTarget: '',
      resultPathLength: floats[word + 7] as number,
    });
    word += WORDS;
  }
  takeOthers();
  return found;
}
