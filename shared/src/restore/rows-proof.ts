import { asChunkId, type ChunkId, decodeBlock, type VersionBlock } from '@aliquot/proto';
import { isOpeningError, LazyBlock, type OpeningError } from '../commit/open-names.ts';
import { Scratch } from '../content/scratch.ts';
import { mapKey } from '../crypto/bytes.ts';
import { Arrivals } from './arrivals.ts';
import { RestoreError } from './errors.ts';
import { ItemOpener } from './open-items.ts';
import { ahead, type OrdersRequest, type OrdersSummary } from './orders.ts';
import { notOpened, type RestoreOrder } from './placing.ts';
import { explain, notDelivered } from './plan.ts';
import type { FileSpec } from './restore-target.ts';
import type { RowsOfBlock, SealedRows } from './sealed-rows.ts';
import type { Outcome } from './sink.ts';

/** What a thread is given: files whose keys are open, or rows as they are sealed. */
export type ThreadOrder = RestoreOrder | SealedRows;

type RowsRequest = Omit<OrdersRequest, 'helper'> & {
  onUnopened(of: SealedRows['of'], versions: number, error: OpeningError): void;
};

/** A block whose names are open. */
interface OpenRows {
  readonly rows: VersionBlock;
  readonly block: LazyBlock;
}

/** A slab that is asked for, and which rows are in it: by `rowAt`. */
interface AskedSlab {
  readonly id: ChunkId;
  readonly rows: number[];
}

/** Rows that are open, and whose slabs are on their way. */
interface AskedRows {
  readonly blocks: readonly OpenRows[];
  readonly slabs: readonly AskedSlab[];
  readonly empty: readonly number[];
  readonly arrivals: Arrivals;
}

/** A row by its block and its place there, as one number. */
const PLACES = 0x10000;
const rowAt = (block: number, place: number): number => block * PLACES + place;

const nowhere = { final: Buffer.alloc(0) };
const NOTHING = new Uint8Array(0);

/** Where the slabs of the next rows are asked for while some are proved. */
const ROWS_AHEAD = 1;

/**
 * Opens rows of small files block by block, holds each block against its signed root, and gives
 * each file in their slabs to the writer, as `restoreOrders` does with files that somebody else
 * opened.
 */
export class RowsProof {
  readonly counts = { files: 0, same: 0, growing: 0, bytes: 0, failed: 0 } satisfies OrdersSummary;
  readonly #request: RowsRequest;
  readonly #opener: ItemOpener;
  #isAhead = false;

