import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from './codec.ts';
import type { RecordReader } from './reader.ts';
import type { ScannedRecord, ScanOptions, Taking } from './scan.ts';

/** A sound record, or something of its file that a person should know. */
export type ProvedItem<K extends string> =
  | Extract<ScannedRecord<K>, { type: 'record' }>
  /** Bytes that are no sound record; with `header` when only the payload has rotted. */
  | Omit<Extract<ScannedRecord<K>, { type: 'damage' }>, 'isTorn'>
  /** The file's own header has rotted; what it said is known from elsewhere. */
  | { readonly type: 'header'; readonly offset: number }
  /** The end of the newest file, as an interrupted write leaves it. Nothing more is yielded. */
  | {
      readonly type: 'torn';
      readonly offset: number;
      /** Whether sound records are among these bytes, which nothing says were ever durable. */
      readonly hasSound: boolean;
    }
  /** The end of the newest file, which a living process is writing. Nothing more is yielded. */
  | { readonly type: 'under way'; readonly offset: number }
  /** A record that only a later release understands. Nothing more is yielded. */
  | { readonly type: 'later'; readonly offset: number; readonly why: string };

export interface ProveOptions<K extends string> extends Omit<ScanOptions<K>, 'from' | 'to'> {
  /**
   * A living process may append to the newest file: it cut every torn tail when it opened the
   * folder, so there is none, and what is bad is looked at twice.
   */
  readonly isLive?: boolean;
}

/**
 * Proves one file for `fsck`, from its header to its end. Any number of files may be proved at
 * once. Throws the room's `foreign`, `later` or `damaged` for a file that is not of this log, or
 * whose header cannot be recovered.
 */
export async function* proveFile<K extends string>(
  reader: RecordReader<K>,
  file: number,
  options: ProveOptions<K> = {},
): AsyncGenerator<ProvedItem<K>, void, void> {
  const { isLive = false, take = (): Taking => 'prove', ...rest } = options;
  const mayBeWritten = isLive && file === reader.lastNumber;
  let from: number | undefined = 0;
  let again: number | undefined;
  while (from !== undefined) {
    const start: number = from;
    from = undefined;
    for await (const item of reader.scanFile(file, { ...rest, take, from: start })) {
      if (item.type === 'record') {
        yield item;
        continue;
      }
      const { offset } = item;
      if (item.type === 'unknown') {
        yield { type: 'later', offset, why: item.why };
        return;
      }
      if (mayBeWritten) {
        if (again !== offset) {
          from = again = offset;
          break;
        }
        if (await isUnderWay(reader, item)) {
          yield { type: 'under way', offset };
          return;
        }
      } else if (item.isTorn) {
        const hasSound = await hasSoundBehind(reader, file, offset, rest);
        yield { type: 'torn', offset, hasSound };
        return;
      }
      if (offset < FILE_HEADER_BYTES) yield { type: 'header', offset };
      else yield { type: 'damage', offset, end: item.end, header: item.header };
    }
  }
}

/**
 * Whether a living process may be writing this record of the newest file, or have cut it after an
 * append that failed. It appends in order, so a record that lay whole within the file when the file
 * was opened, and is bad although it was read since, is damaged.
 */
async function isUnderWay(
  reader: RecordReader<string>,
  {
    file,
    offset,
    header,
  }: { readonly file: number; readonly offset: number; readonly header: unknown },
): Promise<boolean> {
  const size = reader.sizeOf(file) ?? 0;
  if ((await reader.sizeNow(file)) < size || size - offset < RECORD_HEADER_BYTES) return true;
  if (header !== undefined) return false;
  const found = await reader.readHeader({ file, offset });
  return found !== undefined && offset + RECORD_HEADER_BYTES + found.length > size;
}

async function hasSoundBehind<K extends string>(
  reader: RecordReader<K>,
  file: number,
  offset: number,
  options: ScanOptions<K>,
): Promise<boolean> {
  // Taken for durable to the end, so that the search goes on behind what is bad.
  const durableTo = reader.sizeOf(file) ?? 0;
  const scan = { ...options, from: offset, durableTo, take: (): Taking => 'prove' };
  for await (const item of reader.scanFile(file, scan)) if (item.type !== 'damage') return true;
  return false;
}
