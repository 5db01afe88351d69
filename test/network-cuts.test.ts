import { randomInt } from 'node:crypto';
import { seededSource } from '@aliquot/shared/testing/random';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CutBench, everyBoundary, nameOf } from './proxy/cuts.ts';
import { mischiefs } from './proxy/mischief.ts';

/** Odd, so that every place in a frame comes. */
const EVERY = 9;

let bench: CutBench;

beforeEach(async () => {
  bench = await CutBench.open();
});

afterEach(async () => {
  await bench.close();
});

describe('a bad network between agent and collector loses nothing and doubles nothing', () => {
  it('P1 P2 I-A2 I-A4: a line that breaks at a frame boundary of a session, or a byte beside it', async () => {
    const all = everyBoundary(await bench.record());
    expect(all.length).toBeGreaterThan(60);
    // Every ninth, beginning anywhere; `npm run test:torture` takes them all.
    const first = randomInt(EVERY);
    const cuts = all.filter((_cut, index) => index % EVERY === first);
    const missed: string[] = [];
    for (const cut of cuts) {
      try {
        if (!(await bench.cut(cut))) missed.push(nameOf(cut));
      } catch (error) {
        throw new Error(nameOf(cut), { cause: error });
      }
    }
    expect(missed).toEqual([]);
    expect(bench.agent.setbacks).toBeGreaterThan(cuts.length / 2);
  });

  for (const [name, mischief] of Object.entries(mischiefs)) {
    it(`P1 P2 I-A2 I-A4: a line that is ${name}`, async () => {
      const seed = randomInt(2 ** 31);
      const random = seededSource(seed);
      const recording = await bench.record();
      try {
        await mischief(bench, recording, random);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    });
  }
});