  constructor(request: RowsRequest) {
    this.#request = request;
    // A file is done with when the next one is opened.
    const plain = new Scratch();
    this.#opener = new ItemOpener(request.vaultId, request.fetchAgain, (length) =>
      plain.of(length),
    );
  }

  /** Proves the rows among some orders, and passes the files on. Errors as `restoreOrders`. */
  async *filesOf(orders: AsyncIterable<ThreadOrder>): AsyncGenerator<RestoreOrder> {
    // Files are asked for as before: who gives them back looks ahead by himself.
    for await (const order of ahead(this.#begun(orders), () => (this.#isAhead ? ROWS_AHEAD : 0))) {
      if ('blocks' in order) await this.#prove(order);
      else yield order;
    }
  }

  async *#begun(orders: AsyncIterable<ThreadOrder>): AsyncGenerator<RestoreOrder | AskedRows> {
    for await (const order of orders) {
      this.#isAhead = 'blocks' in order;
      yield 'blocks' in order ? this.#ask(order) : order;
    }
  }

  /** Opens what can be opened, and asks for the slabs. */
  #ask({ of, keys, blocks }: SealedRows): AskedRows {
    const open: OpenRows[] = [];
    const slabs = new Map<string, AskedSlab>();
    const empty: number[] = [];
    for (const sealed of blocks) {
      const rows = decodeBlock(sealed.block);
      const block = new LazyBlock({ ...sealed, rows }, keys);
      const error = whyClosed(() => block.allNames);
      if (error === undefined) {
        this.#enter(sealed, { rows, block }, open.push({ rows, block }) - 1, slabs, empty);
      } else this.#request.onUnopened(of, sealed.asked, error);
    }
    const asked = [...slabs.values()];
    const ids = asked.map(({ id }) => id);
    const source = ids.length === 0 ? nothing() : this.#request.fetchItems(ids);
    return { blocks: open, slabs: asked, empty, arrivals: new Arrivals(ids, source) };
  }

  #enter(
    { files }: RowsOfBlock,
    { rows, block }: OpenRows,
    index: number,
    slabs: Map<string, AskedSlab>,
    empty: number[],
  ): void {
    const closed = files.length === 0 ? undefined : whyClosed(() => block.openRead);
    const named = rows.slabs.map(({ id }) => mapKey(id));
    for (const place of files) {
      const at = rows.slabOf[place] ?? -1;
      const slab = rows.slabs[at];
      if (closed !== undefined) {
        const { path } = block.names(place).list;
        this.#told(path, notOpened(path, closed));
      } else if (slab === undefined) empty.push(rowAt(index, place));
      else {
        const name = named[at] ?? '';
        const asked = slabs.get(name) ?? { id: asChunkId(slab.id.slice()), rows: [] };
        slabs.set(name, asked);
        asked.rows.push(rowAt(index, place));
      }
    }
  }

  async #prove({ blocks, slabs, empty, arrivals }: AskedRows): Promise<void> {
    const each = async (rows: readonly number[], slab?: ChunkId, sealed?: Uint8Array) => {
      for (const row of rows) {
        const open = blocks[Math.floor(row / PLACES)];
        if (open === undefined) continue;
        const waiting = this.#file(open, row % PLACES, slab, sealed);
        if (waiting !== undefined) await waiting;
      }
      this.#progress(blocks, rows.at(-1));
    };
    try {
      await each(empty);
      for (const [at, { id, rows }] of slabs.entries())
        await each(rows, id, await arrivals.item(at));
    } finally {
      arrivals.drop();
    }
  }

  /** A promise only where something is to wait for. */
  #file(
    { rows, block }: OpenRows,
    place: number,
    slab: ChunkId | undefined,
    sealed: Uint8Array | undefined,
  ): Promise<void> | undefined {
    const { list } = block.names(place);
    const { openRead } = block;
    const size = rows.sizes[place] ?? 0;
    const spec = { ...list, size, sha256: openRead.wholeHash(place) ?? NOTHING };
    try {
      if (slab === undefined) return this.#write(spec, NOTHING);
      if (sealed === undefined) throw notDelivered({ spec }, 'slab', slab);
      const epoch = rows.slabs[rows.slabOf[place] ?? -1]?.epoch ?? 0;
      const ref = { id: slab, plainSize: size, epoch };
      const piece = (rows.pieceOf[place] ?? 0) + 1;
      const plain = this.#opener.open({ ref, key: openRead.pieceKey(place), piece }, sealed);
      if (!(plain instanceof Promise)) return this.#write(spec, plain);
      return plain
        .then((bytes) => this.#write(spec, bytes))
        .catch((error: unknown) => this.#fail(spec, error));
    } catch (error) {
      this.#fail(spec, error);
      return undefined;
    }
  }

  #write(spec: FileSpec, plain: Uint8Array): Promise<void> | undefined {
    const outcome = this.#request.writer.whole(spec, nowhere, plain);
    if (!(outcome instanceof Promise)) {
      this.#done(spec, outcome);
      return undefined;
    }
    return outcome.then(
      (is) => this.#done(spec, is),
      (error: unknown) => this.#fail(spec, error),
    );
  }

  #done({ size, sha256 }: FileSpec, outcome: Outcome): void {
    this.counts.files += 1;
    this.counts.bytes += size;
    if (outcome === 'same') this.counts.same += 1;
    if (sha256.length === 0) this.counts.growing += 1;
  }

  #fail(spec: FileSpec, error: unknown): void {
    const explained = explain({ spec }, error);
    if (!(explained instanceof RestoreError) || explained.code === 'RESTORE_NO_SPACE')
      throw explained;
    this.#told(spec.path, explained);
  }

  #told(path: Uint8Array, error: RestoreError): void {
    this.counts.failed += 1;
    this.#request.onFailure?.(path, error);
  }

  #progress(blocks: readonly OpenRows[], row: number | undefined): void {
    if (row === undefined) return;
    const path = blocks[Math.floor(row / PLACES)]?.block.names(row % PLACES).list.path;
    if (path === undefined) return;
    const { files, bytes } = this.counts;
    this.#request.onProgress?.({ files, bytes, path });
  }
}

function whyClosed(open: () => unknown): OpeningError | undefined {
  try {
    open();
    return undefined;
  } catch (error) {
    if (!isOpeningError(error)) throw error;
    return error;
  }
}

async function* nothing(): AsyncGenerator<never> {}
