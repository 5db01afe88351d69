import {
  FILE_HEADER_BYTES,
  parseRecordHeader,
  RECORD_HEADER_BYTES,
  type RecordHeader,
} from './record.ts';
import type { Position, RecordLog } from './record-log.ts';

/** Little, for what lies between two headers is mostly a chunk. */
const WINDOW_BYTES = 64 * 1024;

export interface Skimmed {
  readonly at: Position;
  readonly next: Position;
  readonly header: RecordHeader;
}

/**
 * The records of one file by their headers, from a position on: payloads are stepped over, so a
 * segment of large chunks costs a few reads. Behind a damaged header it goes on as a scan does,
 * with what is sound. Nothing of it is proved but the headers.
 */
export async function* skimFile(
  log: RecordLog,
  number: number,
  offset = FILE_HEADER_BYTES,
): AsyncGenerator<Skimmed, void, void> {
  let start = 0;
  let window: Uint8Array = new Uint8Array();
  for (let at = Math.max(offset, FILE_HEADER_BYTES); ; ) {
    if (at < start || at + RECORD_HEADER_BYTES > start + window.length) {
      window = await log.readBytes(number, at, WINDOW_BYTES);
      start = at;
      if (window.length < RECORD_HEADER_BYTES) return;
    }
    const header = parseRecordHeader(
      window.subarray(at - start, at - start + RECORD_HEADER_BYTES),
      log.kind,
    );
    if (header === undefined) {
      for await (const item of log.scanFile(number, at)) if (item.type === 'record') yield item;
      return;
    }
    const next = { file: number, offset: at + RECORD_HEADER_BYTES + header.length };
    yield { at: { file: number, offset: at }, next, header };
    at = next.offset;
  }
}
