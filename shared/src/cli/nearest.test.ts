import { describe, expect, it } from 'vitest';
import { didYouMean, nearest } from './nearest.ts';

const agents = ['hplc-1', 'hplc-2', 'plate-reader', 'sequencer'];

describe('what a mistyped word was meant to be', () => {
  it.each([
    ['hplc1', 'hplc-1'],
    ['HPLC-1', 'hplc-1'],
    ['plate_reader', 'plate-reader'],
    ['sequncer', 'sequencer'],
    ['sequencre', 'sequencer'],
    ['microscope', undefined],
    ['x', undefined],
    ['', undefined],
  ])('%s: %s', (word, meant) => {
    expect(nearest(word, agents)).toBe(meant);
  });

  it('of a long path is one that differs little, not one that is as long', () => {
    const paths = ['/data/hplc/2026/run-0014/signal.csv', '/data/gcms/2025/run-9999/signal.raw'];
    expect(nearest('/data/hplc/2026/run-014/signal.csv', paths)).toBe(paths[0]);
    expect(nearest('/data/nmr/1999/fid-0001/acqus.txt00', paths)).toBeUndefined();
  });

  it('is none when nothing is known, and does not stall on endless names', () => {
    expect(nearest('a', [])).toBeUndefined();
    expect(nearest('x'.repeat(100_000), ['x'.repeat(99_999)])).toBeUndefined();
  });

  it('stands at the end of a sentence', () => {
    expect([didYouMean('hplc-1'), didYouMean(undefined)]).toEqual(['; did you mean hplc-1?', '']);
  });
});
