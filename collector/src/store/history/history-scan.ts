import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { RecordHeader } from '@aliquot/shared/records/format';
import { nearPayload } from '@aliquot/shared/records/near-payload';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { isDamaged, StoreError } from '../errors.ts';
import { decodeFileEnd, type HistoryFileKind } from './history-format.ts';
import {
  compareHistory,
  type HistoryItem,
  type HistoryPlace,
  type HistoryPoint,
} from './history-log.ts';

type HistoryReader = RecordReader<HistoryFileKind>;

/** `STORE_CORRUPT` with file, offset and the way out. */
export function brokenHistory(
  files: HistoryReader,
  file: number,
  offset: number,
  why: string,
): StoreError {
  return new StoreError(
    'STORE_CORRUPT',
    `${files.path(file)}: at byte ${offset}: ${why}; aliquot fsck --data DIR tells more, then put the file back from a copy`,
  );
}

/** The first file of the row that is not there; `undefined` when none between them is missing. */
function missingFile(files: HistoryReader): number | undefined {
  let next = 1;
  for (const { number } of files.files()) {
    if (number !== next) return next;
    next += 1;
  }
  return undefined;
}

/** Runs what may meet a file whose header nothing tells: that is more than one damaged record. */
export async function orCorrupt<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!isDamaged(error)) throw error;
    throw new StoreError('STORE_CORRUPT', error.message, { cause: error });
  }
}

/**
 * Throws `STORE_CORRUPT` for a file that is another's, or was renamed or doubled: its first bytes
 * tell more than the gap that it left, or than its size.
 */
export async function checkOwners(files: HistoryReader): Promise<void> {
  for (const { number } of files.files())
    try {
      await files.codecOf(number);
    } catch (error) {
      // Of a header that rotted, or that a crash took, is told where its records are read.
      if (!(error instanceof StoreError) || error.code === 'STORE_CORRUPT') throw error;
    }
}

/** Throws `STORE_CORRUPT` unless the files are all there, up to what was durable. */
export function checkSequence(files: HistoryReader, durable: HistoryPoint): void {
  const missing = missingFile(files);
  const newest = files.lastNumber ?? 0;
  // A file that was begun and holds nothing yet is no loss.
  const needed = durable.offset <= FILE_HEADER_BYTES ? durable.file - 1 : durable.file;
  const gone = missing ?? (needed > newest ? newest + 1 : undefined);
  if (gone !== undefined)
    throw new StoreError(
      'STORE_CORRUPT',
      `${files.path(gone)} is missing; put it back from a copy of the collector`,
    );
  const size = files.sizeOf(durable.file) ?? 0;
  if (needed === durable.file && size < durable.offset)
    throw brokenHistory(
      files,
      durable.file,
      size,
      `the file was ${durable.offset} bytes long and has lost its end`,
    );
}

/** What stands in place of a payload that is damaged; itself, where one wrong bit was all. */
export async function mendedPayload(
  files: HistoryReader,
  { file, offset, length }: HistoryPlace,
  { digest }: Pick<RecordHeader<HistoryFileKind>, 'digest'>,
): Promise<{ readonly payload: Uint8Array; readonly isBroken: boolean }> {
  const raw = await files.readBytes(file, offset + RECORD_HEADER_BYTES, length);
  const payload = raw.length === length ? nearPayload(raw, digest) : undefined;
  return { payload: payload ?? raw, isBroken: payload === undefined };
}

/** See `HistoryLog.replay`: the records between two points, each file to the end that it says. */
export async function* replayFiles(
  files: HistoryReader,
  from: HistoryPoint,
  end: HistoryPoint,
): AsyncGenerator<HistoryItem> {
  for (const { number } of files.files()) {
    if (number < from.file || number > end.file) continue;
    const start = number === from.file ? from.offset : 0;
    const isLast = number === end.file;
    if (isLast && compareHistory({ file: number, offset: start }, end) >= 0) return;
    let isEnded = false;
    await orCorrupt(() => files.codecOf(number));
    // What is torn was cut when the history was opened: up to its end nothing is.
    const options = { from: start, ...(isLast ? { to: end.offset, durableTo: end.offset } : {}) };
    for await (const item of files.scanFile(number, options)) {
      const { offset } = item;
      // The header of a file may rot: what it said is known from the other files.
      if (item.type === 'damage' && offset < FILE_HEADER_BYTES) continue;
      if (item.type === 'unknown')
        throw brokenHistory(files, number, offset, `${item.why} is not known to this release`);
      const { header } = item;
      if (header === undefined)
        throw brokenHistory(files, number, offset, 'a record that was durable is broken');
      if (isEnded)
        throw brokenHistory(files, number, offset, 'a record stands behind the end of the file');
      const place = { file: number, offset, length: header.length };
      const end = { file: number, offset: item.end };
      const found =
        item.type === 'record' && item.payload !== undefined
          ? { payload: item.payload, isBroken: false }
          : await mendedPayload(files, place, header);
      const { payload, isBroken } = found;
      const digest = isBroken ? header.digest : undefined;
      if (header.kind !== 'end') yield { kind: header.kind, payload, place, end, isBroken, digest };
      else isEnded = isBroken || decodeFileEnd(payload) !== undefined;
    }
    if (!isLast && !isEnded)
      throw brokenHistory(files, number, files.sizeOf(number) ?? 0, 'the file has lost its end');
  }
}
