import type { VaultParameters } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noise, readings, toHex } from '../../testing/bytes.ts';
import { vectors } from '../../testing/vectors.ts';
import { Chunker, cutPoints } from './chunker.ts';
import { gearTable } from './gear.ts';

/** Small chunks, so that a property run sees many cuts in few bytes. */
const small: VaultParameters = {
  chunkerVersion: 1,
  minChunkBytes: 64,
  averageChunkBytes: 256,
  maxChunkBytes: 1024,
  encoderVersion: 1,
};
const table = gearTable(noise('a vault', 32));

/** FastCDC as one would write it on a blackboard: the judge of the fast loop. */
function plainCuts(
  bytes: Uint8Array,
  { minChunkBytes: min, averageChunkBytes: average, maxChunkBytes: max }: VaultParameters,
): number[] {
  const bits = Math.log2(average);
  const cuts: number[] = [];
  let start = 0;
  while (start < bytes.length) {
    let end = start + 1;
    while (
      end < bytes.length &&
      end - start < max &&
      !(end - start >= min && zeros(bytes, end) >= (end - start <= average ? bits + 2 : bits - 2))
    )
      end += 1;
    cuts.push(end);
    start = end;
  }
  return cuts;
}

/** How many leading zero bits the hash of the 32 bytes before `end` has. */
function zeros(bytes: Uint8Array, end: number): number {
  let hash = 0;
  for (let age = 0; age < 32; age += 1)
    hash = (hash + ((table[bytes[end - 1 - age] ?? 0] ?? 0) << age)) | 0;
  return Math.clz32(hash);
}

function pieces(bytes: Uint8Array, cuts: readonly number[]): string[] {
  return cuts.map((cut, index) => toHex(bytes.subarray(index === 0 ? 0 : cuts[index - 1], cut)));
}

const content = fc
  .tuple(fc.string(), fc.integer({ min: 0, max: 12_000 }), fc.boolean())
  .map(([seed, size, repetitive]) => (repetitive ? readings(seed, size) : noise(seed, size)));

