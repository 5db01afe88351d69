import {
  asChunkId,
  type ChunkId,
  type Content,
  decodePage,
  type Entry,
  FormatError,
  type Page,
} from '@aliquot/proto';
import type { Owned } from './catalog-rows.ts';

/**
 * What a commit's entries refer to, pages walked. Keys are ids in latin1; the values plaintext
 * sizes as referenced.
 */
export interface CommitFacts {
  readonly chunks: ReadonlyMap<string, number>;
  readonly pages: ReadonlyMap<string, number>;
}

export type Gathered =
  | { readonly type: 'facts'; readonly facts: CommitFacts }
  | { readonly type: 'missing'; readonly ids: readonly ChunkId[] }
  | { readonly type: 'bad'; readonly why: string };

export interface FactSource {
  /**
   * For each id: whether it is in the lineage's set, and whether what is below it was proved
   * before.
   */
  owned(ids: readonly ChunkId[]): Promise<(Owned | undefined)[]>;
  /** Bytes of a page, or `undefined` when they are damaged. */
  readPage(id: ChunkId): Promise<Uint8Array | undefined>;
}

/** Ids named as missing at once: the agent's next upload needs no longer list. */
const MAX_MISSING = 4096;
/** Refs asked about in one go: bounds memory whatever a page holds. */
const STEP = 1024;
/** The same for refs to pages, each of which is opened: bounds how many lie open. */
const PAGES_STEP = 32;

const text = (id: Uint8Array): string =>
  Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1');

/**
 * Walks everything that a commit's entries refer to, down to the chunks, and proves that all of it
 * is in the lineage's set. A page that an accepted commit of the lineage already referred to is not
 * walked again, so an unchanged terabyte costs nothing; and a page met twice is walked once, so
 * pages that name each other a thousandfold cost no more than they weigh. `lenient` (replaying what
 * was accepted) takes every id as present.
 */
export async function gatherFacts(
  entries: readonly Entry[],
  source: FactSource,
  mode: 'strict' | 'lenient',
): Promise<Gathered> {
  const walk = new Walk(source, mode === 'lenient');
  for (const entry of entries) {
    const bad = walk.checkSize(entry.content, entry.size);
    if (bad !== undefined) return { type: 'bad', why: bad };
  }
  const bad = await walk.run(entries.map((entry) => entry.content));
  if (bad !== undefined) return { type: 'bad', why: bad };
  if (walk.missing.length > 0) return { type: 'missing', ids: walk.missing.slice(0, MAX_MISSING) };
  return { type: 'facts', facts: { chunks: walk.chunks, pages: walk.pages } };
}

class Walk {
  readonly chunks = new Map<string, number>();
  readonly pages = new Map<string, number>();
  readonly missing: ChunkId[] = [];
  readonly #missed = new Set<string>();
  readonly #source: FactSource;
  readonly #lenient: boolean;

  constructor(source: FactSource, lenient: boolean) {
    this.#source = source;
    this.#lenient = lenient;
  }

  checkSize(content: Content, size: number): string | undefined {
    const sum = content.refs.reduce((total, ref) => total + ref.plainSize, 0);
    if (sum === size || this.#lenient) return undefined;
    return `an entry or page of ${size} bytes refers to ${sum}`;
  }

  /**
   * Returns what is wrong with the contents, if anything is. Depth first; the refs of many small
   * contents are looked up together.
   */
  async run(roots: readonly Content[]): Promise<string | undefined> {
    const stack: Content[] = roots.toReversed();
    while (stack.length > 0 && this.missing.length < MAX_MISSING) {
      const bad = await this.#step(nextRefs(stack), stack);
      if (bad !== undefined) return bad;
    }
    return undefined;
  }

  async #step({ depth, refs }: Content, stack: Content[]): Promise<string | undefined> {
    const met = depth === 0 ? this.chunks : this.pages;
    const fresh = new Map<string, number>();
    for (const ref of refs) {
      const name = text(ref.id);
      const before = met.get(name) ?? fresh.get(name);
      if (before === undefined && !this.#missed.has(name)) fresh.set(name, ref.plainSize);
    }
    const ids = [...fresh.keys()].map((name) =>
      asChunkId(new Uint8Array(Buffer.from(name, 'latin1'))),
    );
    const owned = ids.length === 0 ? [] : await this.#source.owned(ids);
    for (const [index, id] of ids.entries()) {
      const has = owned[index] ?? (this.#lenient ? 'uploaded' : undefined);
      const plainSize = fresh.get(text(id)) ?? 0;
      if (has === undefined) this.#miss(id);
      else if (depth === 0) this.chunks.set(text(id), plainSize);
      else {
        this.pages.set(text(id), plainSize);
        const bad =
          has === 'referenced' ? undefined : await this.#open(id, depth, plainSize, stack);
        if (bad !== undefined) return bad;
      }
    }
    return undefined;
  }

  async #open(
    id: ChunkId,
    depth: number,
    plainSize: number,
    stack: Content[],
  ): Promise<string | undefined> {
    const bytes = await this.#source.readPage(id);
    if (bytes === undefined) {
      this.pages.delete(text(id));
      if (!this.#lenient) this.#miss(id);
      return undefined;
    }
    let page: Page;
    try {
      page = decodePage(bytes);
    } catch (error) {
      if (error instanceof FormatError)
        return this.#lenient ? undefined : 'something that is no page is referred to as one';
      throw error;
    }
    if (page.content.depth !== depth - 1 && !this.#lenient)
      return `a page of depth ${page.content.depth} stands where ${depth - 1} belongs`;
    stack.push(page.content);
    return this.checkSize(page.content, plainSize);
  }

  #miss(id: ChunkId): void {
    this.#missed.add(text(id));
    this.missing.push(id);
  }
}

/**
 * Takes the next refs of one depth off the stack: those of as many contents as fit into one step,
 * or a part of a large one.
 */
function nextRefs(stack: Content[]): Content {
  const depth = stack.at(-1)?.depth ?? 0;
  const most = depth === 0 ? STEP : PAGES_STEP;
  const refs: Content['refs'][number][] = [];
  for (let top = stack.at(-1); top !== undefined && top.depth === depth; top = stack.at(-1)) {
    const room = most - refs.length;
    if (room === 0) break;
    stack.pop();
    refs.push(...top.refs.slice(0, room));
    if (top.refs.length > room) stack.push({ depth, refs: top.refs.slice(room) });
  }
  return { depth, refs };
}
