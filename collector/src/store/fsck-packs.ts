import { join } from 'node:path';
import { asChunkId, type ChunkId, type VaultId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import { StoreError } from './errors.ts';
import type { Finding } from './fsck-finding.ts';
import { packFileName, ReadOnlyPack } from './pack-source.ts';
import type { Position } from './position.ts';
import {
  decodePackHeader,
  type IndexRow,
  isData,
  PACK_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  type RecordHeader,
} from './record.ts';
import {
  mayBeTorn,
  readFooter,
  readIndex,
  type Scanned,
  scanRecords,
  soundRecordBehind,
} from './record-scan.ts';

/** A chunk or page whose bytes have rotted. */
export interface DamagedItem {
  readonly id: ChunkId;
  readonly kind: 'chunk' | 'page';
  readonly position: Position;
}

export interface PackReport {
  readonly bytes: number;
  readonly items: number;
  /**
   * Where what can be read of the records ends: at the index of a closed pack, or at a torn tail.
   */
  readonly end: number;
  readonly damaged: DamagedItem[];
  /** True when a record other than an item is broken: the history behind it cannot be followed. */
  readonly broken: boolean;
  /** True when the pack has an index, and it names exactly the records. */
  readonly indexed: boolean;
}

const RESTORE = 'put the file back from a copy of the collector';
const SEND_AGAIN =
  'the agents that have the content send it again when they next back it up; other versions need a copy of the collector';

interface PackOptions {
  readonly vaultId: VaultId;
  readonly isLast: boolean;
  /**
   * The catalog says that everything before this was durable: what is broken there is damage, not a
   * torn tail (I-C5).
   */
  readonly durableTo: number;
  /**
   * A living process appends to the last pack: it cut every torn tail when it opened the folder, so
   * there is none now.
   */
  readonly live: boolean;
  readonly hasher: Hasher;
  readonly tell: (finding: Finding) => void;
}

/**
 * Reads every byte of one pack and proves it: header, each record's checksum and SHA-256, index,
 * footer.
 */
export async function checkPack(
  files: FilePort,
  dir: string,
  number: number,
  options: PackOptions,
): Promise<PackReport> {
  const pack = await ReadOnlyPack.open(files, join(dir, packFileName(number)), number);
  try {
    return await new PackCheck(pack, options).run();
  } finally {
    await pack.close();
  }
}

class PackCheck {
  readonly #pack: ReadOnlyPack;
  readonly #vaultId: VaultId;
  readonly #isLast: boolean;
  readonly #durableTo: number;
  readonly #live: boolean;
  readonly #hasher: Hasher;
  readonly #tell: (finding: Finding) => void;
  readonly #rows: IndexRow[] = [];
  readonly #damaged: DamagedItem[] = [];
  #items = 0;
  #broken = false;
  #indexed = false;
  #end = PACK_HEADER_BYTES;
  /** The bad record that is being read a second time. */
  #again: number | undefined;

  constructor(pack: ReadOnlyPack, options: PackOptions) {
    this.#pack = pack;
    this.#vaultId = options.vaultId;
    this.#isLast = options.isLast;
    this.#durableTo = options.durableTo;
    this.#live = options.live;
    this.#hasher = options.hasher;
    this.#tell = options.tell;
  }

  async run(): Promise<PackReport> {
    const pack = this.#pack;
    const salt = await this.#salt();
    if (salt !== undefined) {
      const index = await readIndex(pack, salt);
      // The newest pack with a footer and no sound index was being closed when the power failed: a
      // torn tail.
      const footer = this.#isLast && index === undefined ? undefined : await readFooter(pack, salt);
      if (footer === undefined && !this.#isLast)
        this.#error('pack-index', 'a closed pack has lost its footer', pack.size, RESTORE);
      else if (footer !== undefined && index === undefined)
        this.#error(
          'pack-index',
          'the index of a closed pack is damaged',
          footer.indexOffset,
          RESTORE,
        );
      const open = this.#isLast && footer === undefined;
      this.#end = footer?.indexOffset ?? pack.size;
      await this.#records(salt, this.#end, open, index);
      this.#indexed = index !== undefined && !this.#broken && sameRows(index, this.#rows);
      if (index !== undefined && !this.#broken && !this.#indexed) {
        this.#error(
          'pack-index',
          'the index does not name the records of its pack',
          footer?.indexOffset ?? 0,
          RESTORE,
        );
      }
    }
    const { size: bytes } = pack;
    return {
      bytes,
      items: this.#items,
      end: this.#end,
      damaged: this.#damaged,
      broken: this.#broken,
      indexed: this.#indexed,
    };
  }

  async #salt(): Promise<number | undefined> {
    const { path, number, size } = this.#pack;
    try {
      const header = decodePackHeader(await this.#pack.read(0, PACK_HEADER_BYTES), {
        path,
        number,
        vaultId: this.#vaultId,
      });
      if (header !== undefined) return header.salt;
      if (this.#isLast && size <= PACK_HEADER_BYTES) {
        this.#torn(0, false);
        return undefined;
      }
      this.#error('pack-header', 'the pack has no sound header', 0, RESTORE);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#error('pack-header', error.message, 0, RESTORE);
    }
    this.#broken = true;
    return undefined;
  }

  async #records(
    salt: number,
    to: number,
    open: boolean,
    index: readonly IndexRow[] | undefined,
  ): Promise<void> {
    let from: number | undefined = PACK_HEADER_BYTES;
    while (from !== undefined && from < to) {
      let next: number | undefined;
      for await (const item of scanRecords(this.#pack, salt, {
        from,
        to,
        wanted: () => true,
        hasher: this.#hasher,
      })) {
        const good = item.type === 'record' && item.sound && item.header.kind !== 'index';
        if (item.type === 'record' && item.mended) this.#rotten(item.header, item.offset);
        if (item.type === 'record' && good) {
          this.#note(item.header, item.offset);
          continue;
        }
        next = await this.#judge(item, salt, open, index);
        // Behind rotten content the same scan goes on.
        if (item.type !== 'record' || next !== item.end) break;
        next = undefined;
      }
      from = next;
    }
  }

  /** What a bad record means, and where to go on behind it, if anywhere. */
  async #judge(
    item: Scanned,
    salt: number,
    open: boolean,
    index: readonly IndexRow[] | undefined,
  ): Promise<number | undefined> {
    if (item.type === 'unknown') {
      this.#broken = true;
      this.#error(
        'record-unknown',
        `${item.why} is not known to this release`,
        item.offset,
        'use the release that wrote it',
      );
      return undefined;
    }
    // A pack that is too short is told as that, once.
    const cut = this.#durableTo > this.#pack.size;
    if (open && this.#live) {
      // It may have been read while it was being written: what is still bad at a second look is
      // bad.
      if (this.#again !== item.offset) {
        this.#again = item.offset;
        return item.offset;
      }
      if (await this.#mayBeUnderWay(item)) {
        this.#end = item.offset;
        this.#underWay(item.offset);
        return undefined;
      }
    } else if (
      open &&
      (cut || item.offset >= this.#durableTo) &&
      (await mayBeTorn(this.#pack, salt, item.offset))
    ) {
      this.#end = item.offset;
      this.#torn(item.offset, await soundRecordBehind(this.#pack, salt, item.offset));
      return undefined;
    }
    const known =
      item.type === 'record' ? item.header : index?.find((row) => row.offset === item.offset);
    if (known !== undefined && isData(known.kind)) {
      this.#note(known, item.offset);
      const kind = known.kind === 'page' ? 'page' : 'chunk';
      this.#damaged.push({
        id: asChunkId(known.id),
        kind,
        position: { pack: this.#pack.number, offset: item.offset },
      });
      return item.offset + RECORD_HEADER_BYTES + known.length;
    }
    this.#broken = true;
    this.#error(
      'record-broken',
      `${known?.kind === 'event' ? 'an' : 'a'} ${known?.kind ?? 'record'} ${this.#live ? 'that was written whole' : 'that was durable'} is broken`,
      item.offset,
      RESTORE,
    );
    return known === undefined ? undefined : item.offset + RECORD_HEADER_BYTES + known.length;
  }

  /**
   * Whether the collector may be writing this record of the open pack, or have cut it after an
   * append that failed. It appends in order, so a record that lay whole within the file when the
   * file was opened, and is bad although it was read since, is damaged.
   */
  async #mayBeUnderWay(item: Exclude<Scanned, { type: 'unknown' }>): Promise<boolean> {
    if (item.type === 'record' ? item.sound : item.why === 'incomplete') return true;
    return (await this.#pack.currentSize()) < this.#pack.size;
  }

  #rotten({ kind }: RecordHeader, offset: number): void {
    const what = `a byte of the header of ${kind === 'event' || kind === 'index' ? 'an' : 'a'} ${kind} has rotted; its content is whole, and proves what the header was`;
    const remedy = 'check the disk; the collector goes on with it, and nothing is lost';
    this.#tell({
      code: 'header-damaged',
      severity: 'warning',
      what,
      where: `${this.#pack.path}, byte ${offset}`,
      remedy,
    });
  }

  #note({ kind, id, length }: Pick<RecordHeader, 'kind' | 'id' | 'length'>, offset: number): void {
    this.#rows.push({ kind, id, length, offset });
    if (isData(kind)) this.#items += 1;
  }

  /**
   * Nothing says that these bytes were ever durable. Sound records among them may be a power cut's
   * doing, or damage in front.
   */
  #torn(offset: number, soundBehind: boolean): void {
    if (this.#live) {
      this.#underWay(offset);
      return;
    }
    if (this.#durableTo > this.#pack.size) return;
    const bytes = this.#pack.size - offset;
    const [severity, what, remedy] = soundBehind
      ? ([
          'warning',
          `the last pack ends in ${bytes} bytes behind a broken record, and sound records among them`,
          'after a power cut: nothing to do, the next start cuts them. Otherwise copy the pack aside before you start: they may be damaged, and receipts may cover them',
        ] as const)
      : ([
          'info',
          `the last pack ends in ${bytes} bytes that are no complete record`,
          'nothing to do after a crash: the next start cuts them. Had a receipt covered them, the agents would report it (aliquot log status)',
        ] as const);
    this.#tell({
      code: 'torn-tail',
      severity,
      what,
      where: `${this.#pack.path}, byte ${offset}`,
      remedy,
    });
  }

  #underWay(offset: number): void {
    this.#tell({
      code: 'torn-tail',
      severity: 'info',
      what: `the last pack ends in ${this.#pack.size - offset} bytes that are not yet a complete record`,
      where: `${this.#pack.path}, byte ${offset}`,
      remedy:
        'the collector seems to be writing them: run fsck again; if they stay, run it while the collector is stopped',
    });
  }

  #error(code: Finding['code'], what: string, offset: number, remedy: string): void {
    this.#tell({
      code,
      severity: 'error',
      what,
      where: `${this.#pack.path}, byte ${offset}`,
      remedy,
    });
  }
}

function sameRows(a: readonly IndexRow[], b: readonly IndexRow[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((row, at) => {
    const other = b[at];
    return (
      other !== undefined &&
      row.kind === other.kind &&
      row.offset === other.offset &&
      row.length === other.length &&
      equalBytes(row.id, other.id)
    );
  });
}

/** How a damaged item is told, once it is known whether a sound copy was stored later. */
export function damageFinding(item: DamagedItem, path: string, mended: boolean): Finding {
  const what = `the bytes of ${item.kind} ${Buffer.from(item.id).toString('hex')} are damaged${mended ? ', and a sound copy was stored since' : ''}`;
  const where = `${path}, byte ${item.position.offset}`;
  return {
    code: 'item-damaged',
    severity: mended ? 'warning' : 'error',
    what,
    where,
    remedy: mended ? 'check the disk' : `check the disk; ${SEND_AGAIN}`,
  };
}
