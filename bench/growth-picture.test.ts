import { expect, test } from 'vitest';
import { type GrowthStep, growthPicture } from './growth-picture.ts';

const step = (files: number, more: Partial<GrowthStep> = {}): GrowthStep => ({
  ...{
    scale: files / 100_000,
    files,
    bytes: files * 20_000,
    firstSeconds: files / 10_000,
    unchangedSeconds: 0.3,
    chunks: files,
  },
  ...{
    agentPeakBytes: 120 << 20,
    collectorPeakBytes: 110 << 20,
    collectorRestBytes: 90 << 20,
    catalogBytes: files * 80,
    storedBytes: files * 9000,
  },
  ...more,
});
const numbersOf = (svg: string, pattern: RegExp): number[] =>
  [...svg.matchAll(pattern)].map(([, number]) => Number(number));

test('every step is a point of every curve, within the picture', () => {
  const svg = growthPicture({
    version: 1,
    node: 'v24',
    steps: [step(1000), step(10_000), step(100_000)],
  });
  const points = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="3.5"/g)];
  expect(points).toHaveLength(5 * 3);
  expect(
    points.every(
      ([, x, y]) => Number(x) > 0 && Number(x) < 360 && Number(y) > 50 && Number(y) < 250,
    ),
  ).toBe(true);
  expect(svg).toContain('>100,000</text>');
});

test('more memory stands higher, and the limit where it belongs', () => {
  const svg = growthPicture({
    version: 1,
    node: 'v24',
    steps: [step(1000), step(10_000, { agentPeakBytes: 400 << 20 })],
  });
  const [low = 0, high = 0] = numbersOf(
    svg,
    /<circle cx="[\d.]+" cy="([\d.]+)" r="3.5" fill="#0b62a4"/g,
  );
  const [limit = 0] = numbersOf(svg, /y1="([\d.]+)"[^>]* stroke="#a00"/g);
  expect(high).toBeLessThan(limit);
  expect(limit).toBeLessThan(low);
});

test('a single step makes a picture without a number that is none', () => {
  expect(growthPicture({ version: 1, node: 'v24', steps: [step(1000)] })).not.toMatch(
    /NaN|Infinity/,
  );
});
