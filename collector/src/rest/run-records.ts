import type { ChunkId, StoredKind } from '@aliquot/proto';
import {
  FramedRecords,
  ITEM_PREFIX_BYTES,
  RECORD_HEAD_BYTES,
  WHAT_CHUNK,
  WHAT_DAMAGED,
  WHAT_MISSING,
  WHAT_PAGE,
  WHAT_SLAB,
  writeRecordHead,
} from '../api/record-stream.ts';
import type { ItemRun, ReadItem } from '../store/vault-records.ts';

/**
 * What stands in front of an item's bytes: less than the room that a run has there
 * (`ITEM_ROOM_BYTES`).
 */
const ITEM_HEAD_BYTES = RECORD_HEAD_BYTES + ITEM_PREFIX_BYTES;

const whatOf: Record<StoredKind, number> = {
  chunk: WHAT_CHUNK,
  page: WHAT_PAGE,
  slab: WHAT_SLAB,
};

/**
 * Items as records. Those of a run are framed where they lie: their heads go into the room in
 * front, and the gaps are closed.
 */
export function* encodeRun(run: ItemRun): Generator<Uint8Array | FramedRecords> {
  if (run.type !== 'run') {
    for (const id of run.ids)
      yield recordHead(run.type === 'missing' ? WHAT_MISSING : WHAT_DAMAGED, id);
    return;
  }
  const bytes = Buffer.from(run.bytes.buffer, run.bytes.byteOffset, run.bytes.byteLength);
  let end = 0;
  for (const { id, kind, offset, length } of run.items) {
    const head = offset - ITEM_HEAD_BYTES;
    writeRecordHead(bytes, head, ITEM_PREFIX_BYTES + length);
    bytes.writeUInt8(whatOf[kind], head + RECORD_HEAD_BYTES);
    bytes.set(id, head + RECORD_HEAD_BYTES + 1);
    bytes.copyWithin(end, head, offset + length);
    end += ITEM_HEAD_BYTES + length;
  }
  yield new FramedRecords(bytes.subarray(0, end));
}

/** One item as a record, copied. */
export function encodeItem(item: ReadItem): Uint8Array {
  if (item.type !== 'item')
    return recordHead(item.type === 'missing' ? WHAT_MISSING : WHAT_DAMAGED, item.id);
  return Buffer.concat([recordHead(whatOf[item.kind], item.id), item.bytes]);
}

function recordHead(what: number, id: ChunkId): Uint8Array {
  const record = Buffer.allocUnsafe(ITEM_PREFIX_BYTES);
  record.writeUInt8(what, 0);
  record.set(id, 1);
  return record;
}
