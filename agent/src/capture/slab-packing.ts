import { asChunkId } from '@aliquot/proto';
import { unwritten } from '@aliquot/shared/crypto/bytes';
import type { SourceStat } from '../source/source-port.ts';
import type { CapturedFile, CapturedSlab } from './window.ts';

/**
 * Slabs with their files as they cross from the worker: all numbers in one buffer, all hashes and
 * keys in another. As objects each file would be a dozen of them, copied field by field.
 */
export interface PackedSlabs {
  readonly slabs: readonly {
    readonly sealed: Uint8Array;
    readonly epoch: number;
    readonly count: number;
  }[];
  /** For each slab its id and key, then for each of its files hash and key: 32 bytes each. */
  readonly names: Uint8Array;
  /** Eight 64-bit words for each file: see `WORDS`. */
  readonly numbers: ArrayBuffer;
  /** What is odd about a file, with its place among all of them. */
  readonly odd: readonly { readonly at: number; readonly stat: SourceStat }[];
}

/** Words of one file: modification, change, inode, device, size, mode, start of its read, job. */
const WORDS = 8;
const NAME_BYTES = 32;

/** `sealed` gives what is to be handed over in the place of a slab's bytes. */
export function packSlabs(
  slabs: readonly CapturedSlab[],
  sealed: (bytes: Uint8Array) => Uint8Array,
): { readonly packed: PackedSlabs; readonly transfer: ArrayBuffer[] } {
  const files = slabs.reduce((sum, slab) => sum + slab.files.length, 0);
  const names = unwritten(2 * NAME_BYTES * (slabs.length + files));
  const numbers = new ArrayBuffer(files * WORDS * 8);
  const integers = new BigInt64Array(numbers);
  const floats = new Float64Array(numbers);
  const odd: { at: number; stat: SourceStat }[] = [];
  let name = 0;
  const put = (bytes: Uint8Array): void => {
    names.set(bytes, name);
    name += NAME_BYTES;
  };
  let word = 0;
  for (const { id, key, files } of slabs) {
    put(id);
    put(key);
    for (const { job, stat, startedMs, sha256, keys } of files) {
      put(sha256);
      put(keys[0] as Uint8Array);
      if (stat.streams !== undefined || stat.away !== undefined)
        odd.push({ at: word / WORDS, stat });
      integers[word] = stat.mtimeNs;
      integers[word + 1] = stat.ctimeNs;
      integers[word + 2] = BigInt.asIntN(64, stat.ino);
      integers[word + 3] = BigInt.asIntN(64, stat.dev);
      floats[word + 4] = stat.size;
      floats[word + 5] = stat.mode;
      floats[word + 6] = startedMs;
      floats[word + 7] = job;
      word += WORDS;
    }
  }
  const heads = slabs.map((slab) => ({
    sealed: sealed(slab.sealed),
    epoch: slab.files[0]?.content.refs[0]?.epoch ?? 0,
    count: slab.files.length,
  }));
  const packed = { slabs: heads, names, numbers, odd };
  return { packed, transfer: [names.buffer as ArrayBuffer, numbers] };
}

/**
 * The slabs that crossed, each made when it is asked for: the files of all of them would live too
 * long. Pieces of one slab name it by the same array.
 */
export function* unpackSlabs({
  slabs,
  names,
  numbers,
  odd,
}: PackedSlabs): Generator<CapturedSlab, void, void> {
  const integers = new BigInt64Array(numbers);
  const unsigned = new BigUint64Array(numbers);
  const floats = new Float64Array(numbers);
  const oddOnes = new Map(odd.map(({ at, stat }) => [at, stat]));
  let name = 0;
  const take = (): Uint8Array => {
    name += NAME_BYTES;
    return names.subarray(name - NAME_BYTES, name);
  };
  let word = 0;
  for (const { sealed, epoch, count } of slabs) {
    const id = asChunkId(take());
    const key = take();
    const files: CapturedFile[] = [];
    for (let piece = 1; piece <= count; piece += 1) {
      const size = floats[word + 4] as number;
      const plain: SourceStat = {
        kind: 'file',
        size,
        mtimeNs: integers[word] as bigint,
        ctimeNs: integers[word + 1] as bigint,
        ino: unsigned[word + 2] as bigint,
        dev: unsigned[word + 3] as bigint,
        mode: floats[word + 5] as number,
      };
      files.push({
        job: floats[word + 7] as number,
        stat: oddOnes.get(word / WORDS) ?? plain,
        startedMs: floats[word + 6] as number,
        sha256: take(),
        growth: undefined,
        oldPart: undefined,
        content: { depth: 0, piece, refs: [{ id, plainSize: size, epoch }] },
        keys: [take()],
      });
      word += WORDS;
    }
    yield { id, sealed, key, files };
  }
}
