import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noise, toHex, trace } from '../../testing/bytes.ts';
import {
  applyFilter,
  type Filter,
  filterHeader,
  filterNumbers,
  noFilter,
  parseFilter,
  undoFilter,
} from './filters.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });

const records = (rowBytes: number, ...deltas: number[]): Filter => ({
  kind: 'records',
  rowBytes,
  deltas: Array.from({ length: rowBytes }, (_, column) => deltas.includes(column)),
});
const samples = (
  width: 2 | 4,
  change: Partial<Extract<Filter, { kind: 'samples' }>> = {},
): Filter => ({
  kind: 'samples',
  width,
  bigEndian: false,
  phase: 0,
  slowness: 0,
  nibbles: false,
  ...change,
});

const anyFilter: fc.Arbitrary<Filter> = fc.oneof(
  fc.constant(noFilter),
  fc
    .integer({ min: 1, max: 255 })
    .chain((rowBytes) =>
      fc
        .array(fc.boolean(), { minLength: rowBytes, maxLength: rowBytes })
        .map((deltas): Filter => ({ kind: 'records', rowBytes, deltas })),
    ),
  fc
    .tuple(
      fc.constantFrom(2 as const, 4 as const),
      fc.boolean(),
      fc.nat(3),
      fc.nat(3),
      fc.boolean(),
    )
    .map(([width, bigEndian, phase, slowness, nibbles]) =>
      samples(width, {
        bigEndian,
        phase: phase % width,
        slowness,
        nibbles: nibbles && width === 2,
      }),
    ),
);

function applied(filter: Filter, plain: Uint8Array): Uint8Array {
  const out = new Uint8Array(plain.length);
  applyFilter(filter, plain, out);
  return out;
}

function undone(filter: Filter, filtered: Uint8Array, offset = 0): Uint8Array {
  // At an odd place in memory, too: a decoder is given what it is given.
  const plain = new Uint8Array(filtered.length + offset).subarray(offset);
  undoFilter(filter, filtered, plain);
  return plain;
}

describe('the filters', () => {
  it('P2: each gives back any bytes of any length, wherever they lie in memory', () => {
    fc.assert(
      fc.property(
        anyFilter,
        fc.uint8Array({ maxLength: 700 }),
        fc.nat(7),
        fc.nat(7),
        (filter, bytes, from, to) => {
          const plain = bytes.subarray(Math.min(from, bytes.length));
          const before = toHex(plain);
          expect(toHex(undone(filter, applied(filter, plain), to))).toBe(before);
          expect(toHex(plain)).toBe(before);
        },
      ),
      { verbose: true, numRuns: 1000 },
    );
  });

  it('P2: each has a way back from any bytes, and there again', () => {
    fc.assert(
      fc.property(anyFilter, fc.uint8Array({ maxLength: 700 }), (filter, bytes) => {
        expect(toHex(applied(filter, undone(filter, bytes)))).toBe(toHex(bytes));
      }),
      { verbose: true, numRuns: 1000 },
    );
  });

  it('P2: the largest leaps come back, at every slowness', () => {
    const extremes2 = Uint8Array.of(
      0,
      0x80,
      0xff,
      0x7f,
      0,
      0x80,
      0,
      0,
      0xff,
      0xff,
      0xff,
      0x7f,
      0,
      0x80,
    );
    const extremes4 = Uint8Array.of(
      0,
      0,
      0,
      0x80,
      0xff,
      0xff,
      0xff,
      0x7f,
      0,
      0,
      0,
      0x80,
      0,
      0,
      0,
      0,
      0xff,
      0xff,
      0xff,
      0xff,
    );
    for (const slowness of [0, 1, 2, 3]) {
      for (const filter of [samples(2, { slowness }), samples(2, { slowness, nibbles: true })]) {
        expect(undone(filter, applied(filter, extremes2))).toEqual(extremes2);
      }
      const wide = samples(4, { slowness });
      expect(undone(wide, applied(wide, extremes4))).toEqual(extremes4);
    }
  });

  it('big-endian samples become the same as little-endian ones', () => {
    const little = trace('orders/20/2', 4000);
    const big = little.map((_, at) => little[at ^ 1] ?? 0);
    expect(applied(samples(2, { bigEndian: true, slowness: 2 }), big)).toEqual(
      applied(samples(2, { slowness: 2 }), little),
    );
    const wide = trace('orders/20/4', 4000);
    const bigWide = wide.map((_, at) => wide[at ^ 3] ?? 0);
    expect(applied(samples(4, { bigEndian: true, slowness: 1 }), bigWide)).toEqual(
      applied(samples(4, { slowness: 1 }), wide),
    );
  });

  it('write what they say: columns, differences, planes', () => {
    expect(applied(records(3), Uint8Array.of(1, 2, 3, 4, 5, 6, 7))).toEqual(
      Uint8Array.of(1, 4, 2, 5, 3, 6, 7),
    );
    expect(applied(records(3, 1), Uint8Array.of(1, 2, 3, 4, 1, 6, 7))).toEqual(
      Uint8Array.of(1, 4, 2, 255, 3, 6, 7),
    );
    expect(applied(samples(2, { phase: 1 }), Uint8Array.of(9, 0, 1, 255, 0, 1, 1, 8))).toEqual(
      Uint8Array.of(9, 0, 1, 4, 2, 0, 0, 8),
    );
    expect(
      applied(samples(2, { nibbles: true }), Uint8Array.of(0x34, 0x12, 0x34, 0x12, 7)),
    ).toEqual(Uint8Array.of(0x46, 0, 0x08, 0x02, 7));
    expect(applied(samples(4), Uint8Array.of(1, 0, 0, 0, 0, 1, 0, 0, 5))).toEqual(
      Uint8Array.of(2, 0xfe, 0, 1, 0, 0, 0, 0, 5),
    );
  });

  it('a slow prediction makes the differences of noise smaller', () => {
    const plain = trace('slow/40/4', 40_000);
    const size = (filter: Filter) =>
      applied(filter, plain)
        .subarray(0, 30_000)
        .reduce((sum, byte) => sum + byte, 0);
    expect(size(samples(4, { slowness: 2 }))).toBeLessThan(size(samples(4)));
  });
});

