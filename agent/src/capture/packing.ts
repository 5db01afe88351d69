import { asChunkId, type ChunkId, type Content } from '@aliquot/proto';
import { unwritten } from '@aliquot/shared/crypto/bytes';
import type { SourceStat } from '../source/source-port.ts';
import type { Found } from '../source/walk.ts';
import { type PackedSlabs, packSlabs, unpackSlabs } from './slab-packing.ts';
import type { CapturedFile, CaptureResult, CaptureWindow } from './window.ts';

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
  for (let at = 0; at < batch.length; at += 1) {
    const found = batch[at] as Found;
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

/**
 * Sealed slabs from here on that own their memory are handed over without a copy, and that memory
 * is given back as soon as they are sent; smaller ones share a buffer, for a transfer costs 20 µs.
 */
const OWN_FROM_BYTES = 16 << 10;

/**
 * Byte strings one behind the other in one buffer: the other thread then makes one buffer of all of
 * them, instead of one of each.
 */
class Gathered {
  readonly bytes: Uint8Array;
  #used = 0;

  constructor(length: number) {
    this.bytes = unwritten(length);
  }

  add(part: Uint8Array): Uint8Array {
    this.bytes.set(part, this.#used);
    this.#used += part.length;
    return this.bytes.subarray(this.#used - part.length, this.#used);
  }

  addId(id: ChunkId): ChunkId {
    return asChunkId(this.add(id));
  }
}

/** A window as it crosses from the worker. */
export interface PackedWindow extends Omit<CaptureWindow, 'slabs'> {
  readonly slabs: PackedSlabs;
}

/**
 * The same window over a few buffers that may all be handed over: sealed items where they lie,
 * small slabs in one; ids, hashes and keys in others, because they are remembered for longer.
 */
export function packWindow(window: CaptureWindow): {
  readonly packed: PackedWindow;
  readonly transfer: ArrayBuffer[];
} {
  const { items, cached, results } = window;
  const slabs = [...window.slabs];
  const small = slabs.filter(({ sealed }) => !isOwn(sealed));
  const gathered = new Gathered(small.reduce((sum, { sealed }) => sum + sealed.length, 0));
  const names = new Gathered(namesLength(window));
  const transfer = new Set([gathered.bytes.buffer, names.bytes.buffer]);
  for (const { sealed } of items) transfer.add(sealed.buffer);
  const handOver = (sealed: Uint8Array): Uint8Array => {
    if (!isOwn(sealed)) return gathered.add(sealed);
    transfer.add(sealed.buffer);
    return sealed;
  };
  const packedSlabs = packSlabs(slabs, handOver);
  for (const buffer of packedSlabs.transfer) transfer.add(buffer);
  const packed: PackedWindow = {
    ...window,
    items: items.map((item) => ({ ...item, id: names.addId(item.id) })),
    slabs: packedSlabs.packed,
    cached: cached.map(({ pairs, ...of }) => ({ ...of, pairs: names.add(pairs) })),
    results: results.map((result) => packResult(result, names)),
  };
  return { packed, transfer: [...transfer] as ArrayBuffer[] };
}

/** The window that crossed. */
export function unpackWindow(packed: PackedWindow): CaptureWindow {
  return { ...packed, slabs: unpackSlabs(packed.slabs) };
}

function isOwn(sealed: Uint8Array): boolean {
  return sealed.length >= OWN_FROM_BYTES && sealed.length === sealed.buffer.byteLength;
}

function packResult(result: CaptureResult, names: Gathered): CaptureResult {
  return result.type === 'captured' ? packFile(result, names) : result;
}

function packFile<File extends CapturedFile>(file: File, names: Gathered): File {
  const content: Content = {
    ...file.content,
    refs: file.content.refs.map((ref) => ({ ...ref, id: names.addId(ref.id) })),
  };
  return {
    ...file,
    sha256: names.add(file.sha256),
    content,
    keys: file.keys.map((key) => names.add(key)),
  };
}

function namesLength({ items, cached, results }: CaptureWindow): number {
  let length = items.reduce((sum, { id }) => sum + id.length, 0);
  for (const { pairs } of cached) length += pairs.length;
  for (const result of results) if (result.type === 'captured') length += fileNamesLength(result);
  return length;
}

function fileNamesLength({ sha256, content, keys }: CapturedFile): number {
  let length = sha256.length;
  for (const { id } of content.refs) length += id.length;
  for (const key of keys) length += key.length;
  return length;
}
