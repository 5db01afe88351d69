import {
  asChainId,
  asCommitHash,
  type ChainId,
  type ChainPoint,
  MAX_CLASS_CHARS,
} from '@aliquot/proto';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { QueueError } from './errors.ts';
import type { FileReference, LostReason } from './facts.ts';
import { checkPath, pathIn } from './payloads.ts';

/*
 * Payloads of the chain records that are no commit and no receipt: forks and references. FORMAT.md,
 * "Queue segment".
 */

export interface ForkRecord {
  readonly chainId: ChainId;
  readonly from: ChainPoint;
  /**
   * The chain goes on under another agent, which took the folder over; what was signed before stays
   * the earlier one's.
   */
  readonly inherited: boolean;
}

export function encodeFork({ chainId, from, inherited }: ForkRecord): Uint8Array {
  return new LayoutWriter()
    .u8(1)
    .raw(chainId)
    .raw(from.chainId)
    .u53(from.sequence)
    .raw(from.hash)
    .u8(inherited ? 1 : 0)
    .done();
}

export function decodeFork(payload: Uint8Array): ForkRecord {
  const reader = new LayoutReader(payload, 'fork record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const chainId = asChainId(reader.raw(16));
  const from = {
    chainId: asChainId(reader.raw(16)),
    sequence: reader.u53(),
    hash: asCommitHash(reader.raw(32)),
  };
  const flag = reader.u8();
  if (flag > 1) throw reader.damaged('unknown kind');
  reader.end();
  return { chainId, from, inherited: flag === 1 };
}

/** How many references fit one record; callers split longer lists. */
export const MAX_REFERENCES_PER_RECORD = 64;

/** One reference, as in records and in the index. */
export function encodeReference(reference: FileReference): Uint8Array {
  checkPath(reference.path);
  if (reference.class.length > MAX_CLASS_CHARS)
    throw new QueueError('QUEUE_REFUSED', `a class name of ${reference.class.length} characters`);
  return referenceInto(new LayoutWriter(), reference).done();
}

export function decodeReference(bytes: Uint8Array): FileReference {
  const reader = new LayoutReader(bytes, 'index of references');
  const reference = referenceIn(reader);
  reader.end();
  return reference;
}

export function encodeReferences(references: readonly FileReference[]): Uint8Array {
  const writer = new LayoutWriter().u8(1).u32(references.length);
  for (const reference of references) referenceInto(writer, reference);
  return writer.done();
}

export function decodeReferences(payload: Uint8Array): readonly FileReference[] {
  const reader = new LayoutReader(payload, 'references record');
  return listIn(reader, () => referenceIn(reader));
}

export function encodeDroppedReferences(paths: readonly Uint8Array[]): Uint8Array {
  const writer = new LayoutWriter().u8(1).u32(paths.length);
  for (const path of paths) writer.sized(path);
  return writer.done();
}

export function decodeDroppedReferences(payload: Uint8Array): readonly Uint8Array[] {
  const reader = new LayoutReader(payload, 'dropped references record');
  return listIn(reader, () => pathIn(reader));
}

const lostReasons: readonly LostReason[] = ['reference-changed', 'reference-gone', 'growing-torn'];

export interface LostReferenceRecord {
  /** The number that it takes in the list of what was lost; no version has it. */
  readonly entry: number;
  readonly why: LostReason;
  readonly path: Uint8Array;
}

export function encodeLostReference({ entry, why, path }: LostReferenceRecord): Uint8Array {
  return new LayoutWriter().u8(1).u53(entry).u8(lostReasons.indexOf(why)).sized(path).done();
}

export function decodeLostReference(payload: Uint8Array): LostReferenceRecord {
  const reader = new LayoutReader(payload, 'lost reference record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const entry = reader.u53();
  const why = lostReasons[reader.u8()];
  if (why === undefined) throw reader.damaged('unknown reason');
  const path = pathIn(reader);
  reader.end();
  return { entry, why, path };
}

/**
 * The value of a lost reference in the index: no path begins with a zero byte, so it is never taken
 * for a lost version's.
 */
export function encodeLostMark({ why, path }: LostReferenceRecord): Uint8Array {
  return new LayoutWriter().u8(0).u8(lostReasons.indexOf(why)).raw(path).done();
}

export function decodeLostMark(value: Uint8Array): {
  readonly path: Uint8Array | undefined;
  readonly why: 'version' | LostReason;
} {
  if (value.length === 0) return { path: undefined, why: 'version' };
  if (value[0] !== 0) return { path: value, why: 'version' };
  return {
    path: new Uint8Array(value.subarray(2)),
    why: lostReasons[value[1] ?? 0] ?? 'reference-gone',
  };
}

function referenceInto(writer: LayoutWriter, reference: FileReference): LayoutWriter {
  const { size, mtimeNs, settledAtMs, resultPathLength, path } = reference;
  return writer
    .u53(size)
    .i64(mtimeNs)
    .u53(settledAtMs)
    .u32(resultPathLength)
    .text(reference.class)
    .sized(path);
}

function referenceIn(reader: LayoutReader): FileReference {
  const fields = {
    size: reader.u53(),
    mtimeNs: reader.i64(),
    settledAtMs: reader.u53(),
    resultPathLength: reader.u32(),
  };
  const className = reader.text(MAX_CLASS_CHARS);
  const path = pathIn(reader);
  if (fields.resultPathLength > path.length)
    throw reader.damaged('the result is longer than the path');
  return { path, ...fields, class: className };
}

function listIn<T>(reader: LayoutReader, one: () => T): readonly T[] {
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const count = reader.u32();
  if (count === 0 || count > MAX_REFERENCES_PER_RECORD)
    throw reader.damaged('too many entries, or none');
  const list = Array.from({ length: count }, one);
  reader.end();
  return list;
}
