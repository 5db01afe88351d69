import { asChunkId, type Content, decodePage, type Ref } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipped, noise, toHex } from '../../testing/bytes.ts';
import { testVault } from '../../testing/vault.ts';
import { sha256 } from '../crypto/primitives.ts';
import {
  type BuiltContent,
  buildContent,
  ContentBuilder,
  type KeyedRef,
  openPage,
  type SealedPage,
  walkContent,
} from './pages.ts';

const vault = testVault('ours');
const { vaultId } = vault.keys;
const code = (expected: string) => expect.objectContaining({ code: expected });

function item(index: number | string): KeyedRef {
  const plainSize = 1 + (noise(`size ${index}`, 1)[0] ?? 0);
  return {
    ref: { id: asChunkId(noise(`id ${index}`, 32)), plainSize, epoch: 1 },
    key: noise(`key ${index}`, 32),
  };
}

const all = Array.from({ length: 10_000 }, (_, index) => item(index));

function store(...built: BuiltContent[]): Map<string, Uint8Array> {
  return new Map(built.flatMap(({ pages }) => pages.map((page) => [toHex(page.id), page.sealed])));
}

function fetcher(stored: Map<string, Uint8Array>) {
  return async (ref: Ref): Promise<Uint8Array> => {
    const page = stored.get(toHex(ref.id));
    if (page === undefined) throw new Error('no such page');
    return page;
  };
}

async function walked(
  { content, keys }: Pick<BuiltContent, 'content' | 'keys'>,
  stored: Map<string, Uint8Array>,
) {
  const found: (KeyedRef & { offset: number })[] = [];
  for await (const chunk of walkContent(vaultId, content, keys, fetcher(stored))) found.push(chunk);
  return found;
}

function withOffsets(items: readonly KeyedRef[]) {
  let offset = 0;
  return items.map(({ ref, key }) => {
    const entry = { ref, key, offset };
    offset += ref.plainSize;
    return entry;
  });
}

describe('the pages of a version', () => {
  it.each([0, 1, 31, 32, 33, 64, 65, 1024, 1025, 10_000])(
    'P2: give %i chunks back in order, with keys and offsets',
    async (count) => {
      const items = all.slice(0, count);
      const built = buildContent(vault.keys, items);
      expect(built.content.refs.length).toBeLessThanOrEqual(32);
      expect(built.keys.length).toBe(built.content.refs.length);
      expect(await walked(built, store(built))).toEqual(withOffsets(items));
    },
  );

  it('are none up to 32 chunks, and the references stand in the entry itself', () => {
    const built = buildContent(vault.keys, all.slice(0, 32));
    expect(built.pages).toEqual([]);
    expect(built.content).toEqual({
      depth: 0,
      piece: 0,
      refs: all.slice(0, 32).map(({ ref }) => ref),
    });
  });

  it('nest when they are many themselves', () => {
    expect(buildContent(vault.keys, all.slice(0, 33)).content.depth).toBe(1);
    expect(buildContent(vault.keys, all).content.depth).toBe(2);
  });

  it('hold 64 to 1,024 references, but for the last of a level', () => {
    const { pages } = buildContent(vault.keys, all);
    const counts = pages
      .map((page) => decodePage(page.sealed).content)
      .filter(({ depth }) => depth === 0);
    for (const { refs } of counts.slice(0, -1)) {
      expect(refs.length).toBeGreaterThanOrEqual(64);
      expect(refs.length).toBeLessThanOrEqual(1024);
    }
    expect(counts.length).toBeGreaterThan(10_000 / 500);
    expect(counts.length).toBeLessThan(10_000 / 130);
  });

  it('of the same list are the same pages on every agent', () => {
    expect(buildContent(vault.keys, all)).toEqual(buildContent(testVault('ours').keys, [...all]));
  });

  it('repeat when the content repeats, and are handed over once', async () => {
    const items = Array.from({ length: 5000 }, () => item('the same'));
    const built = buildContent(vault.keys, items);
    expect(built.pages.length).toBeLessThanOrEqual(3);
    expect(await walked(built, store(built))).toEqual(withOffsets(items));
  });

  it('change only at the end when a file grows', () => {
    const known = store(buildContent(vault.keys, all));
    const grown = buildContent(vault.keys, [...all, item('appended 1'), item('appended 2')]);
    expect(grown.pages.filter((page) => !known.has(toHex(page.id))).length).toBeLessThanOrEqual(3);
  });

  it('change little when chunks are inserted, removed or replaced in the middle', () => {
    const known = store(buildContent(vault.keys, all));
    fc.assert(
      fc.property(fc.nat(all.length), fc.nat(5), fc.nat(5), fc.string(), (at, cut, add, seed) => {
        const added = Array.from({ length: add }, (_, index) => item(`${seed} ${index}`));
        const changed = buildContent(vault.keys, [
          ...all.slice(0, at),
          ...added,
          ...all.slice(at + cut),
        ]);
        // Of about 40 pages: those around the change, until the cuts meet again, and the ones above
        // them.
        expect(
          changed.pages.filter((page) => !known.has(toHex(page.id))).length,
        ).toBeLessThanOrEqual(14);
      }),
      { verbose: true, numRuns: 30 },
    );
  });

  it('P3: show ids and sizes, but no key', () => {
    const { pages } = buildContent(vault.keys, all.slice(0, 200));
    for (const page of pages)
      for (const { key } of all.slice(0, 200))
        expect(Buffer.from(page.sealed).includes(Buffer.from(key))).toBe(false);
  });

  it('of another vault have other ids and keys', () => {
    const ours = buildContent(vault.keys, all.slice(0, 100));
    const theirs = buildContent(testVault('theirs').keys, all.slice(0, 100));
    expect(theirs.content.refs[0]?.id).not.toEqual(ours.content.refs[0]?.id);
    expect(theirs.keys[0]).not.toEqual(ours.keys[0]);
  });
});

