import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { RecordHeader } from '@aliquot/shared/records/format';
import { type ProvedItem, proveFile } from '@aliquot/shared/records/prove';
import type { RecordReader } from '@aliquot/shared/records/reader';
import type { Taking } from '@aliquot/shared/records/scan';
import { StoreError } from './errors.ts';
import type { Finding } from './fsck-finding.ts';

export const RESTORE = 'put the file back from a copy of the collector';

/**
 * Bytes read at once: some files are read side by side, and a disk that seeks reads on for a while.
 */
const RUN_BYTES = 4 * 1024 * 1024;

export interface RecordChecks {
  readonly files: FilePort;
  readonly hasher: Hasher;
  /**
   * A living process appends to the newest file: it cut every torn tail when it opened the folder,
   * so there is none now.
   */
  readonly live: boolean;
  readonly tell: (finding: Finding) => void;
}

/** What stands in a file: a sound record, or bytes that were durable and are none. */
export type CheckedRecord<K extends string> = Extract<ProvedItem<K>, { type: 'record' | 'damage' }>;

/**
 * Proves every record of one file, for fsck. Findings that need no knowledge of what records mean
 * are made here: a file that is not ours, a header that has rotted, a later release's record, a
 * torn tail. Damage is yielded: what it costs is the caller's to say.
 */
export class FileCheck<K extends string> {
  readonly #reader: RecordReader<K>;
  readonly #file: number;
  readonly #size: number;
  /** Up to where the file is known to have been durable. */
  readonly #durableTo: number;
  readonly #checks: RecordChecks;
  /** Where what can be read ends: at a torn tail, or a record of a later release. */
  end: number;
  /** True when the file cannot be read as one of ours. */
  isForeign = false;

  constructor(reader: RecordReader<K>, file: number, durableTo: number, checks: RecordChecks) {
    this.#reader = reader;
    this.#file = file;
    this.#size = reader.sizeOf(file) ?? 0;
    this.#durableTo = durableTo;
    this.#checks = checks;
    this.end = this.#size;
  }

  get size(): number {
    return this.#size;
  }

  async *records(take: (kind: K) => Taking): AsyncGenerator<CheckedRecord<K>, void, void> {
    const { hasher, live } = this.#checks;
    // A file that is too short may end in the middle of a record: that is a finding of its own.
    const durableTo = this.#durableTo > this.#size ? 0 : this.#durableTo;
    try {
      const proved = proveFile(this.#reader, this.#file, {
        ...{ durableTo, take, hasher, isLive: live, runBytes: RUN_BYTES },
      });
      for await (const item of proved) {
        switch (item.type) {
          case 'record':
            if (item.isMended) this.#mended(item.header, item.offset);
            yield item;
            break;
          case 'damage':
            yield item;
            break;
          case 'header':
            this.#fileHeader();
            break;
          case 'later':
            this.#later(item);
            break;
          case 'under way':
            this.#underWay(item.offset);
            break;
          case 'torn':
            this.#torn(item);
        }
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.isForeign = true;
      this.end = 0;
      const remedy = `else ${RESTORE}; nothing is changed here meanwhile`;
      this.#tell({ code: 'file-foreign', severity: 'error', what: error.message }, 0, remedy);
    }
  }

  #later({ offset, why }: { readonly offset: number; readonly why: string }): void {
    this.end = offset;
    this.#tell(
      {
        code: 'record-unknown',
        severity: 'error',
        what: `${why} is not known to this release`,
      },
      offset,
      'use the release that wrote it',
    );
  }

  #fileHeader(): void {
    this.#tell(
      {
        code: 'header-damaged',
        severity: 'warning',
        what: `the header of the ${this.#reader.format.name} has rotted; what it said is known from the other files`,
      },
      0,
      'check the disk; the collector goes on with it, and nothing is lost',
    );
  }

  #mended({ kind }: RecordHeader<K>, offset: number): void {
    this.#tell(
      {
        code: 'header-damaged',
        severity: 'warning',
        what: `a byte of the header of ${nameOf(kind)} has rotted; its content is whole, and proves what the header was`,
      },
      offset,
      'check the disk; the collector goes on with it, and nothing is lost',
    );
  }

  /**
   * Nothing says that these bytes were ever durable. Sound records among them may be a power cut's
   * doing, or damage in front.
   */
  #torn({ offset, hasSound }: { readonly offset: number; readonly hasSound: boolean }): void {
    this.end = offset;
    // A file that is too short is reported as that, once.
    if (this.#durableTo > this.#size) return;
    const bytes = this.#size - offset;
    const { name } = this.#reader.format;
    if (hasSound)
      this.#tell(
        {
          code: 'torn-tail',
          severity: 'warning',
          what: `the newest ${name} ends in ${bytes} bytes behind a broken record, and sound records among them`,
        },
        offset,
        'after a power cut: nothing to do, the next start cuts them. Otherwise copy the file aside before you start: they may be damaged, and receipts may cover them',
      );
    else
      this.#tell(
        {
          code: 'torn-tail',
          severity: 'info',
          what: `the newest ${name} ends in ${bytes} bytes that are no complete record`,
        },
        offset,
        'nothing to do after a crash: the next start cuts them. Had a receipt covered them, the agents would report it (aliquot log status)',
      );
  }

  #underWay(offset: number): void {
    this.end = offset;
    this.#tell(
      {
        code: 'torn-tail',
        severity: 'info',
        what: `the newest ${this.#reader.format.name} ends in ${this.#size - offset} bytes that are not yet a complete record`,
      },
      offset,
      'the collector seems to be writing them: run fsck again; if they stay, run it while the collector is stopped',
    );
  }

  #tell(finding: Omit<Finding, 'where' | 'remedy'>, offset: number, remedy: string): void {
    const where = `${this.#reader.path(this.#file)}, byte ${offset}`;
    this.#checks.tell({ ...finding, where, remedy });
  }
}

/** A kind with its article. */
export function nameOf(kind: string): string {
  return `${/^[aeio]/.test(kind) ? 'an' : 'a'} ${kind}`;
}

/** The newest file that is one of ours: the only one that may be open. */
export async function newestOf(reader: RecordReader<string>): Promise<number | undefined> {
  for (const { number, size } of reader.files().toReversed()) {
    // A header that a power failure took: the next start begins the file again.
    if (size <= FILE_HEADER_BYTES && number === reader.lastNumber) return number;
    try {
      await reader.codecOf(number);
      return number;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }
  return undefined;
}
