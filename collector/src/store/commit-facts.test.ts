import {
  asChunkId,
  type ChunkId,
  type Content,
  type Entry,
  encodePage,
  type Ref,
} from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FactSource, type Gathered, gatherFacts } from './commit-facts.ts';

const name = (id: Uint8Array): string => Buffer.from(id).toString('latin1');
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
    this.pages.set(name(id), bytes);
    return { id, plainSize: refs.reduce((sum, { plainSize }) => sum + plainSize, 0), epoch: 1 };
  }

  source(missing: ReadonlySet<string> = new Set()): FactSource {
    return {
      owned: async (ids) => {
        this.asked.push(ids.length);
        return ids.map((id) => (missing.has(name(id)) ? undefined : 'uploaded'));
      },
      readPage: async (id) => {
        this.opened += 1;
        return this.pages.get(name(id));
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
  return { depth, refs };
}

function chunksIn(list: readonly Shape[]): number[] {
  return list.flatMap((part) => (typeof part === 'number' ? [part] : chunksIn(part)));
}

function factsOf(gathered: Gathered): { chunks: string[]; pages: string[] } {
  if (gathered.type !== 'facts') throw new Error(`gathered ${gathered.type}`);
  return {
    chunks: [...gathered.facts.chunks.keys()].sort(),
    pages: [...gathered.facts.pages.keys()].sort(),
  };
}

describe('what a commit refers to', () => {
  test('is found whole, however versions share pages and chunks, and each page is opened once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(shape, { maxLength: 8 }), async (shapes) => {
        const shelf = new Shelf();
        const entries = shapes.map((list) => entryOf(contentOf(shelf, list)));
        const chunks = new Set(
          shapes.flatMap((list) => chunksIn(list)).map((number) => name(chunk(number).id)),
        );
        const gathered = factsOf(await gatherFacts(entries, shelf.source(), 'strict'));
        expect(gathered).toEqual({
          chunks: [...chunks].sort(),
          pages: [...shelf.pages.keys()].sort(),
        });
        expect(shelf.opened).toBe(shelf.pages.size);
      }),
    );
  });

  test('names exactly what is missing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(shape, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(40), { minLength: 1 }),
        async (shapes, lacking) => {
          const shelf = new Shelf();
          const entries = shapes.map((list) => entryOf(contentOf(shelf, list)));
          const missing = new Set(lacking.map((number) => name(chunk(number).id)));
          const named = new Set(
            shapes.flatMap((list) => chunksIn(list)).map((number) => name(chunk(number).id)),
          );
          const gathered = await gatherFacts(entries, shelf.source(missing), 'strict');
          const expected = [...missing].filter((id) => named.has(id)).sort();
          if (expected.length === 0) expect(gathered.type).toBe('facts');
          else
            expect(gathered.type === 'missing' && gathered.ids.map(name).sort()).toEqual(expected);
        },
      ),
    );
  });

  test('is asked about together for small files, and opened by few pages at a time', async () => {
    const shelf = new Shelf();
    const small = Array.from({ length: 3000 }, (_, at) => entryOf({ depth: 0, refs: [chunk(at)] }));
    const large = Array.from({ length: 90 }, (_, at) =>
      entryOf({ depth: 1, refs: [shelf.page(0, [chunk(5000 + at), chunk(6000 + at)])] }),
    );
    const gathered = factsOf(await gatherFacts([...small, ...large], shelf.source(), 'strict'));
    expect(gathered.chunks).toHaveLength(3000 + 180);
    expect(shelf.asked.slice(0, 3)).toEqual([1024, 1024, 952]);
    expect(Math.max(...shelf.asked.slice(3))).toBeLessThanOrEqual(64);
  });

  test('is refused when sizes or depths do not fit', async () => {
    const shelf = new Shelf();
    const lying = entryOf({ depth: 1, refs: [{ ...shelf.page(0, [chunk(1)]), plainSize: 7 }] });
    expect(
      await gatherFacts([entryOf({ depth: 0, refs: [chunk(2)] }), lying], shelf.source(), 'strict'),
    ).toMatchObject({ type: 'bad' });
    const flat = shelf.page(0, [chunk(1)]);
    const deep = entryOf({ depth: 2, refs: [flat] });
    expect(await gatherFacts([deep], shelf.source(), 'strict')).toMatchObject({ type: 'bad' });
  });
});
