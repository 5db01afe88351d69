import { type ChunkId, decodePage, FormatError, type References } from '@aliquot/proto';
import { MAX_MISSING, MAX_PAGES } from '../../limits.ts';
import type { PiecesHeld } from '../packs/slab-pieces.ts';
import type { Owned } from './catalog-rows.ts';
import { hasPiece } from './item-row.ts';
import type { NamedContents, NamedSlab } from './named-contents.ts';

type Ref = References['refs'][number];

/** What a walk asks of the store. */
export interface ReferenceSource {
  /**
   * For each id: whether it is in the lineage's set, and whether what is below it was proved
   * before.
   */
  owned(ids: readonly ChunkId[]): Promise<(Owned | undefined)[]>;
  /** What the lineage's slabs have of their pieces. */
  slabs(ids: readonly ChunkId[]): Promise<SlabState[]>;
  /** Bytes of a page, or `undefined` when they are damaged. */
  readPage(id: ChunkId): Promise<Uint8Array | undefined>;
}

/** `other`: the lineage has that item, and it is no slab. */
export type SlabState = PiecesHeld | 'missing' | 'other';

/** Pages of which everything below is in the lineage's set, and what they say of their chunks. */
export interface ProvedPages {
  /** Those below before those above. */
  readonly pages: readonly ChunkId[];
  /** Plaintext bytes of the chunks, by id in latin1. */
  readonly chunks: ReadonlyMap<string, number>;
}

export type WalkStep =
  | { readonly type: 'done' }
  /** The budget is spent: what was proved is to be recorded, then the walk goes on. */
  | { readonly type: 'more' }
  | { readonly type: 'missing'; readonly ids: readonly ChunkId[] }
  | { readonly type: 'bad'; readonly why: string };

/** References asked about in one go: bounds memory whatever a commit holds. */
const REFS_AT_ONCE = 1024;
/**
 * References of one step: some ten milliseconds, in which no other agent is served, and the memory for
 * what it proves.
 */
const STEP_REFS = 4096;
/** What opening a page weighs beside looking up a reference. */
const PAGE_REFS = 16;

export const idName = (id: Uint8Array): string =>
  Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1');

/** References on one level that are being looked at: a page's, or those that entries name. */
interface Level {
  /** `undefined`: the entries'. */
  readonly page: ChunkId | undefined;
  /** Of what the references name: 0 for chunks. */
  readonly depth: number;
  readonly refs: readonly Ref[];
  /** The next one. */
  at: number;
  /** What the set says of the references from `asked` on. */
  states: readonly (Owned | undefined)[];
  asked: number;
  /** Whether nothing was missing so far. */
  whole: boolean;
  readonly chunks: Map<string, number>;
}

/**
 * Proves that everything a commit's entries refer to, down to the chunks and the pieces of slabs, is
 * in the lineage's set. A piece that is a hole counts as missing: its slab has to be sent whole.
 *
 * A page that was proved once is not opened again, by this commit or by any later one, so an
 * unchanged terabyte costs nothing. The walk is cut in steps: what a step has proved stays so
 * whatever becomes of the commit, and is recorded before the next. So memory and the time that
 * others wait depend on the step, not on the file: four levels of one page each lie open. A page
 * that is met twice is opened once, so pages that name each other a thousandfold cost no more than
 * they weigh.
 */
export class ReferenceWalk {
  readonly #slabs: readonly NamedSlab[];
  #slabsSeen = 0;
  readonly #stack: Level[];
  readonly #missing = new Map<string, ChunkId>();
  /** Pages of this walk by name: whether all below them is there. */
  readonly #met = new Map<string, boolean>();
  #pages: ChunkId[] = [];
  #chunks = new Map<string, number>();
  /** Whether a step has ended early: what it saw may have changed since. */
  paused = false;

  constructor({ slabs, lists }: Pick<NamedContents, 'slabs' | 'lists'>) {
    const byDepth = new Map<number, Ref[]>();
    for (const { depth, refs } of lists) {
      const known = byDepth.get(depth) ?? [];
      for (const ref of refs) known.push(ref);
      byDepth.set(depth, known);
    }
    this.#slabs = slabs;
    // Chunks first: they are looked up together.
    this.#stack = [...byDepth]
      .sort(([a], [b]) => b - a)
      .map(([depth, refs]) => levelOf(undefined, depth, refs));
  }

