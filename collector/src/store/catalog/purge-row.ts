import { decodePurgeOrderBody, encodePurgeOrderBody, type PurgeOrderBody } from '@aliquot/proto';
import { RowReader, RowWriter } from './row.ts';

/** A purge in the catalog. */
export interface PurgeRow {
  readonly body: PurgeOrderBody;
  readonly ordered: PurgeWord;
  readonly approved: PurgeWord | undefined;
  /** `by`: empty for the authority. */
  readonly cancelled: (PurgeWord & { readonly reason: string }) | undefined;
}

/** Something that an operator said of a purge: where and when, and who it was. */
export interface PurgeWord {
  readonly leaf: number;
  readonly timeMs: number;
  readonly by: string;
}

export function encodePurge({ body, ordered, approved, cancelled }: PurgeRow): Buffer {
  const row = word(new RowWriter().blob(encodePurgeOrderBody(body)), ordered);
  row.u8(approved === undefined ? 0 : 1);
  if (approved !== undefined) word(row, approved);
  row.u8(cancelled === undefined ? 0 : 1);
  if (cancelled !== undefined) word(row, cancelled).text(cancelled.reason);
  return row.finish();
}

/** Errors: `STORE_CATALOG`, `FORMAT_…`. */
export function decodePurge(bytes: Uint8Array): PurgeRow {
  const row = new RowReader(bytes);
  const set = { body: decodePurgeOrderBody(row.blob()), ordered: readWord(row) };
  const approved = row.u8() === 0 ? undefined : readWord(row);
  const cancelled = row.u8() === 0 ? undefined : { ...readWord(row), reason: row.text() };
  return { ...set, approved, cancelled };
}

function word(row: RowWriter, { leaf, timeMs, by }: PurgeWord): RowWriter {
  return row.u64(leaf).u64(timeMs).text(by);
}

function readWord(row: RowReader): PurgeWord {
  return { leaf: row.u64(), timeMs: row.u64(), by: row.text() };
}
