import { join } from 'node:path';
import type { VaultId } from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { isTemporary, removeDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { NewRecord } from '@aliquot/shared/records/format';
import {
  besidePath,
  leftFiles,
  placeGeneration,
  writeGeneration,
} from '@aliquot/shared/records/generation';
import { type ReadRecord, RecordReader } from '@aliquot/shared/records/reader';
import { RecordLog } from '@aliquot/shared/records/record-log';
import { isDamaged, StoreError } from '../errors.ts';
import { writing } from '../record-fault.ts';
import {
  encodeFileEnd,
  FILE_END_BYTES,
  HISTORY_FILE_BYTES,
  type HistoryFileKind,
  historyFormat,
} from './history-format.ts';
import {
  type DurablePoint,
  type HistoryBatch,
  type HistoryFile,
  type HistoryItem,
  type HistoryLog,
  type HistoryOpening,
  type HistoryPlace,
  type HistoryPoint,
  type HistoryRecord,
  historyStart,
  type NewHistoryFile,
} from './history-log.ts';
import {
  brokenHistory,
  checkOwners,
  checkSequence,
  mendedPayload,
  orCorrupt,
  replayFiles,
} from './history-scan.ts';

export interface DiskHistoryPorts {
  readonly files: FilePort;
  readonly random: Random;
  /** A file is ended before it grows past this; tests make it small. */
  readonly fileBytes?: number | undefined;
}

/** How many records stand in the file that is being written. */
interface Filling {
  readonly file: number;
  records: number;
}

/**
 * A history as files of records in a folder, `00000001.history` and on: FORMAT.md, "History". A
 * full file ends in a record that says so; the newest has none.
 */
export class DiskHistory implements HistoryLog {
  readonly capabilities = { heldBytes: 0 };
  readonly #reader: RecordReader<HistoryFileKind>;
  /** `undefined` where the history is only looked at. */
  readonly #log: RecordLog<HistoryFileKind> | undefined;
  readonly #ports: Pick<DiskHistoryPorts, 'files' | 'random'> | undefined;
  replaced = 0;
  #inspectedEnd: HistoryPoint = historyStart;
  #filling: Filling | undefined;
  #isClosed = false;
  /** Records that were found to be damaged beyond one bit: to look for it takes a while. */
  readonly #hopeless = new Set<string>();
  /** Files that were written anew since the opening, and read back. */
  readonly #proved = new Set<number>();
  /** Files that are being written, or are not in force yet, by their paths. */
  readonly #beside = new Set<string>();

  private constructor(
    reader: RecordReader<HistoryFileKind>,
    log: RecordLog<HistoryFileKind> | undefined,
    ports?: Pick<DiskHistoryPorts, 'files' | 'random'>,
  ) {
    this.#reader = reader;
    this.#log = log;
    this.#ports = ports;
  }

  /**
   * Throws `STORE_CORRUPT`, naming file, offset and the way out, when a file is missing, is not
   * this vault's, or is broken where it was durable; `STORE_FAILED` when the disk cannot be written
   * to.
   */
  static async open(
    dir: string,
    vaultId: VaultId,
    { files, random, fileBytes = HISTORY_FILE_BYTES }: DiskHistoryPorts,
    opening: HistoryOpening = {},
  ): Promise<DiskHistory> {
    let history: DiskHistory | undefined;
    const log = await RecordLog.open<HistoryFileKind>({
      ...{ port: files, dir, format: historyFormat, owner: vaultId },
      ...{ random, targetBytes: fileBytes },
      closing: (file) => (history === undefined ? [] : history.#ending(file)),
    });
    history = new DiskHistory(log, log, { files, random });
    const { discard = false } = opening;
    const durable = discard ? (opening.durable ?? historyStart) : stillTrue(log, opening.durable);
    try {
      await checkOwners(log);
      checkSequence(log, durable);
      await orCorrupt(() => writing(log, () => history.#resume(log, durable, discard)));
      return history;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /**
   * The files as they lie, for fsck: nothing is cut, made or synced, and appending is a mistake.
   * Ends at `end`, where fsck found the records to end: a collector may be writing at the same
   * time.
   */
  static async inspect(
    dir: string,
    vaultId: VaultId,
    { files }: Pick<DiskHistoryPorts, 'files'>,
    end: HistoryPoint,
  ): Promise<DiskHistory> {
    const folder = { port: files, dir, format: historyFormat, owner: vaultId };
    const history = new DiskHistory(await RecordReader.open(folder), undefined);
    history.#inspectedEnd = end;
    return history;
  }

  get end(): HistoryPoint {
    return this.#log?.end() ?? this.#inspectedEnd;
  }

  get synced(): HistoryPoint {
    return this.#log?.synced ?? this.#inspectedEnd;
  }

  get bytes(): number {
    return this.#reader.files().reduce((sum, { size }) => sum + size, 0);
  }

  async placesOf(lengths: readonly number[]): Promise<HistoryBatch> {
    const log = this.#writable();
    const positions = await writing(log, () => log.placesOf(lengths));
    const places = positions.map((position, at) => ({ ...position, length: lengths[at] ?? 0 }));
    return { places, end: endOf(places) ?? this.end };
  }

  async append(rows: readonly HistoryRecord[]): Promise<HistoryBatch> {
    const log = this.#writable();
    const positions = await writing(log, () => log.appendAll(rows));
    const places = positions.map(({ file, offset }, at): HistoryPlace => {
      if (this.#filling?.file !== file) this.#filling = { file, records: 0 };
      this.#filling.records += 1;
      return { file, offset, length: rows[at]?.payload.length ?? 0 };
    });
    return { places, end: endOf(places) ?? this.end };
  }

  async sync(): Promise<void> {
    const log = this.#writable();
    await writing(log, () => log.sync());
  }

  async read({ file, offset, length }: HistoryPlace): Promise<HistoryRecord> {
    this.#checkOpen();
    const damaged = (why: string) => {
      const says = `${this.#reader.path(file)}: the record at byte ${offset} ${why}`;
      return new StoreError('STORE_DAMAGED', `${says}; aliquot fsck tells what it concerns`);
    };
    if (this.#reader.sizeOf(file) === undefined) throw damaged('is gone with its file');
    const { header, payload } = await this.#reader
      .read({ file, offset }, length)
      .catch((error: unknown) => this.#near({ file, offset, length }, error));
    if (header.kind === 'end') throw damaged('is another one than the catalog says');
    return { kind: header.kind, payload };
  }

  async mend(place: HistoryPlace, record: HistoryRecord): Promise<boolean> {
    const log = this.#writable();
    const { file, offset, length } = place;
    const end = log.end();
    const header = log.sizeOf(file) === undefined ? undefined : await log.readHeader(place);
    const isOther =
      length !== record.payload.length ||
      log.sizeOf(file) === undefined ||
      // Behind the end of an older file stands nothing that could be in the way.
      (file === end.file && offset >= end.offset) ||
      (header !== undefined && !equalBytes(header.digest, sha256(record.payload)));
    if (isOther) return false;
    await writing(log, () => log.rewrite(place, record));
    this.#hopeless.delete(nameOf(place));
    return true;
  }

  /** How a person finds a record. */
  nameOf({ file, offset }: HistoryPoint): string {
    return `${this.#reader.path(file)}, byte ${offset}`;
  }

  files(): readonly HistoryFile[] {
    return this.#reader.files().map(({ number: file, size: bytes }) => {
      return { file, generation: this.#reader.generationOf(file), bytes };
    });
  }

  async writeAnew(file: number, records: AsyncIterable<HistoryRecord>): Promise<NewHistoryFile> {
    const log = this.#writable();
    if (file >= log.end().file) throw new TypeError('a file that grows is not written anew');
    const lengths: number[] = [];
    async function* ended(): AsyncGenerator<NewRecord<HistoryFileKind>, void, void> {
      for await (const record of records) {
        lengths.push(record.payload.length);
        yield record;
      }
      yield { kind: 'end', payload: encodeFileEnd(lengths.length) };
    }
    const ports = this.#disk();
    const beside = besidePath(log, file, (path) => this.#beside.has(path));
    this.#beside.add(beside);
    try {
      const { generation, size, offsets } = await writing(log, () =>
        writeGeneration(log, file, beside, ended(), ports),
      );
      const places = lengths.map((length, at) => ({ file, offset: offsets[at] ?? 0, length }));
      return { file, generation, bytes: size, places, beside };
    } catch (error) {
      this.#beside.delete(beside);
      throw error;
    }
  }

  async putInForce(
    { file, generation, bytes, beside }: NewHistoryFile,
    follow: () => void,
  ): Promise<void> {
    const log = this.#writable();
    const ports = this.#disk();
    if (log.generationOf(file) !== generation - 1)
      throw new TypeError('another file has taken the place of the one that was written anew');
    await writing(log, () => placeGeneration(log, { number: file, generation, beside }, ports));
    this.#beside.delete(beside);
    log.adopt(file, generation, bytes);
    this.#proved.add(file);
    this.replaced += 1;
    follow();
  }

  async removeFormer(): Promise<void> {
    const log = this.#writable();
    const { port } = this.#disk();
    const isProved = (file: number) => this.#proved.has(file);
    const { needless } = await writing(log, () => leftFiles(log, port, isProved));
    for (const name of needless) {
      const path = join(log.dir, name);
      // One that is being written may have no other name yet.
      const isWritten = this.#beside.has(path) || (this.#beside.size > 0 && isTemporary(name));
      if (!isWritten) await writing(log, () => removeDurably(port, path));
    }
  }

  async discard({ beside }: NewHistoryFile): Promise<void> {
    const log = this.#writable();
    const { port } = this.#disk();
    await writing(log, () => removeDurably(port, beside));
    this.#beside.delete(beside);
  }

  #disk(): { readonly port: FilePort; readonly random: Random } {
    if (this.#ports === undefined) throw new TypeError('an inspected history is not written to');
    return { port: this.#ports.files, random: this.#ports.random };
  }

  async endFile(): Promise<void> {
    const log = this.#writable();
    await writing(log, () => log.endNewest());
  }

  async shortFiles(): Promise<readonly HistoryPoint[]> {
    this.#checkOpen();
    const short: HistoryPoint[] = [];
    for (const { number: file, size } of this.#reader.files()) {
      if (file === this.#reader.lastNumber) continue;
      const offset = size - FILE_END_BYTES;
      const end = offset < 0 ? undefined : await this.#reader.readHeader({ file, offset });
      if (end?.kind !== 'end') short.push({ file, offset: size });
    }
    return short;
  }

  /** A record of which one bit is wrong; throws what was met where more has rotted. */
  async #near(place: HistoryPlace, error: unknown): Promise<ReadRecord<HistoryFileKind>> {
    if (!isDamaged(error) || this.#hopeless.has(nameOf(place))) throw error;
    const header = await this.#reader.readHeader(place);
    if (header?.length === place.length) {
      const { payload, isBroken } = await mendedPayload(this.#reader, place, header);
      if (!isBroken) return { header, payload };
    }
    this.#hopeless.add(nameOf(place));
    throw error;
  }

  async *replay(from: HistoryPoint): AsyncGenerator<HistoryItem> {
    this.#checkOpen();
    yield* replayFiles(this.#reader, from, this.end);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#reader.close();
  }

  async #resume(
    log: RecordLog<HistoryFileKind>,
    durable: HistoryPoint,
    discard: boolean,
  ): Promise<void> {
    const file = log.lastNumber;
    if (file === undefined) return;
    // Known behind this file, the history had ended it: all of it was durable.
    const wasEnded = durable.file > file;
    const inFile = durable.file === file ? durable.offset : 0;
    const known = { file, offset: wasEnded ? (log.sizeOf(file) ?? 0) : inFile };
    if (discard && !wasEnded && known.offset < (log.sizeOf(file) ?? 0)) await log.cut(known);
    let records = 0;
    let isEnded = false;
    await log.resume(
      ({ type, header, offset }) => {
        // The header of a file may rot: what it said is known from the other files.
        if (offset < FILE_HEADER_BYTES) return;
        // A replay does not come by what the catalog knows, and judges what it comes by.
        if (type === 'damage' && offset < known.offset) return;
        if (header === undefined)
          throw brokenHistory(log, file, offset, 'a record that was durable is broken');
        if (isEnded)
          throw brokenHistory(log, file, offset, 'a record stands behind the end of the file');
        isEnded = header.kind === 'end';
        records += 1;
      },
      { known },
    );
    if (wasEnded && !isEnded)
      throw brokenHistory(log, file, known.offset, 'the file was ended and has lost its end');
    if (isEnded) await log.rotate();
    else this.#filling = { file, records };
  }

  #ending(file: number) {
    if (this.#filling?.file !== file) return [];
    return [{ kind: 'end' as const, payload: encodeFileEnd(this.#filling.records) }];
  }

  #writable(): RecordLog<HistoryFileKind> {
    this.#checkOpen();
    if (this.#log === undefined) throw new TypeError('an inspected history is not written to');
    return this.#log;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'this history is closed');
  }
}

/** What is known to have been durable; of a file that was written anew since, that it was there. */
export function stillTrue(
  files: Pick<RecordReader<HistoryFileKind>, 'generationOf'>,
  durable: DurablePoint = historyStart,
): HistoryPoint {
  const isSame = (durable.generation ?? 0) === files.generationOf(durable.file);
  return { file: durable.file, offset: isSame ? durable.offset : 0 };
}

function nameOf({ file, offset }: HistoryPoint): string {
  return `${file} ${offset}`;
}

function endOf(places: readonly HistoryPlace[]): HistoryPoint | undefined {
  const last = places.at(-1);
  if (last === undefined) return undefined;
  return { file: last.file, offset: last.offset + RECORD_HEADER_BYTES + last.length };
}
