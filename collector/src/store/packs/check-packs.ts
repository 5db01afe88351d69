import { asChunkId, type VaultId } from '@aliquot/proto';
import { soundPieces } from '@aliquot/shared/content/slab-proof';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { RecordHeader } from '@aliquot/shared/records/format';
import { RecordReader } from '@aliquot/shared/records/reader';
import {
  type CheckedRecord,
  FileCheck,
  newestOf,
  RESTORE,
  type RecordChecks,
} from '../check-records.ts';
import { StoreError } from '../errors.ts';
import type { Finding } from '../fsck-finding.ts';
import { type IndexRows, isItem, type PackKind, packFormat } from './pack-format.ts';
import { endOfPack, indexOfPack } from './pack-rows.ts';
import type { PackExtent, PackRow } from './pack-store.ts';
import { piecesIn } from './slab-pieces.ts';

export interface PackChecks extends RecordChecks {
  readonly vaultId: VaultId;
  /** What is known to have been on stable storage, from the catalog's checkpoint. */
  readonly durable?: readonly Pick<PackExtent, 'pack' | 'syncedBytes'>[];
  /** Called when a pack is done. */
  readonly onPack?: (report: PackReport) => void;
}

export interface PackReport {
  readonly pack: number;
  readonly bytes: number;
  readonly items: number;
  /** Items whose bytes have rotted. */
  readonly damaged: readonly DamagedRow[];
}

/** An item whose bytes have rotted. */
export interface DamagedRow extends PackRow {
  /** Of a slab that still proves others: the pieces that do not, from 1 on. Else undefined. */
  readonly rotten: readonly number[] | undefined;
}

/**
 * Packs that are read at once, in large runs: their bytes are hashed by the threads of the hasher.
 */
const AT_ONCE = 3;

/**
 * Reads every byte of every pack and proves it: header, each record's checksum and SHA-256, index.
 * Packs are proved side by side; their findings come in the order of their numbers.
 */
export async function checkPacks(dir: string, checks: PackChecks): Promise<readonly PackReport[]> {
  const folder = { port: checks.files, dir, format: packFormat, owner: checks.vaultId };
  const reader = await RecordReader.open({ ...folder, handles: 2 * AT_ONCE });
  try {
    const known = new Map(checks.durable?.map(({ pack, syncedBytes }) => [pack, syncedBytes]));
    // Where none is left, that is told as a whole.
    for (const pack of reader.files().length === 0 ? [] : known.keys())
      if (reader.sizeOf(pack) === undefined)
        checks.tell({
          code: 'pack-missing',
          severity: 'warning',
          what: 'a pack is gone that the catalog knows of; what it held and versions need is told by itself',
          where: reader.path(pack),
          remedy: 'put it back from a copy, unless nothing else is told',
        });
    const newest = await newestOf(reader);
    return await inOrder(
      reader.files().map(({ number }) => number),
      async (pack) => {
        const told: Finding[] = [];
        const tell = (finding: Finding) => void told.push(finding);
        const check = new PackCheck(
          reader,
          pack,
          known.get(pack) ?? 0,
          { ...checks, tell },
          newest,
        );
        return { report: await check.run(), told };
      },
      ({ report, told }) => {
        for (const finding of told) checks.tell(finding);
        checks.onPack?.(report);
        return report;
      },
    );
  } finally {
    await reader.close();
  }
}

/** Runs some at a time, and takes what comes of them in the order that they were given in. */
async function inOrder<T, R, S>(
  all: readonly T[],
  run: (one: T) => Promise<R>,
  take: (result: R) => S,
): Promise<S[]> {
  const under: Promise<R>[] = [];
  const taken: S[] = [];
  try {
    for (const one of all) {
      under.push(run(one));
      if (under.length < AT_ONCE) continue;
      const first = under.shift();
      if (first !== undefined) taken.push(take(await first));
    }
    for (let next = under.shift(); next !== undefined; next = under.shift())
      taken.push(take(await next));
    return taken;
  } finally {
    await Promise.allSettled(under);
  }
}

class PackCheck {
  readonly #reader: RecordReader<PackKind>;
  readonly #pack: number;
  readonly #durableTo: number;
  readonly #isNewest: boolean;
  readonly #tell: (finding: Finding) => void;
  readonly #file: FileCheck<PackKind>;
  readonly #damaged: DamagedRow[] = [];
  #items = 0;
  /** Whether the rows of the index were met one by one so far. */
  #fits = true;
  #isBroken = false;

