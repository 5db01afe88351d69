import { FILE_HEADER_BYTES, type RecordHeader } from './codec.ts';
import type { RecordReader } from './reader.ts';
import type { ScannedRecord, ScanOptions } from './scan.ts';

/** What a file of records has that a person should know. */
export interface RecordFinding<K extends string> {
  /**
   * `torn`: the end of the newest file, as an interrupted write leaves it. `header`: the file's own
   * header has rotted, and is known from elsewhere. `mended`: the same of a record, of which
   * nothing is lost. `payload`: the bytes of a record whose header still says what they were.
   * `record`: bytes of which nothing is known any more. `later`: a record of a later release, with
   * which the reading of this file ends.
   */
  readonly fault: 'torn' | 'header' | 'mended' | 'payload' | 'record' | 'later';
  readonly file: number;
  readonly offset: number;
  /** The path, and the byte where it begins. */
  readonly where: string;
  readonly header: RecordHeader<K> | undefined;
  /** What a later release's record is. */
  readonly why: string | undefined;
}

/**
 * Proves one file for `fsck`, from its header to its end; `onRecord` hears of every sound record.
 * Any number of files may be proved at once. Throws the room's `foreign`, `later` or `damaged` for
 * a file that is none of this log, or whose header nothing tells.
 */
export async function* proveFile<K extends string>(
  reader: RecordReader<K>,
  number: number,
  options: Omit<ScanOptions<K>, 'from'> & {
    readonly onRecord?: (record: Extract<ScannedRecord<K>, { type: 'record' }>) => void;
  } = {},
): AsyncGenerator<RecordFinding<K>, void, void> {
  const { onRecord, take = () => 'prove', ...rest } = options;
  for await (const item of reader.scanFile(number, { take, ...rest })) {
    const { offset } = item;
    const where = `${reader.path(number)} at byte ${offset}`;
    if (item.type === 'record') onRecord?.(item);
    if (item.type === 'record' && !item.isMended) continue;
    const header = item.type === 'unknown' ? undefined : item.header;
    const why = item.type === 'unknown' ? item.why : undefined;
    yield { fault: faultOf(item), file: number, offset, where, header, why };
  }
}

function faultOf(item: ScannedRecord<string>): RecordFinding<string>['fault'] {
  if (item.type === 'unknown') return 'later';
  if (item.type === 'record') return 'mended';
  if (item.isTorn) return 'torn';
  if (item.offset < FILE_HEADER_BYTES) return 'header';
  return item.header === undefined ? 'record' : 'payload';
}
