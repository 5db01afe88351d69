import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { kernelsSource } from '../../../scripts/kernels.ts';
import { noise, toHex, trace } from '../../../testing/bytes.ts';
import { findCut } from '../chunker.ts';
import { gearTable } from '../gear.ts';
import { joinSamples, type Samples, splitSamples } from '../samples.ts';
import { Kernels, kernels } from './kernels.ts';

/** Those of this thread, as the loops that look for them find them; and a place in their arena. */
const fast = kernels() ?? impossible();
const arena = fast.take(64 * 1024) ?? impossible();
const other = fast.take(64 * 1024) ?? impossible();

/**
 * Once a large chunk was taken apart and put together, the scratch memory of `samples.ts` lies in
 * the arena, for small ones as well.
 */
function useArena(): void {
  const plain = trace('large', 40_000);
  const filter: Samples = {
    kind: 'samples',
    width: 2,
    nibbles: false,
    phase: 0,
    slowness: 1,
    bigEndian: true,
  };
  splitSamples(plain, arena.subarray(0, plain.length), filter);
  joinSamples(arena.subarray(0, plain.length), plain, filter);
}
useArena();

function impossible(): never {
  throw new Error('this Node has no WebAssembly');
}

/** The same bytes in the arena, wherever they begin there. */
function placed(bytes: Uint8Array, at: number): Uint8Array {
  arena.set(bytes, at);
  return arena.subarray(at, at + bytes.length);
}

const bytes = fc
  .tuple(
    fc.nat().map(String),
    fc.integer({ min: 0, max: 5_000 }),
    fc.constantFrom('noise', 'trace', 'wild'),
  )
  .map(([seed, size, kind]) => {
    if (kind === 'noise') return noise(seed, size);
    if (kind === 'trace') return trace(seed, size);
    // Steps from one end of the range to the other: differences that do not fit 16 bits.
    return noise(seed, size).map((byte, at) =>
      at % 2 === 0 ? byte & 1 : byte < 128 ? 0x7f : 0x80,
    );
  });

describe('the kernels', () => {
  test('are made of the text in shared/scripts/kernels.ts', async () => {
    expect(readFileSync(new URL('./module.ts', import.meta.url), 'utf8')).toBe(
      await kernelsSource(),
    );
  });

  test('P2: find the cuts that TypeScript finds, with the same hash where there is none', () => {
    const tables = ['a vault', 'another'].map((seed) => gearTable(noise(seed, 32)));
    fc.assert(
      fc.property(
        bytes,
        fc.nat(1),
        fc.nat(7),
        fc.nat(40),
        fc.nat(40),
        fc.integer(),
        fc.integer({ min: 1, max: 14 }),
        (plain, which, ...more) => {
          const [at, fromStart, fromEnd, hash, bits] = more;
          const table = tables[which] ?? impossible();
          const from = Math.min(fromStart, plain.length);
          const to = Math.max(from, plain.length - fromEnd);
          const mask = (-1 << (32 - bits)) | 0;
          const expected = findCut(table, plain, from, to, hash, mask);
          const found = findCut(table, placed(plain, at), from, to, hash, mask);
          expect(found.cut).toBe(expected.cut);
          if (expected.cut < 0) expect(found.hash).toBe(expected.hash);
        },
      ),
    );
  });

  test('P2: take samples apart and put them together as TypeScript does', () => {
    fc.assert(
      fc.property(
        bytes,
        fc.nat(7),
        fc.nat(1),
        fc.nat(3),
        fc.boolean(),
        (plain, at, phase, slowness, bigEndian) => {
          const filter: Samples = {
            kind: 'samples',
            width: 2,
            nibbles: false,
            phase,
            slowness,
            bigEndian,
          };
          const expected = new Uint8Array(plain.length);
          splitSamples(plain, expected, filter);
          for (const source of [plain, placed(plain, at)]) {
            const split = other.subarray(0, plain.length);
            splitSamples(source, split, filter);
            expect(toHex(split)).toBe(toHex(expected));
          }
          const joined = new Uint8Array(plain.length);
          joinSamples(placed(expected, at), joined, filter);
          expect(toHex(joined)).toBe(toHex(plain));
          // Whatever bytes there are have the same way back.
          const back = new Uint8Array(plain.length);
          joinSamples(plain, back, filter);
          joinSamples(placed(plain, at), joined, filter);
          expect(toHex(joined)).toBe(toHex(back));
        },
      ),
    );
  });

  test('give memory until there is none left, each piece for itself', () => {
    const small = Kernels.make(3 * 64 * 1024) ?? impossible();
    const first = small.take(64 * 1024) ?? impossible();
    const second = small.take(10) ?? impossible();
    first.fill(1);
    second.fill(2);
    expect(first.every((byte) => byte === 1)).toBe(true);
    expect(small.holds(first) && small.holds(second)).toBe(true);
    expect(fast.holds(first)).toBe(false);
    expect(small.take(64 * 1024)).toBeUndefined();
  });
});
