import type { VaultId } from '@aliquot/proto';
import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { RecordReader } from '@aliquot/shared/records/reader';
import {
  type CheckedRecord,
  FileCheck,
  nameOf,
  newestOf,
  RESTORE,
  type RecordChecks,
} from '../check-records.ts';
import type { Finding } from '../fsck-finding.ts';
import { stillTrue } from './disk-history.ts';
import { decodeFileEnd, type HistoryFileKind, historyFormat } from './history-format.ts';
import { type DurablePoint, type HistoryPoint, historyStart } from './history-log.ts';
import { mendedPayload } from './history-scan.ts';

export interface HistoryChecks extends RecordChecks {
  readonly vaultId: VaultId;
  /** What is known to have been on stable storage, from the catalog's checkpoint. */
  readonly durable?: DurablePoint | undefined;
}

export interface HistoryReport {
  readonly bytes: number;
  readonly records: number;
  /** Where the records end, at a torn tail perhaps; behind a file that was ended. */
  readonly end: HistoryPoint;
  /** True when what stands behind something broken cannot be judged. */
  readonly broken: boolean;
  /** True when nothing else is wrong than that the newest file has lost its end. */
  readonly endLost: boolean;
}

/**
 * Reads every byte of a history and proves it: headers, records, and that each file is whole.
 */
export async function checkHistory(dir: string, checks: HistoryChecks): Promise<HistoryReport> {
  const folder = { port: checks.files, dir, format: historyFormat, owner: checks.vaultId };
  const reader = await RecordReader.open(folder);
  try {
    return await new HistoryCheck(reader, checks).run();
  } finally {
    await reader.close();
  }
}

class HistoryCheck {
  readonly #reader: RecordReader<HistoryFileKind>;
  readonly #checks: HistoryChecks;
  readonly #durable: HistoryPoint;
  #records = 0;
  #isBroken = false;
  #endLost = false;
  #end: HistoryPoint = historyStart;

  constructor(reader: RecordReader<HistoryFileKind>, checks: HistoryChecks) {
    this.#reader = reader;
    this.#checks = checks;
    this.#durable = stillTrue(reader, checks.durable);
  }

  async run(): Promise<HistoryReport> {
    const files = this.#reader.files();
    this.#sequence(files.map(({ number }) => number));
    this.#lostEnd();
    const newest = await newestOf(this.#reader);
    for (const { number } of files) await this.#file(number, number === newest);
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const [broken, endLost] = [this.#isBroken, this.#endLost];
    return { bytes, records: this.#records, end: this.#end, broken, endLost };
  }

  #sequence(numbers: readonly number[]): void {
    const last = numbers.at(-1) ?? 0;
    // A file that was begun and holds nothing yet is no loss.
    const isBegun = this.#durable.offset <= FILE_HEADER_BYTES;
    const needed = Math.max(last, isBegun ? this.#durable.file - 1 : this.#durable.file);
    const there = new Set(numbers);
    for (let number = 1; number <= needed; number += 1) {
      if (there.has(number)) continue;
      const remedy = 'put it back from a copy of the collector; nothing is changed here meanwhile';
      this.#error('history-missing', 'a file of the history is missing', number, undefined, remedy);
    }
  }

  #lostEnd(): void {
    const { file, offset } = this.#durable;
    const size = this.#reader.sizeOf(file);
    if (size === undefined || size >= offset || file !== this.#reader.lastNumber) return;
    this.#tellShort(`the file was ${offset} bytes long`, file, size);
  }

  #tellShort(was: string, file: number, size: number): void {
    this.#endLost = true;
    this.#tell(
      'history-short',
      `${was} and has lost its end, with what receipts were given for`,
      file,
      size,
      'put the file back from a copy of the collector; only if there is none, aliquot fsck --repair goes on without it, and the agents send again what they still have',
    );
  }

  async #file(number: number, isNewest: boolean): Promise<void> {
    // Known behind the newest file, the history had ended it.
    const wasEnded = isNewest && this.#durable.file > number;
    const inFile = number === this.#durable.file ? this.#durable.offset : 0;
    const durableTo = wasEnded ? Number.POSITIVE_INFINITY : inFile;
    const check = new FileCheck(this.#reader, number, durableTo, this.#checks);
    let records = 0;
    let ended: number | undefined;
    for await (const item of check.records((kind) => (kind === 'end' ? 'give' : 'prove'))) {
      const { header, offset } = item;
      const found = item.type === 'record' ? item : await this.#mended(number, item);
      if (header === undefined || found === undefined) {
        const what = `${nameOf(header?.kind ?? 'record')} that was durable is broken`;
        this.#error('record-broken', what, number, offset, remedyFor(header?.kind));
      } else if (ended !== undefined)
        this.#error('record-broken', 'a record stands behind the end of its file', number, offset);
      else if (header.kind === 'end') {
        ended = decodeFileEnd(found.payload ?? new Uint8Array(0)) ?? -1;
        // As a start has it, also where the next file is not begun.
        this.#end = { file: number + 1, offset: 0 };
      } else {
        records += 1;
        this.#end = { file: number, offset: item.end };
      }
    }
    if (check.isForeign) this.#isBroken = true;
    else if (wasEnded && ended === undefined && !this.#isBroken)
      this.#tellShort('the file was ended', number, check.size);
    if (
      !check.isForeign &&
      !this.#isBroken &&
      ended !== records &&
      !(isNewest && ended === undefined)
    )
      this.#error(
        'history-end',
        ended === undefined
          ? 'the file has lost its end, though others follow it'
          : `the file holds ${records} records and says that it holds ${ended}`,
        number,
        check.size,
      );
    // One that a crash took before its header was whole holds nothing: the records end before it.
    if (isNewest && ended === undefined && !check.isForeign && check.end > 0)
      this.#end = { file: number, offset: Math.max(check.end, FILE_HEADER_BYTES) };
    this.#records += records;
  }

  /** A record of which one bit has rotted; nothing is lost of it. */
  async #mended(
    file: number,
    { header, offset }: CheckedRecord<HistoryFileKind>,
  ): Promise<{ readonly payload: Uint8Array | undefined } | undefined> {
    if (header === undefined) return undefined;
    const place = { file, offset, length: header.length };
    const { payload, isBroken } = await mendedPayload(this.#reader, place, header);
    if (isBroken) return undefined;
    const what = `one bit of ${nameOf(header.kind)} has rotted; its SHA-256 proves what it was`;
    const remedy = 'check the disk; the collector goes on with it, and nothing is lost';
    this.#tell('header-damaged', what, file, offset, remedy, 'warning');
    return { payload };
  }

  #error(
    code: Finding['code'],
    what: string,
    file: number,
    offset: number | undefined,
    remedy = RESTORE,
  ): void {
    this.#isBroken = true;
    this.#tell(code, what, file, offset, remedy);
  }

  #tell(
    code: Finding['code'],
    what: string,
    file: number,
    offset: number | undefined,
    remedy: string,
    severity: Finding['severity'] = 'error',
  ): void {
    const path = this.#reader.path(file);
    const where = offset === undefined ? path : `${path}, byte ${offset}`;
    this.#checks.tell({ code, severity, what, where, remedy });
  }
}

/** What was let go is there again without such a record, and needs nobody to mend it. */
function remedyFor(kind: HistoryFileKind | undefined): string {
  if (kind !== 'dropped' && kind !== 'expired') return RESTORE;
  return `${RESTORE}; without one, versions that it let go are listed again, dropped ones perhaps without content, until retention and collection let them go once more: aliquot retention run, and aliquot gc run when the grace is over`;
}
