import { setImmediate as turn } from 'node:timers/promises';
import {
  asChunkId,
  type ChunkId,
  decodeLogLeaf,
  decodeStoredCommit,
  HASH_BYTES,
  type LineageId,
  MAX_SLAB_PIECES,
  pageIds,
  type References,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { mapKey, releasePart } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import type { Random } from '@aliquot/shared/ports';
import type { MarkGround } from '../../collection/sweeping.ts';
import { Bloom } from '../catalog/bloom.ts';
import { keys, ranges } from '../catalog/catalog-keys.ts';
import { nowhere, placesToRead, setBit } from '../catalog/item-row.ts';
import { contentsOf, type NamedSlab } from '../catalog/named-contents.ts';
import { approvalOfRun } from '../catalog/purge-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import { read } from '../catalog/row-codec.ts';
import { passedOver } from '../errors.ts';
import { comparePlaces } from '../packs/pack-store.ts';
import { united } from './apply-dropped.ts';
import type { VaultCore } from './core.ts';
import { rottenOwnership } from './dead-proof.ts';
import { DroppedSlots } from './dropped-slots.ts';
import { ownedBy } from './own-items.ts';
import { provedRuns } from './proved-runs.ts';

const SALT_BYTES = 16;
const NO_SLOTS = new Uint8Array(0);
/** Pages that are looked up together, and read in the order in which they lie. */
const PAGES_AT_ONCE = 512;

/** Rows of a commit that cost as much as a page that is read. */
const ROWS_FOR_PAGE = 256;

/** How much more may be walked in one go: pages, and commits by their rows. */
interface WalkRoom {
  left: number;
}

/** A mark that cannot be made: what a commit or a page refers to cannot be read. */
export interface Unreadable {
  readonly type: 'unreadable';
  readonly what: string;
}

/**
 * What the versions of a lineage reach, of every history of its agents alike: of each commit the
 * rows that were not dropped, and whatever is below them. Pages are known exactly, chunks and slabs
 * as a Bloom table tells them: its mistakes only keep.
 *
 * Memory: ten bits a chunk, some 100 bytes a page, 200 a slab, 8 a commit. Beside the vault's queue; what
 * is committed meanwhile is walked by the next `walkSome`.
 */
export class Mark {
  readonly #core: VaultCore;
  readonly #hasher: Hasher;
  readonly #lineageId: LineageId;
  readonly #leaves: Bloom;
  readonly #pages = new Set<string>();
  /** Pages whose references are still to be entered. */
  #open: ChunkId[] = [];
  /** By `mapKey`: slabs of which versions were walked, and which pieces these name. */
  readonly #slabs = new Map<string, { readonly id: ChunkId; readonly live: Uint8Array }>();
  readonly #letGo: ReadonlyMap<number, Uint8Array>;
  /** The log was looked through up to here; and how many of the lineage's commits were walked. */
  #walked = 0;
  #commits = 0;
  #hasBegun = false;
  /** Commits that are to be walked up to a size of the log: they are looked for once. */
  #next: { readonly size: number; readonly leaves: readonly number[]; done: number } = {
    ...{ size: 0, leaves: [], done: 0 },
  };
  /** Whether every record can be read that says what is in whose set; undefined: not asked yet. */
  #isSetCertain: boolean | undefined;
  /** Pages that were proved since the mark began, and how many of them were walked. */
  readonly #proved: readonly ChunkId[];
  #provedWalked = 0;
  readonly #logEpoch: number;

  /**
   * @param proved pages that are proved from now on: it grows while the mark is used.
   * @param letGo versions that count as dropped, by leaf: a bit for each slot.
   */
  constructor(
    core: VaultCore,
    lineageId: LineageId,
    { random, hasher }: { readonly random: Random; readonly hasher: Hasher },
    proved: readonly ChunkId[],
    letGo: ReadonlyMap<number, Uint8Array> = new Map(),
  ) {
    this.#letGo = letGo;
    this.#core = core;
    this.#hasher = hasher;
    this.#proved = proved;
    this.#lineageId = lineageId;
    const { chunks, slabs } = core.items.sums;
    this.#leaves = new Bloom(chunks + slabs, random.bytes(SALT_BYTES));
    this.#logEpoch = core.sums.logEpoch;
  }

  get ground(): MarkGround {
    const walked = this.#commits + this.#provedWalked;
    return { opening: this.#core, logEpoch: this.#logEpoch, walked };
  }

  /**
   * What has come of the lineage, up to a size of the log: to be compared with what was walked.
   * Leaves of others do not count. Looks at the leaves alone.
   */
  async cameBy(size: number): Promise<number> {
    const commits = (await this.#logged(size)).length;
    const proved = this.#proved.length - this.#provedWalked;
    return this.ground.walked + commits + proved + this.#open.length;
  }

  /** Whether anything that was walked refers to an item; of chunks and slabs: perhaps. */
  reaches(id: ChunkId, isPage: boolean): boolean {
    return isPage ? this.#pages.has(idName(id)) : this.#leaves.has(id);
  }

  /** Every slab of which a version was walked, with its pieces that live: a bit for each. */
  slabs(): Iterable<{ readonly id: ChunkId; readonly live: Uint8Array }> {
    return this.#slabs.values();
  }

  /**
   * Walks every commit up to a size of the log that was not walked yet, and pages that were proved
   * since the mark began: a commit that is still to come relies on what is below them. No more than
   * so many pages' worth: the next call goes on.
   */
  async walkSome(size: number, pages: number): Promise<Unreadable | 'unfinished' | undefined> {
    const room: WalkRoom = { left: pages };
    for (; this.#provedWalked < this.#proved.length; this.#provedWalked += 1) {
      const page = this.#proved[this.#provedWalked];
      if (page !== undefined) this.#enterPage(page);
    }
    const below = await this.#walkPages(room);
    if (below !== undefined) return below;
    if (this.#next.size !== size) {
      const leaves = this.#hasBegun ? await this.#logged(size) : await this.#linked(size);
      this.#next = { size, leaves, done: 0 };
    }
    this.#hasBegun = true;
    const next = this.#next;
    const dropped = new DroppedSlots(this.#core.catalog, this.#walked, size, (run) =>
      this.#isGone(run),
    );
    try {
      while (next.done < next.leaves.length) {
        const leafIndex = next.leaves[next.done] as number;
        if (room.left <= 0) return 'unfinished';
        const stored = await this.#core.leafRecord(leafIndex).catch(passedOver);
        if (stored === undefined)
          return { type: 'unreadable', what: `the commit at leaf ${leafIndex} is damaged` };
        const { rows } = readCommit(decodeStoredCommit(stored.payload).commit);
        const letGo = this.#letGo.get(leafIndex) ?? NO_SLOTS;
        const { lists, slabs } = contentsOf(rows, united(await dropped.of(leafIndex), letGo));
        for (const slab of slabs) this.#enterSlab(slab);
        for (const list of lists) this.#enter(list);
        // From here on its pages are open, which says that it is not walked whole.
        next.done += 1;
        this.#walked = leafIndex + 1;
        this.#commits += 1;
        room.left -= 1 + rows.count / ROWS_FOR_PAGE;
        const failed = await this.#walkPages(room);
        if (failed !== undefined) return failed;
        await turn();
      }
    } finally {
      await dropped.close();
    }
    this.#walked = size;
    return undefined;
  }

  /** Whether what was dropped is reached no more: not what was purged under a told epoch. */
  #isGone(run: number): boolean {
    const approval = approvalOfRun(run);
    if (approval === undefined) return true;
    const { purges } = this.#core.registry;
    const { announced } = this.#core.registry.sweep(this.#lineageId);
    return !purges.countsAsThere(approval, announced);
  }

  #enterSlab({ id, plainSizes }: NamedSlab): void {
    this.#leaves.add(id);
    const known = this.#slabs.get(mapKey(id));
    const live = known?.live ?? new Uint8Array(MAX_SLAB_PIECES / 8);
    if (known === undefined) this.#slabs.set(mapKey(id), { id, live });
    for (const [piece, size] of plainSizes.entries()) if (size > 0) setBit(live, piece);
  }

  #enter({ depth, refs }: References): void {
    for (const { id } of refs) {
      if (depth === 0) this.#leaves.add(id);
      else this.#enterPage(id);
    }
  }

  #enterPage(id: ChunkId): void {
    if (this.#pages.has(idName(id))) return;
    this.#pages.add(idName(id));
    this.#open.push(id);
  }

  async #walkPages(room: WalkRoom): Promise<Unreadable | 'unfinished' | undefined> {
    while (this.#open.length > 0) {
      if (room.left <= 0) return 'unfinished';
      const some = this.#open.splice(-Math.min(PAGES_AT_ONCE, Math.ceil(room.left)));
      room.left -= some.length;
      const unread = await this.#readPages(some);
      // Each by itself, from wherever it lies: one may have moved meanwhile, or has rotted.
      for (const id of unread) {
        const page = await this.#core.items.readPage(id);
        if (page === undefined) {
          if (await this.#hasLeft(id)) continue;
          const name = Buffer.from(id).toString('hex').slice(0, 16);
          return { type: 'unreadable', what: `page ${name} cannot be read` };
        }
        this.#enterAll(page);
      }
    }
    return undefined;
  }

  /**
   * Whether a page that is nowhere has left the lineage's set by a record that took it out. Then a
   * version seems to need it because the record that dropped that version has rotted: it is listed
   * again, and goes when retention decides it again. Whoever sends the page again proves it anew,
   * so it counts as walked no more.
   */
  async #hasLeft(id: ChunkId): Promise<boolean> {
    const { catalog, history, items } = this.#core;
    const [owned] = await ownedBy(catalog, this.#lineageId, [id], await items.rows([id]));
    if (owned !== undefined) return false;
    this.#isSetCertain ??= (await rottenOwnership(history)) === undefined;
    if (this.#isSetCertain) this.#pages.delete(idName(id));
    return this.#isSetCertain;
  }

  /** Enters what pages refer to that prove where they lie; answers with the others. */
  async #readPages(ids: readonly ChunkId[]): Promise<Iterable<ChunkId>> {
    const { items, packs } = this.#core;
    const rows = await items.rows(ids);
    const unread = new Map(ids.map((id) => [mapKey(id), id]));
    const placed = ids.flatMap((id, at) => {
      const place = placesToRead(rows[at] ?? nowhere)[0];
      return place === undefined ? [] : [{ id, place }];
    });
    placed.sort((a, b) => comparePlaces(a.place, b.place));
    for await (const run of provedRuns(packs, this.#hasher, placed))
      for (const { id, bytes } of run) {
        if (unread.delete(mapKey(id))) this.#enterAll(bytes);
        releasePart(bytes);
      }
    return unread.values();
  }

  /** Enters what a page refers to. */
  #enterAll(page: Uint8Array): void {
    const { depth, count, first, step } = pageIds(page);
    for (let place = 0; place < count; place += 1) {
      const at = first + place * step;
      if (depth === 0) this.#leaves.add(page, at);
      else this.#enterPage(asChunkId(new Uint8Array(page.subarray(at, at + HASH_BYTES))));
    }
  }

  /** The leaves of all commits of the lineage's agents, rising. */
  async #linked(size: number): Promise<number[]> {
    const { catalog, registry } = this.#core;
    const leaves: number[] = [];
    for (const { agentId, lineageId } of registry.rows()) {
      if (!equalBytes(lineageId, this.#lineageId)) continue;
      for await (const [, value] of catalog.scan(ranges.linksOf(agentId))) {
        const { leafIndex } = read.link(value);
        if (leafIndex < size) leaves.push(leafIndex);
      }
    }
    return leaves.sort((a, b) => a - b);
  }

  /** Those behind what was walked. */
  async #logged(size: number): Promise<number[]> {
    const { catalog, registry } = this.#core;
    const leaves: number[] = [];
    for (let leafIndex = this.#walked; leafIndex < size; leafIndex += 1) {
      const row = await catalog.get(keys.leaf(leafIndex));
      if (row === undefined) continue;
      const { agentId } = decodeLogLeaf(read.leaf(row).bytes);
      const agent = agentId && registry.row(agentId);
      if (agent !== undefined && equalBytes(agent.lineageId, this.#lineageId))
        leaves.push(leafIndex);
    }
    return leaves;
  }
}
