import type { Position } from '@aliquot/shared/records/format';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { type ClassBytes, classesIn } from './payloads.ts';

/*
 * Values of the index's families `i`, `q` and `c`.
 */

/** An item's place: where its record begins. */
export interface ItemPlace extends Position {
  readonly kind: 'chunk' | 'page';
}

export interface UnsignedEntry {
  readonly at: Position;
  readonly batch: number;
  readonly holdSegment: number;
  readonly itemBytes: number;
  readonly capturedAtMs: number;
  readonly class: string;
}

export interface LoggedCommit {
  readonly at: Position;
  readonly hash: Uint8Array;
  readonly entries: number;
  readonly lastEntry: number;
  readonly itemBytes: number;
  readonly oldestMs: number;
  /** Where its hold stands in family `h`. */
  readonly holdSegment: number;
  readonly firstEntry: number;
  /** What its record takes in the chain log. */
  readonly recordBytes: number;
  readonly classes: readonly ClassBytes[];
}

export function encodeItemPlace(place: ItemPlace): Uint8Array {
  return new LayoutWriter()
    .u8(place.kind === 'chunk' ? 1 : 2)
    .u53(place.file)
    .u53(place.offset)
    .done();
}

export function decodeItemPlace(bytes: Uint8Array): ItemPlace {
  const reader = new LayoutReader(bytes, 'index of items');
  const kind = reader.u8() === 1 ? 'chunk' : 'page';
  return { kind, file: reader.u53(), offset: reader.u53() };
}

export function encodeUnsigned(entry: UnsignedEntry): Uint8Array {
  const writer = new LayoutWriter().u53(entry.at.file).u53(entry.at.offset).u32(entry.batch);
  return writer
    .u53(entry.holdSegment)
    .u53(entry.itemBytes)
    .u53(entry.capturedAtMs)
    .text(entry.class)
    .done();
}

export function decodeUnsigned(bytes: Uint8Array): UnsignedEntry {
  const reader = new LayoutReader(bytes, 'index of versions');
  const at = { file: reader.u53(), offset: reader.u53() };
  const fields = {
    batch: reader.u32(),
    holdSegment: reader.u53(),
    itemBytes: reader.u53(),
    capturedAtMs: reader.u53(),
  };
  return { at, ...fields, class: reader.text(64) };
}

export function encodeCommitPlace(place: LoggedCommit): Uint8Array {
  const writer = new LayoutWriter()
    .u53(place.at.file)
    .u53(place.at.offset)
    .raw(place.hash)
    .u32(place.entries)
    .u53(place.lastEntry);
  writer.u53(place.itemBytes).u53(place.oldestMs).u53(place.holdSegment).u53(place.firstEntry);
  writer.u53(place.recordBytes).u32(place.classes.length);
  for (const { name, bytes } of place.classes) writer.text(name).u53(bytes);
  return writer.done();
}

export function decodeCommitPlace(bytes: Uint8Array): LoggedCommit {
  const reader = new LayoutReader(bytes, 'index of commits');
  const at = { file: reader.u53(), offset: reader.u53() };
  const hash = reader.raw(32);
  const fields = {
    entries: reader.u32(),
    lastEntry: reader.u53(),
    itemBytes: reader.u53(),
    oldestMs: reader.u53(),
  };
  const place = { at, hash, ...fields, holdSegment: reader.u53(), firstEntry: reader.u53() };
  return { ...place, recordBytes: reader.u53(), classes: classesIn(reader) };
}
