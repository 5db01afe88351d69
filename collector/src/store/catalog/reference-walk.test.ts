import {
  asChunkId,
  asLineageId,
  type ChunkId,
  type Content,
  decodePage,
  type Entry,
  encodePage,
  type Ref,
} from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NamedSlab } from './named-contents.ts';
import {
  idName,
  type ReferenceSource,
  ReferenceWalk,
  type SlabState,
  type WalkStep,
} from './reference-walk.ts';
import { UnprovedPages } from './unproved-pages.ts';

const idOf = (text: string): ChunkId => asChunkId(new Uint8Array(sha256(Buffer.from(text))));
const chunk = (number: number): Ref => ({
  id: idOf(`chunk ${number}`),
  plainSize: 100 + (number % 7),
  epoch: 1,
});

/** Pages by id, and how many of them lay open at once. */
class Shelf {
  readonly pages = new Map<string, Uint8Array>();
  readonly asked: number[] = [];
  opened = 0;

  /** A reference to a page over `refs`. */
  page(depth: number, refs: readonly Ref[]): Ref {
    const bytes = encodePage({ depth, refs }, new Uint8Array(refs.length * 32 + 16));
    const id = asChunkId(new Uint8Array(sha256(bytes)));
    this.pages.set(idName(id), bytes);
    return { id, plainSize: refs.reduce((sum, { plainSize }) => sum + plainSize, 0), epoch: 1 };
  }

  /** Of a set that has everything but what is missing; `proved` pages are remembered. */
  /** Slabs by name: what they have of their pieces. */
  readonly slabs = new Map<string, SlabState>();

  source(
    missing: ReadonlySet<string> = new Set(),
    proved: ReadonlySet<string> = new Set(),
  ): ReferenceSource {
    return {
      slabs: async (ids) => {
        this.asked.push(ids.length);
        return ids.map((id) => this.slabs.get(idName(id)) ?? 'missing');
      },
      owned: async (ids) => {
        this.asked.push(ids.length);
        return ids.map((id) => {
          if (missing.has(idName(id))) return undefined;
          return proved.has(idName(id)) ? 'referenced' : 'uploaded';
        });
      },
      readPage: async (id) => {
        this.opened += 1;
        return this.pages.get(idName(id));
      },
    };
  }
}

const entryOf = (content: Content): Entry =>
  ({
    content,
    size: content.refs.reduce((sum, { plainSize }) => sum + plainSize, 0),
  }) as unknown as Entry;

