import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageContent } from '../../testing/arbitraries.ts';
import { flipped, refusalOf } from '../../testing/damage.ts';
import {
  decodePage,
  encodePage,
  encodePageClear,
  MAX_PAGE_BYTES,
  MAX_PAGE_REFS,
  pageIds,
} from '../index.ts';

const keysFor = (count: number) => new Uint8Array(count * 32 + 16).fill(7);

describe('a page', () => {
  it('comes back with its references, its sealed keys and the bytes that their seal covers', () => {
    fc.assert(
      fc.property(pageContent, (content) => {
        const keys = keysFor(content.refs.length);
        const page = decodePage(encodePage(content, keys));
        expect(page).toEqual({ content, sealedKeys: keys, clear: encodePageClear(content) });
      }),
    );
  });

  it('has one encoding: damaged bytes that decode are another page of exactly those bytes', () => {
    fc.assert(
      fc.property(pageContent, fc.nat(), (content, bit) => {
        const damaged = flipped(encodePage(content, keysFor(content.refs.length)), bit);
        if (refusalOf(() => decodePage(damaged)) === undefined) {
          const page = decodePage(damaged);
          expect(encodePage(page.content, page.sealedKeys)).toEqual(damaged);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('of the most references stays below the limit of a page', () => {
    fc.assert(
      fc.property(pageContent, (content) => {
        const [ref] = content.refs;
        if (ref === undefined) return;
        const refs = Array.from({ length: MAX_PAGE_REFS }, () => ({ ...ref, plainSize: 1 }));
        expect(encodePage({ depth: 0, refs }, keysFor(MAX_PAGE_REFS)).length).toBeLessThan(
          MAX_PAGE_BYTES,
        );
      }),
      { numRuns: 3 },
    );
  });

  it('refuses sealed keys of another length, every prefix, and anything behind it', () => {
    const [content] = fc.sample(pageContent, { numRuns: 1, seed: 3 });
    if (content === undefined) throw new Error('no sample');
    const page = encodePage(content, keysFor(content.refs.length));
    expect(refusalOf(() => encodePage(content, keysFor(content.refs.length + 1)))).toBe(
      'FORMAT_MALFORMED',
    );
    for (const read of [decodePage, pageIds]) {
      for (let length = 0; length < page.length; length++)
        expect(refusalOf(() => read(page.subarray(0, length)))).toBe('FORMAT_MALFORMED');
      expect(refusalOf(() => read(Uint8Array.from([...page, 0])))).toBe('FORMAT_MALFORMED');
    }
  });

  it('shows its depth and ids where they stand, without taking it apart', () => {
    fc.assert(
      fc.property(pageContent, (content) => {
        const page = encodePage(content, keysFor(content.refs.length));
        const { depth, count, first, step } = pageIds(page);
        const ids = Array.from({ length: count }, (_, place) =>
          page.subarray(first + place * step, first + place * step + 32),
        );
        expect({ depth, ids }).toEqual({
          depth: content.depth,
          ids: content.refs.map(({ id }) => id),
        });
      }),
    );
  });

  it('refuses random bytes with a FormatError only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const whole = refusalOf(() => decodePage(bytes));
        const ids = refusalOf(() => pageIds(bytes));
        // Sizes and epochs are not looked at.
        if (whole === undefined) expect(ids).toBeUndefined();
      }),
    );
  });
});
