import { asChunkId, type ChunkId, type StoredKind } from '@aliquot/proto';
import type { ReadItem } from '../store/vault-store.ts';
import { StreamError } from './record-stream.ts';

/**
 * One sealed item in an answer: `u8 what ‖ 32 bytes id ‖ sealed bytes`. What: 1 chunk, 2 page, 3 missing, 4 damaged (the last two
 * without bytes).
 */
const CHUNK = 1;
const PAGE = 2;
const MISSING = 3;
const DAMAGED = 4;
const ID_BYTES = 32;

/** What an operator's command receives for an id. The bytes are not proved yet. */
export type ReceivedItem =
  | { readonly type: 'item'; readonly id: ChunkId; readonly kind: StoredKind; readonly bytes: Uint8Array }
  | { readonly type: 'missing' | 'damaged'; readonly id: ChunkId };

export function encodeItem(item: ReadItem): Uint8Array {
  const bytes = item.type === 'item' ? item.bytes : new Uint8Array(0);
  const record = Buffer.allocUnsafe(1 + ID_BYTES + bytes.length);
  record.writeUInt8(whatOf(item), 0);
  record.set(item.id, 1);
  record.set(bytes, 1 + ID_BYTES);
  return record;
}

function whatOf(item: ReadItem): number {
  if (item.type === 'item') return item.kind === 'chunk' ? CHUNK : PAGE;
  return item.type === 'missing' ? MISSING : DAMAGED;
}

/** Throws StreamError when the record is none. */
export function decodeItem(record: Uint8Array): ReceivedItem {
  const what = record[0];
  if (record.length < 1 + ID_BYTES) throw malformed();
  const id = asChunkId(record.slice(1, 1 + ID_BYTES));
  const bytes = record.subarray(1 + ID_BYTES);
  if (what === CHUNK) return { type: 'item', id, kind: 'chunk', bytes };
  if (what === PAGE) return { type: 'item', id, kind: 'page', bytes };
  if (what === MISSING || what === DAMAGED) return { type: what === MISSING ? 'missing' : 'damaged', id };
  throw malformed();
}

function malformed(): StreamError {
  return new StreamError('STREAM_MALFORMED', 'the collector sent an item that cannot be read');
}
