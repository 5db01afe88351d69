import { asChunkId, type Platform, type Ref } from '@aliquot/proto';
import type { PlacedFile } from './placing.ts';

/**
 * A file to give back, as one thread tells it to another. Bytes go as latin1 text: a typed array
 * would take along all of the memory that it is a view of.
 */
export interface FileOrder {
  readonly platform: Platform;
  readonly path: string;
  readonly mtimeNs: bigint;
  readonly mode: number;
  readonly attributes: number | undefined;
  readonly size: number;
  readonly sha256: string;
  readonly depth: number;
  readonly piece: number;
  /** Ids of the references, one behind the other. */
  readonly ids: string;
  readonly plainSizes: readonly number[];
  readonly epochs: readonly number[];
  readonly keys: string;
  /** Empty where nothing is written. */
  readonly final: string;
  readonly part: { readonly path: string; readonly size: number } | undefined;
}

/** Ids and keys. */
const ID_BYTES = 32;

export function orderOf({ spec, content, keys, placed }: PlacedFile): FileOrder {
  const { platform, mtimeNs, mode, attributes, size } = spec;
  const { depth, piece, refs } = content;
  const { final, part } = placed;
  return {
    ...{ platform, mtimeNs, mode, attributes, size, depth, piece },
    path: text(spec.path),
    sha256: text(spec.sha256),
    ids: refs.map(({ id }) => text(id)).join(''),
    plainSizes: refs.map(({ plainSize }) => plainSize),
    epochs: refs.map(({ epoch }) => epoch),
    keys: keys.map(text).join(''),
    final: text(final),
    part: part === undefined ? undefined : { path: text(part.path), size: part.size },
  };
}

/** What `orderOf` was made from. */
export function fileOf(order: FileOrder): PlacedFile {
  const { platform, mtimeNs, mode, attributes, size, depth, piece, part } = order;
  const refs = order.plainSizes.map((plainSize, at): Ref => {
    return { id: asChunkId(slice(order.ids, at)), plainSize, epoch: order.epochs[at] ?? 0 };
  });
  return {
    spec: {
      ...{ platform, mtimeNs, mode, size },
      ...(attributes === undefined ? {} : { attributes }),
      path: bytes(order.path),
      sha256: bytes(order.sha256),
    },
    content: { depth, piece, refs },
    keys: Array.from({ length: order.keys.length / ID_BYTES }, (_, at) => slice(order.keys, at)),
    placed: {
      final: bytes(order.final),
      part: part === undefined ? undefined : { path: bytes(part.path), size: part.size },
    },
  };
}

function text(from: Uint8Array): string {
  return Buffer.from(from.buffer, from.byteOffset, from.byteLength).toString('latin1');
}

function bytes(from: string): Buffer {
  return Buffer.from(from, 'latin1');
}

function slice(from: string, at: number): Buffer {
  return bytes(from.slice(at * ID_BYTES, (at + 1) * ID_BYTES));
}