describe('the chunker', () => {
  it('P2: gives any bytes back, in order and whole', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const cuts = cutPoints(table, small, bytes);
        expect(pieces(bytes, cuts).join('')).toBe(toHex(bytes));
      }),
      { verbose: true },
    );
  });

  it('keeps to the smallest and the largest size; only the last chunk may be smaller', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const sizes = cutPoints(table, small, bytes).map(
          (cut, index, cuts) => cut - (cuts[index - 1] ?? 0),
        );
        for (const [index, size] of sizes.entries()) {
          expect(size).toBeLessThanOrEqual(small.maxChunkBytes);
          if (index < sizes.length - 1) expect(size).toBeGreaterThanOrEqual(small.minChunkBytes);
        }
      }),
      { verbose: true },
    );
  });

  it('cuts where the plain algorithm cuts', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        expect(cutPoints(table, small, bytes)).toEqual(plainCuts(bytes, small));
      }),
      { verbose: true, numRuns: 40 },
    );
  });

  it('cuts the same however the stream is divided into buffers', () => {
    fc.assert(
      fc.property(
        content,
        fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1 }),
        (bytes, sizes) => {
          const chunker = new Chunker(table, small);
          const cuts: number[] = [];
          let at = 0;
          for (let turn = 0; at < bytes.length; turn += 1) {
            const block = bytes.subarray(
              at,
              at + (turn < sizes.length ? (sizes[turn] ?? 0) : 1 + turn),
            );
            cuts.push(...chunker.push(block).map((cut) => at + cut));
            at += block.length;
          }
          expect(chunker.pending).toBe(at - (cuts.at(-1) ?? 0));
          if (chunker.pending > 0) cuts.push(at);
          expect(cuts).toEqual(cutPoints(table, small, bytes));
        },
      ),
      { verbose: true },
    );
  });

  it('byte by byte cuts the same as in one piece', () => {
    const bytes = noise('byte by byte', 9000);
    const chunker = new Chunker(table, small);
    const cuts: number[] = [];
    for (let at = 0; at < bytes.length; at += 1)
      if (chunker.push(bytes.subarray(at, at + 1)).length === 1) cuts.push(at + 1);
    if (chunker.pending > 0) cuts.push(bytes.length);
    expect(cuts).toEqual(cutPoints(table, small, bytes));
  });

  it('moves few cuts when bytes are inserted, removed or replaced anywhere', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 0, max: 60_000 }),
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 0, max: 300 }),
        (seed, at, cut, add) => {
          const before = noise(`edited ${seed}`, 60_000);
          const after = Uint8Array.from([
            ...before.subarray(0, at),
            ...noise(`added ${seed}`, add),
            ...before.subarray(at + cut),
          ]);
          const known = new Set(pieces(before, cutPoints(table, small, before)));
          const fresh = pieces(after, cutPoints(table, small, after)).filter(
            (piece) => !known.has(piece),
          );
          // About 190 chunks in all. The bound leaves room for the unlucky seeds in which the two
          // cuts meet again late.
          expect(fresh.length).toBeLessThanOrEqual(20);
        },
      ),
      { verbose: true, numRuns: 60 },
    );
  });

  it('finds all earlier cuts again when bytes are appended', () => {
    const bytes = noise('growing', 50_000);
    const whole = cutPoints(table, small, bytes);
    for (const size of [1, 999, 20_000, 49_999]) {
      const cuts = cutPoints(table, small, bytes.subarray(0, size));
      expect(cuts.slice(0, -1)).toEqual(whole.slice(0, cuts.length - 1));
    }
  });

  it('may start anew at any of its cuts', () => {
    const bytes = noise('started anew', 20_000);
    const cuts = cutPoints(table, small, bytes);
    for (const [index, cut] of cuts.entries()) {
      expect(cutPoints(table, small, bytes.subarray(cut)).map((later) => later + cut)).toEqual(
        cuts.slice(index + 1),
      );
    }
  });

  it("cuts elsewhere with another vault's gear table", () => {
    const bytes = noise('two vaults', 60_000);
    const ours = new Set(cutPoints(table, small, bytes));
    const theirs = cutPoints(gearTable(noise('another vault', 32)), small, bytes);
    expect(theirs.filter((cut) => ours.has(cut)).length).toBeLessThan(theirs.length / 10);
  });

  it('makes chunks of about the average size from data without pattern', () => {
    const bytes = noise('average', 1_000_000);
    const mean = bytes.length / cutPoints(table, small, bytes).length;
    expect(mean).toBeGreaterThan(small.averageChunkBytes * 0.8);
    expect(mean).toBeLessThan(small.averageChunkBytes * 1.4);
  });

  it('cuts no bytes at all into no chunks, and a run of one value into largest ones', () => {
    expect(cutPoints(table, small, new Uint8Array(0))).toEqual([]);
    expect(cutPoints(table, small, new Uint8Array(1))).toEqual([1]);
    expect(cutPoints(table, small, new Uint8Array(3000))).toEqual([1024, 2048, 3000]);
  });

  it.each([
    ['another chunker version', { chunkerVersion: 2 }, 'SEAL_VERSION_UNKNOWN'],
    ['an average that is no power of two', { averageChunkBytes: 300 }, 'SEAL_PARAMETERS'],
    ['a smallest size above the average', { minChunkBytes: 512 }, 'SEAL_PARAMETERS'],
    ['a largest size below the average', { maxChunkBytes: 128 }, 'SEAL_PARAMETERS'],
    ['a smallest size below the window', { minChunkBytes: 31 }, 'SEAL_PARAMETERS'],
    ['sizes that are no numbers', { maxChunkBytes: Number.NaN }, 'SEAL_PARAMETERS'],
  ])('refuses %s', (_, change, code) => {
    expect(() => new Chunker(table, { ...small, ...change })).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

interface ChunkerVectors {
  readonly gearSeed: string;
  readonly gearTable: number[];
  readonly cases: {
    name: string;
    make: 'noise' | 'readings';
    seed: string;
    size: number;
    parameters: VaultParameters;
    cuts: number[];
  }[];
}

describe('chunker version 1, frozen', () => {
  const frozen = vectors<ChunkerVectors>('chunker-1');
  const frozenTable = gearTable(Uint8Array.from(Buffer.from(frozen.gearSeed, 'hex')));

  it('has the frozen gear table', () => {
    expect([...frozenTable]).toEqual(frozen.gearTable);
  });

  it.each(frozen.cases)(
    'cuts $name where it always did',
    ({ make, seed, size, parameters, cuts }) => {
      const bytes = make === 'noise' ? noise(seed, size) : readings(seed, size);
      expect(cutPoints(frozenTable, parameters, bytes)).toEqual(cuts);
    },
  );
});
