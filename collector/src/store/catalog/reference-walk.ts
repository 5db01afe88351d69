import { type ChunkId, decodePage, FormatError, type References } from '@aliquot/proto';
import type { Owned } from '../../collection/one-set.ts';
import { MAX_MISSING, MAX_PAGES } from '../../limits.ts';
import type { PiecesHeld } from '../packs/slab-pieces.ts';
import { hasPiece } from './item-row.ts';
import type { NamedContents, NamedSlab } from './named-contents.ts';
import type { PageMemory } from './unproved-pages.ts';

type Ref = Pick<References['refs'][number], 'id' | 'plainSize'>;

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
 * References of one step: some ten milliseconds, in which no other agent is served, and the memory
 * for what it proves.
 */
const STEP_REFS = 4096;
/** What opening a page weighs beside looking up a reference. */
const PAGE_REFS = 16;

export const idName = (id: Uint8Array): string =>
  Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1');

/** References on one level that are being looked at: a page's, or those that entries name. */
interface Level {
  /** `undefined`: the entries'. */
  readonly page: Ref | undefined;
  /** Only those references of the page of which something was missing before. */
  readonly isPart: boolean;
  /** Of what the references name: 0 for chunks. */
  readonly depth: number;
  readonly refs: readonly Ref[];
  /** The next one. */
  at: number;
  /** What the set says of the references from `asked` on. */
  states: readonly (Owned | undefined)[];
  asked: number;
  /** References below which something is missing. */
  readonly lacking: Ref[];
  readonly chunks: Map<string, number>;
}

/**
 * Proves that everything a commit's entries refer to, down to the chunks and the pieces of slabs,
 * is in the lineage's set. A piece that is a hole counts as missing: its slab has to be sent whole.
 *
 * A page that was proved once is not opened again, by this commit or by any later one, so an
 * unchanged terabyte costs nothing. The walk is cut in steps: what a step has proved stays so
 * whatever becomes of the commit, and is recorded before the next. So memory and the time that
 * others wait depend on the step, not on the file: four levels of one page each lie open. A page
 * that is met twice is opened once, so pages that name each other a thousandfold cost no more than
 * they weigh. A page that lacked something when an earlier commit was judged is opened again only
 * when that has come.
 */
export class ReferenceWalk {
  readonly #slabs: readonly NamedSlab[];
  #slabsSeen = 0;
  readonly #stack: Level[];
  readonly #missing = new Map<string, ChunkId>();
  /** Pages of this walk by name: whether all below them is there. */
  readonly #met = new Map<string, boolean>();
  readonly #memory: PageMemory;
  #pages: ChunkId[] = [];
  #chunks = new Map<string, number>();

  constructor({ slabs, lists }: Pick<NamedContents, 'slabs' | 'lists'>, memory: PageMemory) {
    this.#memory = memory;
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
      .map(([depth, refs]) => levelOf(undefined, depth, refs, false));
  }

  /** Goes on until everything was looked at, or the step's budget is spent. */
  async step(source: ReferenceSource): Promise<WalkStep> {
    let spent = 0;
    while (this.#slabsSeen < this.#slabs.length && this.#missing.size < MAX_MISSING) {
      if (spent >= STEP_REFS) return { type: 'more' };
      const some = this.#slabs.slice(this.#slabsSeen, this.#slabsSeen + REFS_AT_ONCE);
      this.#slabsSeen += some.length;
      const why = await this.#takeSlabs(some, source);
      if (why !== undefined) return { type: 'bad', why };
      spent += some.length;
    }
    for (let level = this.#stack.at(-1); level !== undefined; level = this.#stack.at(-1)) {
      if (this.#missing.size >= MAX_MISSING || this.#met.size >= 2 * MAX_PAGES) break;
      if (spent >= STEP_REFS) return { type: 'more' };
      if (level.at === level.refs.length) {
        const why = await this.#leave(level, source);
        if (why !== undefined) return { type: 'bad', why };
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
    const ids = new Map(
      refs.map(({ id }) => [idName(id), id] as const).filter(([name]) => !this.#missing.has(name)),
    );
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
      if (state === undefined) this.#miss(level, ref);
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
      if (!met) level.lacking.push(ref);
      return undefined;
    }
    if (state === undefined) {
      this.#miss(level, ref);
      return undefined;
    }
    const known = this.#memory.get(name);
    if (known === undefined || known.depth !== level.depth - 1 || known.size !== ref.plainSize)
      return this.#open(ref, level, source);
    this.#stack.push(levelOf(ref, known.depth, known.lacking, true));
    return 'opened';
  }

  async #open(ref: Ref, above: Level, source: ReferenceSource): Promise<string | undefined> {
    const bytes = await source.readPage(ref.id);
    if (bytes === undefined) {
      this.#miss(above, ref);
      return undefined;
    }
    const content = contentOf(bytes);
    if (content === undefined) return 'something that is no page is referred to as one';
    if (content.depth !== above.depth - 1)
      return `a page of depth ${content.depth} stands where ${above.depth - 1} belongs`;
    const why = misfit(content, ref.plainSize);
    if (why !== undefined) return why;
    this.#stack.push(levelOf(ref, content.depth, content.refs, false));
    return 'opened';
  }

  /** Goes back to the level above; what is wrong with the page, if it is opened now. */
  async #leave(level: Level, source: ReferenceSource): Promise<string | undefined> {
    this.#stack.pop();
    const { page, depth, lacking } = level;
    const above = this.#stack.at(-1);
    if (page === undefined || above === undefined) return undefined;
    const name = idName(page.id);
    const isWhole = lacking.length === 0;
    if (isWhole) this.#memory.delete(name);
    // What it lacked has come: now the page itself has to prove it.
    if (isWhole && level.isPart) {
      const opened = await this.#open(page, above, source);
      return opened === 'opened' ? undefined : opened;
    }
    this.#met.set(name, isWhole);
    if (!isWhole) {
      above.lacking.push(page);
      this.#memory.set(name, { depth, size: page.plainSize, lacking });
      return undefined;
    }
    this.#pages.push(page.id);
    for (const [chunk, size] of level.chunks) this.#chunks.set(chunk, size);
    return undefined;
  }

  #miss(level: Level, ref: Ref): void {
    level.lacking.push(ref);
    this.#missing.set(idName(ref.id), ref.id);
  }
}

function levelOf(
  page: Ref | undefined,
  depth: number,
  refs: readonly Ref[],
  isPart: boolean,
): Level {
  const none = { at: 0, asked: 0, states: [], chunks: new Map(), lacking: [] };
  return { page, depth, refs, isPart, ...none };
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
