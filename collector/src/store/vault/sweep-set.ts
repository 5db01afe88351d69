import { type ChunkId, type LineageId, pageIds } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import type { Clock, Random } from '@aliquot/shared/ports';
import { mayDrop } from '../../collection/progress.ts';
import { compareLeaving, fateOf, sweepRefusal } from '../../collection/sweeping.ts';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import type { CatalogRow } from '../catalog/catalog-store.ts';
import { hasPiece, type ItemRow, isSet, placesToRead, slabIn } from '../catalog/item-row.ts';
import { read } from '../catalog/row-codec.ts';
import type { PiecesHeld } from '../packs/slab-pieces.ts';
import type { SweepOutcome } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { sweepWaitsFor } from './gc-epochs.ts';
import { Mark, type Unreadable } from './mark.ts';
import type { LongStep } from './retention/facts-of.ts';
import type { ThinSlab } from './thin-slabs.ts';

/** Pages that are walked in one step beside the queue: some ten milliseconds. */
const STEP_PAGES = 64;
/** Rows that are looked through in one step: a few milliseconds. */
const STEP_ROWS = 1024;
/** Items that leave by one record: a step of some ten milliseconds. */
const STEP_ITEMS = 1024;
/** What comes all the time is walked beside the queue so often, and then also in it. */
const MOST_WALKS = 3;
/** So much in one job, in pages: some ten milliseconds; the rest beside the queue again. */
const JOB_PAGES = 64;

export interface SweepParts {
  readonly keeper: CoreKeeper;
  readonly clock: Clock;
  readonly random: Random;
  readonly hasher: Hasher;
  readonly step: LongStep;
  readonly isStopped: () => boolean;
}

/** An item of a lineage's set. */
interface SetItem {
  readonly id: ChunkId;
  readonly isPage: boolean;
  /** Of a page: of what its references name. */
  readonly depth: number | undefined;
  /** Bytes that die with it, if any do. */
  readonly bytes: number;
}

/**
 * Sweeps the set of a lineage for its newest epoch, when all have answered that: marks what its
 * versions reach, and then records what leaves, pages by falling depth first. Each step is a job of
 * the vault's queue, decides anew whether it may, and walks what was committed since. May end after
 * any of them: the next call marks again.
 *
 * `onlyLook`: nothing is recorded, whose answer is missing does not count, and these versions
 * count as dropped, by leaf.
 */
export async function sweepSet(
  parts: SweepParts,
  lineageId: LineageId,
  onlyLook: ReadonlyMap<number, Uint8Array> | undefined,
): Promise<SweepOutcome> {
  // What was announced, and what agents had when they answered, is on stable storage from here on.
  await parts.keeper.sync();
  const { uploads } = parts.keeper;
  return parts.keeper.ask(async (core) => {
    // It may be what told whose commits are the lineage's.
    const [unread] = core.registry.unreadEvents;
    if (unread !== undefined)
      return { type: 'unreadable', what: `the event at leaf ${unread} cannot be read` };
    const { announced, swept } = core.registry.sweep(lineageId);
    if (onlyLook === undefined) {
      if (mayDrop({ announced, swept, hasDropped: false })) return { type: 'nothing-announced' };
      const waits = sweepWaitsFor(core, lineageId, announced);
      if (waits.length > 0) return { type: 'waits', waits };
    }
    const mark = new Mark(core, lineageId, parts, uploads.beginMark(lineageId), onlyLook);
    try {
      const failed = await walkBeside(parts, mark, core.sums.leaves);
      if (failed !== undefined) return failed;
      const sweep = new Sweep(parts, core, lineageId, announced, mark);
      return await (onlyLook === undefined ? sweep.run() : sweep.look());
    } finally {
      uploads.endMark(lineageId);
    }
  });
}

/** Beside the queue, in steps that give way to others. */
async function walkBeside(
  { step }: SweepParts,
  mark: Mark,
  size: number,
): Promise<Unreadable | undefined> {
  for (;;) {
    const ended = await step(() => mark.walkSome(size, STEP_PAGES));
    if (ended !== 'unfinished') return ended;
  }
}

class Sweep {
  readonly #parts: SweepParts;
  readonly #core: VaultCore;
  readonly #lineageId: LineageId;
  readonly #epoch: number;
  readonly #mark: Mark;
  #items = 0;
  #bytes = 0;