  constructor(
    reader: RecordReader<PackKind>,
    pack: number,
    durableTo: number,
    checks: RecordChecks,
    newest: number | undefined,
  ) {
    this.#isNewest = pack === newest;
    this.#reader = reader;
    this.#pack = pack;
    this.#durableTo = durableTo;
    this.#tell = checks.tell;
    this.#file = new FileCheck(reader, pack, durableTo, checks);
  }

  async run(): Promise<PackReport> {
    const { size } = this.#file;
    if (size < this.#durableTo)
      this.#error(
        'pack-short',
        `the pack was ${this.#durableTo} bytes long and has lost its end`,
        size,
        `${RESTORE}; if there is none, the agents send again what they still have`,
      );
    const index = await this.#index();
    for await (const record of this.#file.records(() => 'prove')) this.#note(record, index);
    const isWhole = !this.#isBroken && !this.#file.isForeign;
    if (isWhole && index !== undefined && !(this.#fits && this.#items === index.count))
      this.#error('pack-index', 'the index does not name the items of its pack', size, RESTORE);
    const damaged: DamagedRow[] = [];
    for (const found of this.#damaged)
      damaged.push(found.kind === 'slab' ? await this.#leftOf(found) : found);
    return { pack: this.#pack, bytes: size, items: this.#items, damaged };
  }

  /** A damaged slab with the pieces of it that do not prove. */
  async #leftOf(row: DamagedRow): Promise<DamagedRow> {
    const { id, place } = row;
    const at = place.offset + RECORD_HEADER_BYTES;
    const bytes = await this.#reader.readBytes(this.#pack, at, place.length);
    const left = soundPieces(bytes, id);
    if (left === undefined) return row;
    return { ...row, pieces: piecesIn('slab', bytes), rotten: left.rotten };
  }

  /** The pack's index, and what is wrong with it. */
  async #index(): Promise<IndexRows | undefined> {
    try {
      const end = await endOfPack(this.#reader, this.#pack);
      const index = end === undefined ? undefined : await indexOfPack(this.#reader, this.#pack);
      const remedy = `nothing is lost by it, its items are found in its records; ${RESTORE}`;
      if (end === undefined && !this.#isNewest && this.#file.size >= this.#durableTo)
        this.#error('pack-index', 'a closed pack has lost its end', this.#file.size, remedy);
      else if (end !== undefined && index === undefined)
        this.#error('pack-index', 'the index of a closed pack is damaged', end.indexOffset, remedy);
      return index;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return undefined; // a pack that is not ours is told when its records are read
    }
  }

  #note(record: CheckedRecord<PackKind>, index: IndexRows | undefined): void {
    const { header, offset, end } = record;
    if (header !== undefined) {
      if (isItem(header.kind)) this.#item(header, offset, index, record.type === 'record');
      // A damaged index was reported by its name.
      return;
    }
    // Nothing in front of the damage says what stood there; the index may.
    let named = 0;
    for (let row = index?.indexOf(offset) ?? 0; row < (index?.count ?? 0); row += 1) {
      const { kind, id, length, offset: at } = index?.row(row) ?? noRow;
      if (at >= end) break;
      named += 1;
      this.#item({ kind, length, digest: id }, at, index, false);
    }
    const { size } = this.#file;
    if (named > 0 || (end === size && size < this.#durableTo)) return;
    this.#isBroken = true;
    this.#error(
      'record-broken',
      `${end - offset} bytes that were durable are no record; what items they were is not known`,
      offset,
      RESTORE,
    );
  }

  #item(
    { kind, length, digest }: Pick<RecordHeader<PackKind>, 'kind' | 'length' | 'digest'>,
    offset: number,
    index: IndexRows | undefined,
    sound: boolean,
  ): void {
    if (!isItem(kind)) return;
    const row = index !== undefined && this.#items < index.count ? index.row(this.#items) : noRow;
    this.#fits &&=
      index === undefined ||
      (row.offset === offset &&
        row.length === length &&
        row.kind === kind &&
        equalBytes(row.id, digest));
    this.#items += 1;
    const place = { pack: this.#pack, offset, length };
    if (sound) return;
    const lost = { pieces: undefined, rotten: undefined };
    this.#damaged.push({ id: asChunkId(digest), kind, place, sound, ...lost });
  }

  #error(code: Finding['code'], what: string, offset: number, remedy: string): void {
    const where = `${this.#reader.path(this.#pack)}, byte ${offset}`;
    this.#tell({ code, severity: 'error', what, where, remedy });
  }
}

const noRow = { kind: 'chunk', offset: -1, length: 0, id: new Uint8Array(32) } as const;
