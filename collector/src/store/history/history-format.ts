import { MAX_EVENT_BYTES, MAX_RECORD_BYTES } from '@aliquot/proto';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { FileFormat } from '@aliquot/shared/records/format';
import { recordFault } from '../record-fault.ts';
import type { HistoryKind } from './history-log.ts';

/** The bytes of a history file (FORMAT.md, "History"): what is more than a file of records. */

export type HistoryFileKind = HistoryKind | 'end';

/** A file is ended before a batch would take it past this size. */
export const HISTORY_FILE_BYTES = 16 * 1024 * 1024;

const END_PAYLOAD_BYTES = 4;
/** What ends a file, with its header. */
export const FILE_END_BYTES = RECORD_HEADER_BYTES + END_PAYLOAD_BYTES;

export const historyFormat: FileFormat<HistoryFileKind> = {
  name: 'history file',
  magic: 'ALQHIST',
  suffix: '.history',
  hasGenerations: true,
  kinds: {
    uploads: { code: 1, maxBytes: 4096 * 32 + 256 },
    commit: { code: 2, maxBytes: MAX_RECORD_BYTES },
    event: { code: 3, maxBytes: 2 * MAX_EVENT_BYTES },
    references: { code: 5, maxBytes: MAX_RECORD_BYTES },
    expired: { code: 6, maxBytes: MAX_RECORD_BYTES },
    dropped: { code: 7, maxBytes: MAX_RECORD_BYTES },
    swept: { code: 8, maxBytes: MAX_RECORD_BYTES },
    thinned: { code: 9, maxBytes: MAX_RECORD_BYTES },
    purged: { code: 10, maxBytes: MAX_RECORD_BYTES },
    end: { code: 4, maxBytes: END_PAYLOAD_BYTES },
  },
  error: recordFault,
};

/**
 * What ends a file: how many records stand in it, so that one that was cut between two is known.
 */
export function encodeFileEnd(records: number): Buffer {
  const bytes = Buffer.alloc(END_PAYLOAD_BYTES);
  bytes.writeUInt32BE(records);
  return bytes;
}

/** The number of records; `undefined` when these bytes say none. */
export function decodeFileEnd(payload: Uint8Array): number | undefined {
  if (payload.length !== END_PAYLOAD_BYTES) return undefined;
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).readUInt32BE();
}