  constructor(parts: SweepParts, core: VaultCore, lineageId: LineageId, epoch: number, mark: Mark) {
    this.#parts = parts;
    this.#core = core;
    this.#lineageId = lineageId;
    this.#epoch = epoch;
    this.#mark = mark;
  }

  /** What would leave, as things stand. */
  async look(): Promise<SweepOutcome> {
    for await (const item of this.#unreached(true)) this.#count(item);
    for await (const item of this.#unreached(false)) this.#count(item);
    return { type: 'swept', items: this.#items, bytes: this.#bytes };
  }

  async run(): Promise<SweepOutcome> {
    // Few enough to be known all at once; those below others come behind them.
    const pages: SetItem[] = [];
    for await (const page of this.#unreached(true))
      pages.push({ ...page, depth: await this.#depthOf(page.id) });
    pages.sort(compareLeaving);
    for (let from = 0; from < pages.length; from += STEP_ITEMS) {
      const ended = await this.#step(pages.slice(from, from + STEP_ITEMS));
      if (ended !== undefined) return ended;
    }
    let batch: SetItem[] = [];
    for await (const item of this.#unreached(false)) {
      batch.push(item);
      if (batch.length < STEP_ITEMS) continue;
      const ended = await this.#step(batch);
      if (ended !== undefined) return ended;
      batch = [];
    }
    const thin = await this.#thinSlabs();
    const ended = await this.#step(batch, thin);
    if (ended !== undefined) return ended;
    await this.#parts.keeper.sync();
    this.#parts.keeper.uploads.unwatch(this.#lineageId);
    return { type: 'swept', items: this.#items, bytes: this.#bytes };
  }

  /** One job of the queue: what leaves of these now; why it may not, where that is so. */
  async #step(
    items: readonly SetItem[],
    end?: readonly ThinSlab[],
  ): Promise<SweepOutcome | undefined> {
    const { keeper, step, isStopped } = this.#parts;
    for (let walks = 0; ; walks += 1) {
      if (isStopped()) return { type: 'stopped' };
      const insists = walks >= MOST_WALKS;
      const refused = await step(() =>
        keeper.do((core) => this.#sweepNow(core, items, end, insists)),
      );
      if (refused !== 'unwalked') return refused;
      // Of those that were seen: the log has one more while it is appended.
      const failed = await walkBeside(this.#parts, this.#mark, this.#core.sums.leaves);
      if (failed !== undefined) return failed;
    }
  }

  async #sweepNow(
    core: VaultCore,
    items: readonly SetItem[],
    end: readonly ThinSlab[] | undefined,
    insists: boolean,
  ): Promise<SweepOutcome | 'unwalked' | undefined> {
    const mark = this.#mark;
    const waits = sweepWaitsFor(core, this.#lineageId, this.#epoch);
    const leaves = core.log.size;
    const ask = async () =>
      sweepRefusal(mark.ground, {
        ...{ opening: core, logEpoch: core.sums.logEpoch, isAnnounced: true },
        ...{ came: await mark.cameBy(leaves), waits: waits.length },
      });
    let refused = await ask();
    if (refused === 'unwalked' && insists) {
      const failed = await mark.walkSome(leaves, JOB_PAGES);
      if (failed === 'unfinished') return 'unwalked';
      if (failed !== undefined) return failed;
      refused = await ask();
    }
    switch (refused) {
      case 'unwalked':
        return 'unwalked';
      case 'waits':
        return { type: 'waits', waits };
      case 'reopened':
      case 'not-announced':
        return { type: 'stopped' };
    }
    await this.#record(core, items, end !== undefined);
    // All that came was walked, and what agents rely on since the announcement is known here.
    const { uploads } = this.#parts.keeper;
    for (const slab of end ?? [])
      if (!uploads.isTouched(this.#lineageId, slab.id)) uploads.thin.offer(slab);
    await this.#parts.keeper.syncWhenFull(core);
    return undefined;
  }

  async #record(core: VaultCore, items: readonly SetItem[], isEnd: boolean): Promise<void> {
    const { uploads } = this.#parts.keeper;
    const ids: ChunkId[] = [];
    const unwalked: ChunkId[] = [];
    for (const item of items) {
      const { id, isPage, depth } = item;
      const isReached = this.#mark.reaches(id, isPage);
      const fate = fateOf({ depth, isReached }, uploads.isTouched(this.#lineageId, id));
      if (fate === 'unwalked') unwalked.push(id);
      if (fate !== 'leaves') continue;
      ids.push(id);
      this.#count(item);
    }
    if (ids.length === 0 && unwalked.length === 0 && !isEnd) return;
    const [lineageId, gcEpoch] = [this.#lineageId, this.#epoch];
    const timeMs = this.#parts.clock.nowMs();
    await core.appendSwept({ lineageId, gcEpoch, ids, unwalked, isEnd, timeMs });
  }

  /** Slabs of this lineage alone of which pieces are held that no version names. */
  async #thinSlabs(): Promise<ThinSlab[]> {
    const found: ThinSlab[] = [];
    let some: { readonly id: ChunkId; readonly live: Uint8Array }[] = [];
    const look = async (): Promise<void> => {
      const rows = await this.#core.items.rows(some.map(({ id }) => id));
      for (const [at, { id, live }] of some.entries()) {
        const row = rows[at];
        if (row !== undefined && isOnly(row, this.#lineageId) && hasMore(slabIn(row), live))
          found.push({ id, lineageId: this.#lineageId, live });
      }
      some = [];
    };
    for (const slab of this.#mark.slabs()) if (some.push(slab) === STEP_ITEMS) await look();
    await look();
    return found;
  }

  #count({ bytes }: SetItem): void {
    this.#items += 1;
    this.#bytes += bytes;
  }

  /** Pages, or chunks and slabs, that the lineage has and the mark has not met. */
  async *#unreached(pages: boolean): AsyncGenerator<SetItem> {
    for await (const item of this.#owned())
      if (item.isPage === pages && !this.#mark.reaches(item.id, pages)) yield item;
  }

  /** Rows of the catalog, some at a time. */
  async *#inSteps(rows: AsyncGenerator<CatalogRow, void, void>): AsyncGenerator<CatalogRow> {
    try {
      for (let isDone = false; !isDone; )
        yield* await this.#parts.step(async () => {
          const some: CatalogRow[] = [];
          for (; some.length < STEP_ROWS && !isDone; ) {
            const next = await rows.next();
            isDone = next.done === true;
            if (next.done !== true) some.push(next.value);
          }
          return some;
        });
    } finally {
      await rows.return();
    }
  }

  async *#owned(): AsyncGenerator<SetItem> {
    const { catalog } = this.#core;
    for await (const [key, value] of this.#inSteps(catalog.scan(ranges.items))) {
      const row = read.item(value);
      if (row.owner === undefined || !equalBytes(row.owner.lineageId, this.#lineageId)) continue;
      yield itemOf(readKey.item(key), row, row.owner.owned === 'referenced', row.others === 0);
    }
    const others = catalog.scan(ranges.ownedOf(this.#lineageId));
    for await (const [key, value] of this.#inSteps(others)) {
      const id = readKey.ownedItem(key);
      const [row] = await this.#core.items.rows([id]);
      const isLast = row?.owner === undefined && row?.others === 1;
      yield itemOf(id, row, read.owned(value) === 'referenced', isLast);
    }
  }

  /** Of what a page's references name; above all others where nobody can tell. */
  async #depthOf(id: ChunkId): Promise<number> {
    const page = await this.#core.items.readPage(id);
    return page === undefined ? Number.POSITIVE_INFINITY : pageIds(page).depth;
  }
}

/** Whether an item is in the set of a lineage, and in no other. */
export function isOnly({ owner, others }: ItemRow, lineageId: LineageId): boolean {
  return others === 0 && owner !== undefined && equalBytes(owner.lineageId, lineageId);
}

/** Whether a slab has a piece that does not live. */
function hasMore(held: PiecesHeld | undefined, live: Uint8Array): boolean {
  if (held === undefined) return false;
  for (let piece = 0; piece < held.count; piece += 1)
    if (hasPiece(held, piece + 1) && !isSet(live, piece)) return true;
  return false;
}

/** Only what was proved, and so is a page, is told from others when no pack holds it. */
function itemOf(id: ChunkId, row: ItemRow | undefined, proved: boolean, isLast: boolean): SetItem {
  const place = row === undefined ? undefined : placesToRead(row)[0];
  const bytes = isLast ? (place?.length ?? 0) : 0;
  return { id, isPage: proved || row?.kind === 'page', depth: undefined, bytes };
}
