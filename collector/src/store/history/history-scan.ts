import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { StoreError } from '../errors.ts';
import { decodeFileEnd, type HistoryFileKind } from './history-format.ts';
import { compareHistory, type HistoryItem, type HistoryPoint } from './history-log.ts';

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
    if (!(error instanceof StoreError) || error.code !== 'STORE_DAMAGED') throw error;
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
    const options = { from: start, ...(isLast ? { to: end.offset } : {}) };
    for await (const item of files.scanFile(number, options)) {
      const { offset } = item;
      // The header of a file may rot: what it said is known from the other files.
      if (item.type === 'damage' && offset < FILE_HEADER_BYTES) continue;
      if (item.type === 'unknown')
        throw brokenHistory(files, number, offset, `${item.why} is not known to this release`);
      if (item.type === 'damage' || item.payload === undefined)
        throw brokenHistory(files, number, offset, 'a record that was durable is broken');
      if (isEnded)
        throw brokenHistory(files, number, offset, 'a record stands behind the end of the file');
      const { header, payload } = item;
      if (header.kind === 'end') {
        isEnded = decodeFileEnd(payload) !== undefined;
        continue;
      }
      const place = { file: number, offset, length: payload.length };
      yield { kind: header.kind, payload, place, end: { file: number, offset: item.end } };
    }
    if (!isLast && !isEnded)
      throw brokenHistory(files, number, files.sizeOf(number) ?? 0, 'the file has lost its end');
  }
}
