import { asChunkId, type ChunkId, type StoredKind } from '@aliquot/proto';
import type { ItemRun } from '../store/vault-store.ts';
import { FramedRecords, RECORD_HEAD_BYTES, StreamError, writeRecordHead } from './record-stream.ts';

/**
 * One sealed item in an answer: `u8 what ‖ 32 bytes id ‖ sealed bytes`. What: 1 chunk, 2 page, 3
 * missing, 4 damaged (the last two without bytes).
 */
const CHUNK = 1;
const PAGE = 2;
const MISSING = 3;
const DAMAGED = 4;
const ID_BYTES = 32;
/**
 * What stands in front of an item's bytes: less than the room that a run has there
 * (`ITEM_ROOM_BYTES`).
 */
const ITEM_HEAD_BYTES = RECORD_HEAD_BYTES + 1 + ID_BYTES;

/** What an operator's command receives for an id. The bytes are not proved yet. */
export type ReceivedItem =
  | {
      readonly type: 'item';
      readonly id: ChunkId;
      readonly kind: StoredKind;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'missing' | 'damaged'; readonly id: ChunkId };

/**
 * Items as records. Those of a run are framed where they lie: their heads go into the room in
 * front, and the gaps are closed.
 */
export function* encodeRun(run: ItemRun): Generator<Uint8Array | FramedRecords> {
  if (run.type !== 'run') {
    for (const id of run.ids) yield recordHead(run.type === 'missing' ? MISSING : DAMAGED, id);
    return;
  }
  const bytes = Buffer.from(run.bytes.buffer, run.bytes.byteOffset, run.bytes.byteLength);
  let end = 0;
  for (const { id, kind, offset, length } of run.items) {
    const head = offset - ITEM_HEAD_BYTES;
    writeRecordHead(bytes, head, 1 + ID_BYTES + length);
    bytes.writeUInt8(kind === 'chunk' ? CHUNK : PAGE, head + RECORD_HEAD_BYTES);
    bytes.set(id, head + RECORD_HEAD_BYTES + 1);
    bytes.copyWithin(end, head, offset + length);
    end += ITEM_HEAD_BYTES + length;
  }
  yield new FramedRecords(bytes.subarray(0, end));
}

function recordHead(what: number, id: ChunkId): Uint8Array {
  const record = Buffer.allocUnsafe(1 + ID_BYTES);
  record.writeUInt8(what, 0);
  record.set(id, 1);
  return record;
}

/** Throws StreamError when the record is none. */
export function decodeItem(record: Uint8Array): ReceivedItem {
  const what = record[0];
  if (record.length < 1 + ID_BYTES) throw malformed();
  const id = asChunkId(record.slice(1, 1 + ID_BYTES));
  const bytes = record.subarray(1 + ID_BYTES);
  if (what === CHUNK) return { type: 'item', id, kind: 'chunk', bytes };
  if (what === PAGE) return { type: 'item', id, kind: 'page', bytes };
  if (what === MISSING || what === DAMAGED)
    return { type: what === MISSING ? 'missing' : 'damaged', id };
  throw malformed();
}

function malformed(): StreamError {
  return new StreamError('STREAM_MALFORMED', 'the collector sent an item that cannot be read');
}
