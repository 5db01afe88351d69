import { asChunkId, type ChunkId, type StoredKind } from '@aliquot/proto';
import { StreamError } from './record-stream.ts';

/**
 * One sealed item in an answer: `u8 what ‖ 32 bytes id ‖ sealed bytes`. What: 1 chunk, 2 page, 3
 * missing, 4 damaged (the last two without bytes).
 */
export const WHAT_CHUNK = 1;
export const WHAT_PAGE = 2;
export const WHAT_MISSING = 3;
export const WHAT_DAMAGED = 4;
const ID_BYTES = 32;
/** What stands in front of an item's bytes in its record. */
export const ITEM_PREFIX_BYTES = 1 + ID_BYTES;

/** What an operator's command receives for an id. The bytes are not proved yet. */
export type ReceivedItem =
  | {
      readonly type: 'item';
      readonly id: ChunkId;
      readonly kind: StoredKind;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'missing' | 'damaged'; readonly id: ChunkId };

/** Throws StreamError for bytes that are no such record. */
export function decodeItem(record: Uint8Array): ReceivedItem {
  const what = record[0];
  if (record.length < ITEM_PREFIX_BYTES) throw malformed();
  const id = asChunkId(record.slice(1, ITEM_PREFIX_BYTES));
  const bytes = record.subarray(ITEM_PREFIX_BYTES);
  if (what === WHAT_CHUNK) return { type: 'item', id, kind: 'chunk', bytes };
  if (what === WHAT_PAGE) return { type: 'item', id, kind: 'page', bytes };
  if (what === WHAT_MISSING || what === WHAT_DAMAGED)
    return { type: what === WHAT_MISSING ? 'missing' : 'damaged', id };
  throw malformed();
}

function malformed(): StreamError {
  return new StreamError('STREAM_MALFORMED', 'the collector sent an item that cannot be read');
}