describe('a page that was touched', () => {
  const built = buildContent(vault.keys, all.slice(0, 40));
  const [page] = built.pages;
  const [ref] = built.content.refs;
  if (page === undefined || ref === undefined) throw new Error('40 chunks make one page');

  it('opens untouched', () => {
    expect(openPage(vaultId, ref, page.key, page.sealed).content).toEqual({
      depth: 0,
      refs: all.slice(0, 40).map((entry) => entry.ref),
    });
  });

  it('is refused with any byte changed, and under an id to match too', () => {
    for (let at = 0; at < page.sealed.length; at += 7) {
      const sealed = flipped(page.sealed, at, at % 8);
      expect(() => openPage(vaultId, ref, page.key, sealed)).toThrow(code('SEAL_ID_MISMATCH'));
      expect(() =>
        openPage(vaultId, { ...ref, id: asChunkId(sha256(sealed)) }, page.key, sealed),
      ).toThrow();
    }
  });

  it('is refused with another key, in another vault, or for another size', () => {
    expect(() => openPage(vaultId, ref, flipped(page.key, 0), page.sealed)).toThrow(
      code('SEAL_AUTHENTICATION'),
    );
    expect(() => openPage(testVault('theirs').keys.vaultId, ref, page.key, page.sealed)).toThrow(
      code('SEAL_AUTHENTICATION'),
    );
    expect(() =>
      openPage(vaultId, { ...ref, plainSize: ref.plainSize + 1 }, page.key, page.sealed),
    ).toThrow(code('SEAL_SIZE_MISMATCH'));
  });

  it('is refused at another depth than the content says, so that a walk always ends', async () => {
    const wrong: Content = { ...built.content, depth: 2 };
    await expect(walked({ content: wrong, keys: built.keys }, store(built))).rejects.toEqual(
      code('SEAL_PAGE_DEPTH'),
    );
  });

  it('is not looked for when there are too few or too many keys', async () => {
    await expect(walked({ content: built.content, keys: [] }, store(built))).rejects.toEqual(
      code('SEAL_KEY_COUNT'),
    );
  });

  it('passes on why a page could not be fetched', async () => {
    await expect(walked(built, new Map())).rejects.toThrow('no such page');
  });
});

describe('a content that grows', () => {
  it('P2: left and taken up again at any chunks gives what it gives in one go', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1500 }), { maxLength: 5 }), (lengths) => {
        let builder = new ContentBuilder(vault.keys);
        const pages: SealedPage[] = [];
        let count = 0;
        for (const length of lengths) {
          builder = new ContentBuilder(vault.keys, builder.open);
          for (const end = count + length; count < end; count += 1)
            pages.push(...builder.push(all[count] as KeyedRef));
          const grown = builder.finish();
          const whole = buildContent(vault.keys, all.slice(0, count));
          expect(grown.content).toEqual(whole.content);
          expect(grown.keys).toEqual(whole.keys);
          const stored = new Set([...pages, ...grown.pages].map(({ id }) => toHex(id)));
          expect(whole.pages.filter(({ id }) => !stored.has(toHex(id)))).toEqual([]);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('holds one open page a level, and seals only the last pages anew', () => {
    const builder = new ContentBuilder(vault.keys);
    for (const one of all) builder.push(one);
    expect(builder.open.flat().length).toBeLessThan(2 * 1024);
    expect(builder.finish().pages.length).toBeLessThanOrEqual(2);
  });
});
