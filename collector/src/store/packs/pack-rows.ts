import { asChunkId } from '@aliquot/proto';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { ReadRecord, RecordReader } from '@aliquot/shared/records/reader';
import { isDamaged, StoreError } from '../errors.ts';
import {
  decodeEnd,
  decodeIndex,
  END_BYTES,
  END_PAYLOAD_BYTES,
  type IndexRow,
  IndexRows,
  indexPayloadBytes,
  isItem,
  type PackEnd,
  type PackIndex,
  type PackKind,
} from './pack-format.ts';
import type { PackRow, Place } from './pack-store.ts';
import { type PiecesHeld, readPieces, rottenPieces } from './slab-pieces.ts';

/** What the index of an open pack is in memory. */
export interface OpenIndex {
  readonly index: PackIndex;
  /** Where items lie whose bytes had rotted when the pack was opened. */
  readonly unsound: ReadonlySet<number>;
}

/** Rows that are given at once: a bounded part of the largest index. */
const ROWS_AT_ONCE = 1024;

/** `undefined` when the pack does not end as closed ones do. */
export async function endOfPack(
  packs: RecordReader<PackKind>,
  pack: number,
): Promise<PackEnd | undefined> {
  const size = packs.sizeOf(pack) ?? 0;
  const found = await soundRecord(packs, pack, size - END_BYTES, END_PAYLOAD_BYTES);
  return found?.header.kind === 'end' ? decodeEnd(found.payload, size) : undefined;
}

/** The index of a closed pack; `undefined` when it is not sound, or does not fit the pack. */
export async function indexOfPack(
  packs: RecordReader<PackKind>,
  pack: number,
): Promise<IndexRows | undefined> {
  const end = await endOfPack(packs, pack);
  if (end === undefined) return undefined;
  const { indexOffset, items } = end;
  const found = await soundRecord(packs, pack, indexOffset, indexPayloadBytes(items));
  return found?.header.kind === 'index' ? decodeIndex(found.payload, end) : undefined;
}

/**
 * See `PackStore.rows`: from the index in memory, from the pack's own, or from its records. Throws
 * `STORE_CORRUPT` where only a later release knows what stands there.
 */
export async function* packRows(
  packs: RecordReader<PackKind>,
  pack: number,
  from: number,
  open: OpenIndex | undefined,
): AsyncGenerator<readonly PackRow[]> {
  const index =
    open === undefined ? await indexOfPack(packs, pack) : IndexRows.of(open.index.payload());
  if (index === undefined) {
    yield* scannedRows(packs, pack, from);
    return;
  }
  for (let at = index.indexOf(from); at < index.count; at += ROWS_AT_ONCE) {
    const rows: PackRow[] = [];
    for (let row = at; row < Math.min(at + ROWS_AT_ONCE, index.count); row += 1) {
      const found = index.row(row);
      const sound = open?.unsound.has(found.offset) !== true;
      rows.push(await indexedRow(packs, pack, found, sound));
    }
    yield rows;
  }
}

async function* scannedRows(
  packs: RecordReader<PackKind>,
  pack: number,
  from: number,
): AsyncGenerator<readonly PackRow[]> {
  let rows: PackRow[] = [];
  for await (const item of packs.scanFile(pack, { from, take: () => 'skip' })) {
    if (item.type === 'unknown')
      throw new StoreError(
        'STORE_CORRUPT',
        `${packs.path(pack)}: at byte ${item.offset}: ${item.why} is not known to this release; use the release that wrote it`,
      );
    if (item.header === undefined || !isItem(item.header.kind)) continue;
    const { kind, length, digest } = item.header;
    const place = { pack, offset: item.offset, length };
    const found = kind === 'slab' ? await piecesAt(packs, place) : undefined;
    const sound = item.type === 'record' && (kind !== 'slab' || found !== undefined);
    const pieces = kind === 'slab' ? (found ?? rottenPieces) : undefined;
    rows.push({ id: asChunkId(digest), kind, place, pieces, sound });
    if (rows.length < ROWS_AT_ONCE) continue;
    yield rows;
    rows = [];
  }
  if (rows.length > 0) yield rows;
}

/** Only which pieces a slab lacks has to be read in the pack. */
async function indexedRow(
  packs: RecordReader<PackKind>,
  pack: number,
  { id, kind, offset, length, pieces: count, hasHoles }: IndexRow,
  sound: boolean,
): Promise<PackRow> {
  const place = { pack, offset, length };
  const row = { id: asChunkId(id), kind, place, sound };
  if (kind !== 'slab') return { ...row, pieces: undefined };
  if (!hasHoles) return { ...row, pieces: { count, here: undefined } };
  const pieces = await piecesAt(packs, place);
  return pieces === undefined ? { ...row, pieces: rottenPieces, sound: false } : { ...row, pieces };
}

/** What a slab at a place has of its pieces; undefined when it has rotted there. */
export function piecesAt(
  packs: RecordReader<PackKind>,
  { pack, offset, length }: Place,
): Promise<PiecesHeld | undefined> {
  const start = offset + RECORD_HEADER_BYTES;
  return readPieces((at, bytes) =>
    packs.readBytes(pack, start + at, Math.max(0, Math.min(bytes, length - at))),
  );
}

/** A record that is what was written; `undefined` when none is there. */
async function soundRecord(
  packs: RecordReader<PackKind>,
  file: number,
  offset: number,
  length: number,
): Promise<ReadRecord<PackKind> | undefined> {
  if (offset < 0) return undefined;
  try {
    return await packs.read({ file, offset }, length);
  } catch (error) {
    if (!isDamaged(error)) throw error;
    return undefined;
  }
}