const some = fc.array(fc.nat(40), { minLength: 1, maxLength: 12 });
/** A version's content as nested lists of chunk numbers: depth 0, 1 or 2. */
const shape = fc.oneof(
  some,
  fc.array(some, { minLength: 1, maxLength: 5 }),
  fc.array(fc.array(some, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
);
type Shape = number | readonly Shape[];

function contentOf(shelf: Shelf, list: readonly Shape[]): Content {
  const refs: Ref[] = [];
  let depth = 0;
  for (const part of list) {
    if (typeof part === 'number') {
      refs.push(chunk(part));
      continue;
    }
    const below = contentOf(shelf, part);
    depth = below.depth + 1;
    refs.push(shelf.page(below.depth, below.refs));
  }
  return { depth, piece: 0, refs };
}

function chunksIn(list: readonly Shape[]): number[] {
  return list.flatMap((part) => (typeof part === 'number' ? [part] : chunksIn(part)));
}

/** Of chunks that stand below a page. */
function chunksBelow(list: readonly Shape[]): number[] {
  return list.flatMap((part) => (typeof part === 'number' ? [] : chunksIn(part)));
}

const namesOf = (numbers: readonly number[]): string[] =>
  [...new Set(numbers.map((number) => idName(chunk(number).id)))].sort();

function contentsIn(entries: readonly Entry[]): ConstructorParameters<typeof ReferenceWalk>[0] {
  const lists: Content[] = [];
  const slabs = new Map<string, NamedSlab>();
  for (const { content } of entries) {
    const [ref] = content.refs;
    if (content.piece === 0 || ref === undefined) {
      lists.push(content);
      continue;
    }
    const slab = slabs.get(idName(ref.id)) ?? { id: ref.id, plainSizes: new Uint32Array(256) };
    slabs.set(idName(ref.id), slab);
    slab.plainSizes[content.piece - 1] = ref.plainSize;
  }
  return { lists, slabs: [...slabs.values()] };
}

/** A walk to its end; what each step proved is remembered, as the store does. */
async function walked(
  entries: readonly Entry[],
  shelf: Shelf,
  missing: ReadonlySet<string> = new Set(),
  memory = new UnprovedPages().of(asLineageId(new Uint8Array(16))),
  before: ReadonlySet<string> = new Set(),
) {
  const walk = new ReferenceWalk(contentsIn(entries), memory);
  const proved = new Set<string>(before);
  const order: string[] = [];
  const chunks = new Map<string, number>();
  const taken: number[] = [];
  let last: WalkStep = { type: 'more' };
  while (last.type === 'more') {
    last = await walk.step(shelf.source(missing, proved));
    const some = walk.takeProved();
    taken.push(some?.chunks.size ?? 0);
    for (const id of some?.pages ?? []) {
      proved.add(idName(id));
      order.push(idName(id));
    }
    for (const [id, size] of some?.chunks ?? []) chunks.set(id, size);
  }
  return { last, order, chunks: [...chunks.keys()].sort(), taken };
}

const idsOf = (step: WalkStep) =>
  step.type === 'missing' ? step.ids.map(idName).sort() : step.type;

describe('what a commit refers to', () => {
  test('is found whole, however versions share pages and chunks, and each page is opened once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(shape, { maxLength: 8 }), async (shapes) => {
        const shelf = new Shelf();
        const entries = shapes.map((list) => entryOf(contentOf(shelf, list)));
        const { last, order, chunks } = await walked(entries, shelf);
        expect(last).toEqual({ type: 'done' });
        expect(order.toSorted()).toEqual([...shelf.pages.keys()].sort());
        expect(chunks).toEqual(namesOf(shapes.flatMap(chunksBelow)));
        expect(shelf.opened).toBe(shelf.pages.size);
      }),
    );
  });

  test('names exactly what is missing, and proves no page above it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(shape, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(40), { minLength: 1 }),
        async (shapes, lacking) => {
          const shelf = new Shelf();
          const entries = shapes.map((list) => entryOf(contentOf(shelf, list)));
          const missing = new Set(namesOf(lacking));
          const expected = namesOf(shapes.flatMap(chunksIn)).filter((id) => missing.has(id));
          const { last, chunks, order } = await walked(entries, shelf, missing);
          if (expected.length === 0) expect(last).toEqual({ type: 'done' });
          else expect(last.type === 'missing' && last.ids.map(idName).sort()).toEqual(expected);
          expect(chunks.filter((id) => missing.has(id))).toEqual([]);
          for (const id of order) {
            const { content } = decodePage(shelf.pages.get(id) ?? new Uint8Array(0));
            for (const ref of content.refs) {
              if (content.depth === 0) expect(missing).not.toContain(idName(ref.id));
              else expect(order.slice(0, order.indexOf(id))).toContain(idName(ref.id));
            }
          }
        },
      ),
    );
  });

  test('P6 is not opened again while it lacks what it lacked, and proved when that has come, at whatever depth', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(shape, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(40), { minLength: 1 }),
        fc.array(fc.nat(40)),
        async (shapes, lacking, come) => {
          const shelf = new Shelf();
          const entries = shapes.map((list) => entryOf(contentOf(shelf, list)));
          const memory = new UnprovedPages().of(asLineageId(new Uint8Array(16)));
          const missing = new Set(namesOf(lacking));
          const first = await walked(entries, shelf, missing, memory);
          const proved = new Set(first.order);
          const opened = shelf.opened;
          const again = await walked(entries, shelf, missing, memory, proved);
          expect(idsOf(again.last)).toEqual(idsOf(first.last));
          expect(shelf.opened).toBe(opened);
          for (const id of namesOf(come)) missing.delete(id);
          const fresh = await walked(entries, shelf, missing);
          const then = await walked(entries, shelf, missing, memory, proved);
          expect(idsOf(then.last)).toEqual(idsOf(fresh.last));
          for (const id of then.order) proved.add(id);
          const last = await walked(entries, shelf, new Set(), memory, proved);
          expect(last.last).toEqual({ type: 'done' });
          expect([...proved, ...last.order].sort()).toEqual([...shelf.pages.keys()].sort());
        },
      ),
    );
  });

  test('is asked about together for small files, and one page lies open at a time', async () => {
    const shelf = new Shelf();
    const small = Array.from({ length: 3000 }, (_, at) =>
      entryOf({ depth: 0, piece: 0, refs: [chunk(at)] }),
    );
    const large = Array.from({ length: 90 }, (_, at) =>
      entryOf({ depth: 1, piece: 0, refs: [shelf.page(0, [chunk(5000 + at), chunk(6000 + at)])] }),
    );
    const { chunks } = await walked([...small, ...large], shelf);
    expect(chunks).toHaveLength(180);
    expect(shelf.asked.slice(0, 4)).toEqual([1024, 1024, 952, 90]);
    expect(Math.max(...shelf.asked.slice(4))).toBe(2);
  });

  test('P6 is proved in steps, which bound what is held and how long others wait', async () => {
    const shelf = new Shelf();
    const pages = Array.from({ length: 40 }, (_, page) =>
      shelf.page(
        0,
        Array.from({ length: 1024 }, (_, at) => chunk(1024 * page + at)),
      ),
    );
    const huge = entryOf({ depth: 1, piece: 0, refs: pages });
    const { last, chunks, taken, order } = await walked([huge], shelf);
    expect(last).toEqual({ type: 'done' });
    expect(chunks).toHaveLength(40 * 1024);
    expect(order).toHaveLength(40);
    expect(taken.length).toBeGreaterThan(4);
    expect(Math.max(...taken)).toBeLessThanOrEqual(5 * 1024);
    expect(shelf.opened).toBe(40);
  });

  test('is refused when sizes or depths do not fit', async () => {
    const shelf = new Shelf();
    const lying = entryOf({
      depth: 1,
      piece: 0,
      refs: [{ ...shelf.page(0, [chunk(1)]), plainSize: 7 }],
    });
    const fine = entryOf({ depth: 0, piece: 0, refs: [chunk(2)] });
    expect((await walked([fine, lying], shelf)).last).toMatchObject({ type: 'bad' });
    const flat = shelf.page(0, [chunk(1)]);
    const deep = entryOf({ depth: 2, piece: 0, refs: [flat] });
    expect((await walked([deep], shelf)).last).toMatchObject({ type: 'bad' });
  });

  describe('as pieces of slabs', () => {
    const slab = (number: number) => chunk(9000 + number);
    const piece = (number: number, piece: number) =>
      entryOf({ depth: 0, piece, refs: [slab(number)] });
    const shelved = (...states: readonly SlabState[]): Shelf => {
      const shelf = new Shelf();
      for (const [at, state] of states.entries()) shelf.slabs.set(idName(slab(at).id), state);
      return shelf;
    };
    const all = { count: 256, here: undefined };

    test('is found, and each slab is asked about once, however many of its pieces are named', async () => {
      const shelf = shelved(all, { count: 3, here: undefined });
      const entries = Array.from({ length: 256 }, (_, at) => piece(0, at + 1));
      const { last } = await walked([...entries, piece(1, 3), piece(1, 1)], shelf);
      expect(last).toEqual({ type: 'done' });
      expect(shelf.asked).toEqual([2]);
    });

    test('is refused where the slab has no such piece, or the item is no slab', async () => {
      const shelf = shelved({ count: 3, here: undefined }, 'other');
      const last = async (...entries: Entry[]) => (await walked(entries, shelf)).last;
      expect(await last(piece(0, 4))).toMatchObject({
        type: 'bad',
        why: 'piece 4 of a slab of 3 is referred to',
      });
      expect(await last(piece(1, 1))).toMatchObject({
        type: 'bad',
        why: 'something that is no slab is referred to as one',
      });
    });

    test('is missing where the slab is not the agent’s, or the piece is a hole: the slab is asked for', async () => {
      const shelf = shelved({ count: 10, here: Uint8Array.of(0b1111_1101, 0b01) });
      const named = async (...entries: Entry[]) => {
        const { last } = await walked(entries, shelf);
        return last.type === 'missing' ? last.ids.map(idName) : last.type;
      };
      expect(await named(piece(0, 1), piece(0, 3), piece(0, 9))).toBe('done');
      expect(await named(piece(0, 1), piece(0, 2))).toEqual([idName(slab(0).id)]);
      expect(await named(piece(0, 10))).toEqual([idName(slab(0).id)]);
      expect(await named(piece(5, 1), piece(0, 1))).toEqual([idName(slab(5).id)]);
    });

    test('is looked at in steps where it is very much', async () => {
      const shelf = new Shelf();
      const entries = Array.from({ length: 20_000 }, (_, at) => {
        shelf.slabs.set(idName(slab(at).id), all);
        return piece(at, 1);
      });
      const { last, taken } = await walked(entries, shelf);
      expect(last).toEqual({ type: 'done' });
      expect(taken).toHaveLength(5);
      expect(Math.max(...shelf.asked)).toBe(1024);
    });
  });
});