describe('the header of a filter', () => {
  it('is read as it was written, and its length told', () => {
    fc.assert(
      fc.property(anyFilter, fc.uint8Array({ maxLength: 5 }), (filter, behind) => {
        const header = filterHeader(filter);
        const bytes = Uint8Array.of(...header, ...behind);
        expect(parseFilter(filterNumbers[filter.kind], bytes)).toEqual({
          filter,
          headerBytes: header.length,
        });
      }),
      { verbose: true },
    );
  });

  it('is refused when it is cut off anywhere', () => {
    for (const filter of [records(1), records(255, 3), samples(2)]) {
      const header = filterHeader(filter);
      for (let length = 0; length < header.length; length += 1) {
        expect(() => parseFilter(filterNumbers[filter.kind], header.subarray(0, length))).toThrow(
          code('SEAL_CODEC_CORRUPT'),
        );
      }
    }
  });

  it('is refused when no writer writes it: rows of no bytes, columns that are not there, phases outside of a sample, nibbles of wide samples, reserved bits', () => {
    for (const bytes of [
      [0, 0],
      [3, 0x08],
      [9, 0, 0x02],
    ])
      expect(() => parseFilter(filterNumbers.records, Uint8Array.from(bytes))).toThrow(
        code('SEAL_CODEC_CORRUPT'),
      );
    for (const byte of [0x80, 0x08, 0x0c, 0x41]) {
      expect(() => parseFilter(filterNumbers.samples, Uint8Array.of(byte))).toThrow(
        code('SEAL_CODEC_CORRUPT'),
      );
    }
    for (const number of [3, 4, 5, 6, 7])
      expect(() => parseFilter(number, noise('unknown', 9))).toThrow(code('SEAL_CODEC_UNKNOWN'));
  });

  it('has one form for each filter', () => {
    const forms = new Set<string>();
    for (let byte = 0; byte < 256; byte += 1) {
      try {
        const { filter } = parseFilter(filterNumbers.samples, Uint8Array.of(byte));
        expect(filterHeader(filter)).toEqual(Uint8Array.of(byte));
        forms.add(JSON.stringify(filter));
      } catch (error) {
        expect(error).toEqual(code('SEAL_CODEC_CORRUPT'));
      }
    }
    // Two bytes: 2 orders, 2 phases, 4 speeds, with and without nibbles; four bytes: 2 orders, 4
    // phases, 4 speeds.
    expect(forms.size).toBe(32 + 32);
  });
});
