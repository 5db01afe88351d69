import { LayoutReader, LayoutWriter } from './codec.ts';
import { MAX_PATH_BYTES } from './payloads.ts';

/*
 * The payload of a record of versions that are lost: FORMAT.md, "Queue segment".
 */

/** Versions that nobody can give again; `path` is empty where no known file named it any more. */
export interface LostRecord {
  readonly entries: readonly { readonly entry: number; readonly path: Uint8Array }[];
}

/** How many fit one record; callers split longer lists. */
const MAX_LOST_PER_RECORD = 64;

function encodeLostRecord(record: LostRecord): Uint8Array {
  const writer = new LayoutWriter().u8(1).u32(record.entries.length);
  for (const { entry, path } of record.entries) writer.u53(entry).sized(path);
  return writer.done();
}

/** As many records as these versions take; the path where it is known. */
export function lostRecords(
  entries: readonly number[],
  names: ReadonlyMap<number, Uint8Array>,
): readonly Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let start = 0; start < entries.length; start += MAX_LOST_PER_RECORD) {
    const part = entries.slice(start, start + MAX_LOST_PER_RECORD);
    records.push(
      encodeLostRecord({
        entries: part.map((entry) => ({ entry, path: names.get(entry) ?? new Uint8Array() })),
      }),
    );
  }
  return records;
}

export function decodeLostRecord(payload: Uint8Array): LostRecord {
  const reader = new LayoutReader(payload, 'lost versions record');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const count = reader.u32();
  if (count === 0 || count > MAX_LOST_PER_RECORD) throw reader.damaged('too many entries, or none');
  const entries = Array.from({ length: count }, () => ({
    entry: reader.u53(),
    path: reader.sized(MAX_PATH_BYTES),
  }));
  reader.end();
  return { entries };
}
