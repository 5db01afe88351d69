import { withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { StoreError } from './errors.ts';
import { type PackSource, packFileName, packNumberOf } from './pack-source.ts';
import type { Position } from './position.ts';
import {
  type IndexRow,
  isData,
  PACK_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordKind,
} from './record.ts';
import { mayBeTorn, readIndex, scanRecords } from './record-scan.ts';

/** What a journal's packs hold, and what their bad places mean. Reads only. */

export type ReplayItem =
  | {
      readonly type: 'record';
      readonly header: Pick<RecordHeader, 'kind' | 'id' | 'length'>;
      readonly position: Position;
      readonly end: Position;
      readonly payload: Buffer | undefined;
    }
  /** A chunk or page whose bytes have rotted; its place and length are known. */
  | {
      readonly type: 'damaged';
      readonly header: Pick<RecordHeader, 'kind' | 'id' | 'length'>;
      readonly position: Position;
      readonly end: Position;
    };

/**
 * The pack numbers of a folder in order. Throws `STORE_CORRUPT` when one between them is missing.
 */
export async function listPacks(files: FilePort, dir: string): Promise<number[]> {
  const numbers: number[] = [];
  await withFileErrors('list', dir, async () => {
    for await (const { name } of files.list(dir)) {
      const number = packNumberOf(name.toString());
      if (number !== undefined) numbers.push(number);
    }
  });
  numbers.sort((a, b) => a - b);
  for (const [index, number] of numbers.entries()) {
    if (number !== index + 1)
      throw new StoreError(
        'STORE_CORRUPT',
        `${dir}: ${packFileName(index + 1)} is missing; put it back from a copy`,
      );
  }
  return numbers;
}

/**
 * The end of the last sound record of an open pack. What stands behind it is a torn tail, or this
 * throws. Payloads are read only behind `knownOffset`: what stands before was durable when the
 * catalog took it in.
 */
export async function soundEnd(
  source: PackSource,
  salt: number,
  knownOffset: number,
  onRecord: (header: RecordHeader, offset: number) => void,
): Promise<number> {
  let end = PACK_HEADER_BYTES;
  for await (const item of scanRecords(source, salt, {
    wanted: (_, offset) => offset >= knownOffset,
  })) {
    if (item.type === 'unknown')
      throw corrupt(
        source.path,
        item.offset,
        `${item.why} is not known to this release; use the release that wrote it`,
      );
    const bad = item.type === 'bad' || !item.sound || item.header.kind === 'index';
    if (item.type === 'bad' || bad) {
      const torn = item.offset >= knownOffset && (await mayBeTorn(source, salt, item.offset));
      if (torn) return item.offset;
      const onlyData = item.type === 'record' && isData(item.header.kind);
      if (!onlyData) throw corrupt(source.path, item.offset, 'a record that was durable is broken');
    }
    if (item.type === 'record') {
      onRecord(item.header, item.offset);
      end = item.end;
    }
  }
  return end;
}

/**
 * The records of one pack, where a chunk or page whose bytes are bad is named instead of given.
 * When even its header is bad, the index of a closed pack still tells what stood there.
 */
export async function* soundRecords(
  source: PackSource,
  salt: number,
  from: number,
  to: number,
  wanted: (kind: RecordKind) => boolean,
): AsyncGenerator<ReplayItem> {
  let start = from;
  while (start < to) {
    let resumeAt: number | undefined;
    for await (const item of scanRecords(source, salt, { from: start, to, wanted })) {
      if (item.type === 'unknown')
        throw corrupt(source.path, item.offset, `${item.why} is not known to this release`);
      if (item.type === 'bad') {
        const row = (await readIndex(source, salt))?.find(
          (candidate) => candidate.offset === item.offset,
        );
        if (row === undefined || !isData(row.kind))
          throw corrupt(source.path, item.offset, 'a record that was durable is broken');
        resumeAt = item.offset + RECORD_HEADER_BYTES + row.length;
        yield {
          type: 'damaged',
          header: row,
          position: at(source, item.offset),
          end: at(source, resumeAt),
        };
        break;
      }
      const { header, payload } = item;
      const place = { position: at(source, item.offset), end: at(source, item.end) };
      if (item.sound) yield { type: 'record', header, payload, ...place };
      else if (isData(header.kind)) yield { type: 'damaged', header, ...place };
      else throw corrupt(source.path, item.offset, `a ${header.kind} that was durable is broken`);
    }
    if (resumeAt === undefined) return;
    start = resumeAt;
  }
}

/**
 * Whether the rows of an index name records that lie end to end from the pack's header up to `to`.
 */
export function isSeamless(rows: readonly IndexRow[], to: number): boolean {
  let at = PACK_HEADER_BYTES;
  for (const { offset, length } of rows) {
    if (offset !== at) return false;
    at = offset + RECORD_HEADER_BYTES + length;
  }
  return at === to;
}

/**
 * As `soundRecords`, for a pack with a sound index: what it says of chunks and pages is taken from
 * there, and only the other records are read. An item that has rotted comes as a record: it is
 * found when it is read, as rotten bytes behind a sound header are.
 */
export async function* indexedRecords(
  source: PackSource,
  salt: number,
  from: number,
  rows: readonly IndexRow[],
): AsyncGenerator<ReplayItem> {
  for (const header of rows) {
    const end = header.offset + RECORD_HEADER_BYTES + header.length;
    if (end <= from) continue;
    if (header.offset < from)
      throw corrupt(
        source.path,
        from,
        'no record begins there, and something was stored up to there',
      );
    if (isData(header.kind))
      yield {
        type: 'record',
        header,
        payload: undefined,
        position: at(source, header.offset),
        end: at(source, end),
      };
    else yield* soundRecords(source, salt, header.offset, end, () => true);
  }
}

function at(source: PackSource, offset: number): Position {
  return { pack: source.number, offset };
}

/** An error that names file and offset. */
export function corrupt(path: string, offset: number, why: string): StoreError {
  return new StoreError(
    'STORE_CORRUPT',
    `${path}: at byte ${offset}: ${why}; aliquot fsck --data DIR tells more, then put the file back from a copy`,
  );
}