  /** Goes on until everything was looked at, or the step's budget is spent. */
  async step(source: ReferenceSource): Promise<WalkStep> {
    let spent = 0;
    while (this.#slabsSeen < this.#slabs.length && this.#missing.size < MAX_MISSING) {
      if (spent >= STEP_REFS) {
        this.paused = true;
        return { type: 'more' };
      }
      const some = this.#slabs.slice(this.#slabsSeen, this.#slabsSeen + REFS_AT_ONCE);
      this.#slabsSeen += some.length;
      const why = await this.#takeSlabs(some, source);
      if (why !== undefined) return { type: 'bad', why };
      spent += some.length;
    }
    for (let level = this.#stack.at(-1); level !== undefined; level = this.#stack.at(-1)) {
      if (this.#missing.size >= MAX_MISSING || this.#met.size >= 2 * MAX_PAGES) break;
      if (spent >= STEP_REFS) {
        this.paused = true;
        return { type: 'more' };
      }
      if (level.at === level.refs.length) {
        this.#leave(level);
        continue;
      }
      if (level.at === level.asked + level.states.length) {
        await this.#ask(level, source);
        spent += level.states.length;
      }
      if (level.depth === 0) this.#takeChunks(level);
      else {
        const opened = await this.#takePage(level, source);
        if (opened === 'opened') spent += PAGE_REFS;
        else if (opened !== undefined) return { type: 'bad', why: opened };
      }
    }
    if (this.#missing.size === 0) return { type: 'done' };
    return { type: 'missing', ids: [...this.#missing.values()].slice(0, MAX_MISSING) };
  }

  /** What was proved since the last call, for the history. */
  takeProved(): ProvedPages | undefined {
    if (this.#pages.length === 0) return undefined;
    const proved = { pages: this.#pages, chunks: this.#chunks };
    this.#pages = [];
    this.#chunks = new Map();
    // From here on the set itself says so. Without anything missing, nothing else is remembered.
    if (this.#met.size >= MAX_PAGES && this.#missing.size === 0) {
      this.#met.clear();
      for (const level of this.#stack) forget(level);
    }
    return proved;
  }

  async #ask(level: Level, source: ReferenceSource): Promise<void> {
    const refs = level.refs.slice(level.at, level.at + REFS_AT_ONCE);
    const ids = new Map(refs.map(({ id }) => [idName(id), id]));
    const owned = await source.owned([...ids.values()]);
    const states = new Map([...ids.keys()].map((name, index) => [name, owned[index]]));
    level.states = refs.map(({ id }) => states.get(idName(id)));
    level.asked = level.at;
  }

  /** Looks at slabs; what is wrong with them, if anything is. */
  async #takeSlabs(
    slabs: readonly NamedSlab[],
    source: ReferenceSource,
  ): Promise<string | undefined> {
    const states = await source.slabs(slabs.map(({ id }) => id));
    for (const [index, { id, plainSizes }] of slabs.entries()) {
      const state = states[index];
      if (state === 'other') return 'something that is no slab is referred to as one';
      if (state === undefined || state === 'missing') {
        this.#missing.set(idName(id), id);
        continue;
      }
      for (let piece = 1; piece <= plainSizes.length; piece += 1) {
        if (plainSizes[piece - 1] === 0) continue;
        if (piece > state.count) return `piece ${piece} of a slab of ${state.count} is referred to`;
        if (!hasPiece(state, piece)) this.#missing.set(idName(id), id);
      }
    }
    return undefined;
  }

  #takeChunks(level: Level): void {
    for (const state of level.states) {
      const ref = level.refs[level.at];
      level.at += 1;
      if (ref === undefined) break;
      if (state === undefined) this.#miss(level, ref.id);
      else if (level.page !== undefined) level.chunks.set(idName(ref.id), ref.plainSize);
    }
  }

  /** Looks at the next page of a level; what is wrong with it, if anything is. */
  async #takePage(level: Level, source: ReferenceSource): Promise<string | undefined> {
    const ref = level.refs[level.at];
    const state = level.states[level.at - level.asked];
    level.at += 1;
    if (ref === undefined || state === 'referenced') return undefined;
    const name = idName(ref.id);
    const met = this.#met.get(name);
    if (met !== undefined) {
      level.whole &&= met;
      return undefined;
    }
    const bytes = state === undefined ? undefined : await source.readPage(ref.id);
    if (bytes === undefined) {
      this.#miss(level, ref.id);
      return undefined;
    }
    const content = contentOf(bytes);
    if (content === undefined) return 'something that is no page is referred to as one';
    if (content.depth !== level.depth - 1)
      return `a page of depth ${content.depth} stands where ${level.depth - 1} belongs`;
    const why = misfit(content, ref.plainSize);
    if (why !== undefined) return why;
    this.#stack.push(levelOf(ref.id, content.depth, content.refs));
    return 'opened';
  }

  #leave(level: Level): void {
    this.#stack.pop();
    if (level.page === undefined) return;
    this.#met.set(idName(level.page), level.whole);
    const above = this.#stack.at(-1);
    if (above !== undefined) above.whole &&= level.whole;
    if (!level.whole) return;
    this.#pages.push(level.page);
    for (const [name, size] of level.chunks) this.#chunks.set(name, size);
  }

  #miss(level: Level, id: ChunkId): void {
    level.whole = false;
    this.#missing.set(idName(id), id);
  }
}

function levelOf(page: ChunkId | undefined, depth: number, refs: readonly Ref[]): Level {
  const none = { at: 0, asked: 0, states: [], chunks: new Map() };
  return { page, depth, refs, whole: true, ...none };
}

function forget(level: Level): void {
  level.states = [];
  level.asked = level.at;
}

function contentOf(page: Uint8Array): References | undefined {
  try {
    return decodePage(page).content;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function misfit(content: References, size: number): string | undefined {
  const sum = content.refs.reduce((total, ref) => total + ref.plainSize, 0);
  return sum === size ? undefined : `an entry or page of ${size} bytes refers to ${sum}`;
}
