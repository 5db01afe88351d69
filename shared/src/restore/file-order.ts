import { asChunkId, type Ref } from '@aliquot/proto';
import type { PlacedFile } from './placing.ts';

/**
 * Files to give back as one thread tells them to another: one piece of memory that is handed over.
 * As objects they would be copied field by field, at some 15 µs a file.
 *
 * ```
 * u32 count ‖ for each: 64 bytes of numbers ‖ path ‖ SHA-256 ‖ final ‖ path of the part ‖
 * references × (f64 plaintext bytes ‖ u32 epoch ‖ id 32) ‖ keys × 32
 * ```
 */
export type PackedOrder = Uint8Array<ArrayBuffer>;

/** Ids and keys. */
const ID_BYTES = 32;
const REF_BYTES = 12 + ID_BYTES;
const NUMBERS_BYTES = 64;
const COUNT_BYTES = 4;
const POSIX = 0;
const WINDOWS = 1;

/** Where each of a file's numbers stands. */
const at = {
  size: 0,
  mtimeNs: 8,
  partSize: 16,
  pathBytes: 24,
  finalBytes: 28,
  /** 0: there is no part. */
  partBytes: 32,
  refs: 36,
  keys: 40,
  mode: 44,
  attributes: 48,
  piece: 52,
  sha256Bytes: 56,
  depth: 58,
  platform: 59,
  hasAttributes: 60,
  isNew: 61,
} as const;

export function packOrder(files: readonly PlacedFile[]): PackedOrder {
  let length = COUNT_BYTES;
  for (const file of files) length += lengthOf(file);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, files.length);
  let end = COUNT_BYTES;
  for (const file of files) end = pack(bytes, view, end, file);
  return bytes;
}

/** What `packOrder` was made from; views of it. */
export function unpackOrder(bytes: PackedOrder): PlacedFile[] {
  const view = new DataView(bytes.buffer);
  const reader = new Reader(bytes.buffer, COUNT_BYTES);
  return Array.from({ length: view.getUint32(0) }, () => unpack(reader, view));
}

function lengthOf({ spec, content, keys, placed }: PlacedFile): number {
  return (
    NUMBERS_BYTES +
    spec.path.length +
    spec.sha256.length +
    placed.final.length +
    (placed.part?.path.length ?? 0) +
    REF_BYTES * content.refs.length +
    ID_BYTES * keys.length
  );
}

function pack(bytes: Uint8Array, view: DataView, from: number, file: PlacedFile): number {
  const { spec, content, keys, placed } = file;
  const { part } = placed;
  view.setFloat64(from + at.size, spec.size);
  view.setBigInt64(from + at.mtimeNs, spec.mtimeNs);
  view.setFloat64(from + at.partSize, part?.size ?? 0);
  view.setUint32(from + at.pathBytes, spec.path.length);
  view.setUint32(from + at.finalBytes, placed.final.length);
  view.setUint32(from + at.partBytes, part?.path.length ?? 0);
  view.setUint32(from + at.refs, content.refs.length);
  view.setUint32(from + at.keys, keys.length);
  view.setUint32(from + at.mode, spec.mode);
  view.setUint32(from + at.attributes, spec.attributes ?? 0);
  view.setUint32(from + at.piece, content.piece);
  bytes[from + at.sha256Bytes] = spec.sha256.length;
  bytes[from + at.depth] = content.depth;
  bytes[from + at.platform] = spec.platform === 'windows' ? WINDOWS : POSIX;
  bytes[from + at.hasAttributes] = spec.attributes === undefined ? 0 : 1;
  bytes[from + at.isNew] = placed.isNew === true ? 1 : 0;
  let end = from + NUMBERS_BYTES;
  const put = (part: Uint8Array): void => {
    bytes.set(part, end);
    end += part.length;
  };
  put(spec.path);
  put(spec.sha256);
  put(placed.final);
  if (part !== undefined) put(part.path);
  for (const { id, plainSize, epoch } of content.refs) {
    view.setFloat64(end, plainSize);
    view.setUint32(end + 8, epoch);
    bytes.set(id, end + 12);
    end += REF_BYTES;
  }
  for (const key of keys) put(key);
  return end;
}

/** Takes one part after the other. */
class Reader {
  at: number;
  readonly #whole: Buffer;

  constructor(buffer: ArrayBuffer, at: number) {
    this.#whole = Buffer.from(buffer);
    this.at = at;
  }

  take(length: number): Buffer {
    const from = this.at;
    this.at += length;
    return this.#whole.subarray(from, this.at);
  }
}

function unpack(reader: Reader, view: DataView): PlacedFile {
  const from = reader.at;
  reader.at += NUMBERS_BYTES;
  const number = (place: number): number => view.getUint32(from + place);
  const path = reader.take(number(at.pathBytes));
  const sha256 = reader.take(view.getUint8(from + at.sha256Bytes));
  const final = reader.take(number(at.finalBytes));
  const partBytes = number(at.partBytes);
  const size = view.getFloat64(from + at.partSize);
  const part = partBytes === 0 ? undefined : { path: reader.take(partBytes), size };
  const refs: Ref[] = [];
  for (let left = number(at.refs); left > 0; left -= 1) {
    const plainSize = view.getFloat64(reader.at);
    const epoch = view.getUint32(reader.at + 8);
    reader.at += 12;
    refs.push({ id: asChunkId(reader.take(ID_BYTES)), plainSize, epoch });
  }
  const keys: Buffer[] = [];
  for (let left = number(at.keys); left > 0; left -= 1) keys.push(reader.take(ID_BYTES));
  const attributes = number(at.attributes);
  return {
    spec: {
      platform: view.getUint8(from + at.platform) === WINDOWS ? 'windows' : 'posix',
      path,
      mtimeNs: view.getBigInt64(from + at.mtimeNs),
      mode: number(at.mode),
      ...(view.getUint8(from + at.hasAttributes) === 1 ? { attributes } : {}),
      size: view.getFloat64(from + at.size),
      sha256,
    },
    content: { depth: view.getUint8(from + at.depth), piece: number(at.piece), refs },
    keys,
    placed: { final, part, isNew: view.getUint8(from + at.isNew) === 1 },
  };
}
