import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { noise, table, trace } from '../../testing/bytes.ts';
import { chooseFilter, type Measure } from './choose-filter.ts';
import { applyFilter } from './filters.ts';

const measure: Measure = (sample, filter) => {
  const out = new Uint8Array(sample.length);
  applyFilter(filter, sample, out);
  return zstdCompressSync(out).length;
};
/** Lines of different lengths: what has a fixed width is a table, and taken for one. */
const text = (bytes: number): Uint8Array => {
  const lines = Array.from(
    { length: bytes / 4 },
    (_, at) => `${((at * 7919) % 9973) ** 2};${'ok '.repeat(at % 5)}\n`,
  );
  return new Uint8Array(Buffer.from(lines.join('')).subarray(0, bytes));
};

describe('the choice of a filter', () => {
  it('finds the rows of a table, whatever their length and wherever the chunk begins', () => {
    for (const rowBytes of [5, 12, 37, 100]) {
      for (const from of [0, 1, rowBytes - 1]) {
        const filter = chooseFilter(table(String(rowBytes), 200_000).subarray(from), measure);
        expect(filter.kind === 'records' ? filter.rowBytes % rowBytes : filter).toBe(0);
      }
    }
  });

  it('finds the width, the alignment and the order of samples', () => {
    for (const from of [0, 1, 2, 3]) {
      const little = trace('choice/20/2', 200_003).subarray(from);
      expect(chooseFilter(little, measure)).toMatchObject({
        kind: 'samples',
        width: 2,
        bigEndian: false,
        phase: from % 2,
        nibbles: false,
      });
    }
    const swapped = trace('choice/60/2', 200_000).map((_, at, bytes) => bytes[at ^ 1] ?? 0);
    expect(chooseFilter(swapped, measure)).toMatchObject({
      kind: 'samples',
      width: 2,
      bigEndian: true,
      phase: 0,
      nibbles: true,
    });
  });

  it('lets the prediction follow slowly where there is noise, and fast where there is none', () => {
    expect(chooseFilter(trace('noisy/20/2', 200_000), measure)).toMatchObject({
      kind: 'samples',
      slowness: 2,
    });
    const walk = new Int16Array(100_000);
    const steps = noise('walk', walk.length);
    for (let at = 1; at < walk.length; at += 1)
      walk[at] = (walk[at - 1] ?? 0) + ((steps[at] ?? 0) % 31) - 15;
    expect(chooseFilter(new Uint8Array(walk.buffer), measure)).toMatchObject({
      kind: 'samples',
      slowness: 0,
    });
  });

  it('leaves text, noise, zeros and what is short as they are', () => {
    for (const plain of [
      text(30_000),
      text(200_000),
      noise('choice', 100_000),
      new Uint8Array(100_000),
      table('12', 1023),
      new Uint8Array(0),
    ]) {
      expect(chooseFilter(plain, measure)).toEqual({ kind: 'none' });
    }
  });

  it('asks for no more than a handful of samples, each of them small', () => {
    for (const plain of [
      trace('cost/20/2', 200_000),
      table('12', 200_000),
      noise('cost', 200_000),
      table('255', 200_000),
    ]) {
      let asked = 0;
      chooseFilter(plain, (sample, filter) => {
        asked += 1;
        expect(sample.length).toBeLessThanOrEqual(8192);
        return measure(sample, filter);
      });
      expect(asked).toBeLessThanOrEqual(5);
    }
  });
});
