import type { TortureContext, TortureScenario } from '@aliquot/shared/testing/scenario';
import { describe, expect, it } from 'vitest';
import { added } from './jobs.ts';
import { isMeant, readOptions } from './options.ts';
import { runScenarios, type ScenarioOutcome, summary } from './runner.ts';

/** A scenario whose every case takes a minute of the given clock. */
function minutely(
  name: string,
  cases: number,
  clock: { now: number },
  tried: string[] = [],
): TortureScenario {
  return {
    name,
    about: 'Nothing is lost.',
    proves: ['P1'],
    async run({ over, mine }: TortureContext) {
      let injected = 0;
      for (let number = 0; number < cases; number += 1) {
        if (!mine(number)) continue;
        if (over()) return { injected, passed: injected, failed: [], whole: false };
        clock.now += 60_000;
        injected += 1;
        tried.push(`${name} ${number}`);
      }
      return { injected, passed: injected, failed: [], whole: true };
    },
  };
}

describe('the torture runner', () => {
  const ports = (clock: { now: number }, lines: string[] = []) => ({
    nowMs: () => clock.now,
    print: (line: string) => void lines.push(line),
  });

  it('gives each scenario a fair share of the time, and what one leaves to the others', async () => {
    const clock = { now: 0 };
    const scenarios = [
      minutely('short', 1, clock),
      minutely('long', 100, clock),
      minutely('last', 100, clock),
    ];
    const outcomes = await runScenarios(
      scenarios,
      { seed: 1, minutes: 9, onlyCase: undefined },
      ports(clock),
    );
    expect(outcomes.map(({ name, injected, whole }) => [name, injected, whole])).toEqual([
      ['short', 1, true],
      ['long', 4, false],
      ['last', 4, false],
    ]);
  });

  it('lets every scenario do its first case, however late it is, and everything without a limit', async () => {
    const clock = { now: 0 };
    const scenarios = [minutely('first', 3, clock), minutely('second', 3, clock)];
    const late = await runScenarios(
      scenarios,
      { seed: 1, minutes: 0.001, onlyCase: undefined },
      ports(clock),
    );
    expect(late.map(({ injected }) => injected)).toEqual([1, 1]);
    const all = await runScenarios(
      scenarios,
      { seed: 1, minutes: undefined, onlyCase: undefined },
      ports(clock),
    );
    expect(all.map(({ injected, whole }) => [injected, whole])).toEqual([
      [3, true],
      [3, true],
    ]);
  });

  it('leaves out, and says so, what time cannot cut and has too little of', async () => {
    const clock = { now: 0 };
    const lines: string[] = [];
    const uncut = { ...minutely('uncut', 3, clock), leastSeconds: 120 };
    const outcomes = await runScenarios(
      [uncut, minutely('other', 9, clock)],
      { seed: 1, minutes: 2, onlyCase: undefined },
      ports(clock, lines),
    );
    expect(outcomes.map(({ name, injected, whole }) => [name, injected, whole])).toEqual([
      ['uncut', 0, false],
      ['other', 2, false],
    ]);
    expect(lines.join('\n')).toContain('not run: it needs 120 s');
    expect(summary(outcomes).lines.join('\n')).toMatch(/uncut +0 +0 +0 +not run/);
    const all = await runScenarios(
      [uncut],
      { seed: 1, minutes: undefined, onlyCase: undefined },
      ports(clock),
    );
    expect(all.map(({ injected }) => injected)).toEqual([3]);
  });

  it('names a failed case with the command that runs exactly that again, and counts a scenario that throws', async () => {
    const clock = { now: 0 };
    const lines: string[] = [];
    const broken: TortureScenario = {
      name: 'broken',
      about: 'It breaks.',
      proves: ['P2'],
      run: async () => ({
        injected: 2,
        passed: 1,
        failed: ['case 17: EIO at fsync 3: lost'],
        whole: true,
      }),
    };
    const throwing: TortureScenario = {
      ...broken,
      name: 'throwing',
      run: async () => {
        throw new Error('out of the blue');
      },
    };
    const outcomes = await runScenarios(
      [broken, throwing],
      { seed: 9, minutes: undefined, onlyCase: undefined },
      ports(clock, lines),
    );
    expect(lines.join('\n')).toContain(
      'again: npm run test:torture -- --seed 9 --only broken --case 17',
    );
    expect(lines.join('\n')).toContain('out of the blue');
    const { lines: table, failed } = summary(outcomes);
    expect(failed).toBe(2);
    expect(table.at(-1)).toBe('1 passed, 2 failed');
  });

  it('repeats the randomness of a scenario with the seed, whatever runs beside it', async () => {
    const drawn: number[] = [];
    const drawing: TortureScenario = {
      name: 'drawing',
      about: 'It draws.',
      proves: ['P1'],
      async run({ random }) {
        drawn.push(random.below(1e9));
        return { injected: 0, passed: 0, failed: [], whole: true };
      },
    };
    const options = { seed: 4, minutes: undefined, onlyCase: undefined };
    await runScenarios([drawing], options, ports({ now: 0 }));
    await runScenarios([minutely('other', 2, { now: 0 }), drawing], options, ports({ now: 0 }));
    expect(drawn[1]).toBe(drawn[0]);
  });

  it('passes on the one case that is asked for', async () => {
    const clock = { now: 0 };
    const tried: string[] = [];
    await runScenarios(
      [minutely('asked', 9, clock, tried)],
      { seed: 1, minutes: undefined, onlyCase: 5 },
      ports(clock),
    );
    expect(tried).toEqual(['asked 5']);
  });
});

describe('a run that several processes share', () => {
  it('does each case in one of them, and what has no numbered cases in the first', async () => {
    const clock = { now: 0 };
    const tried: string[] = [];
    const scenarios = [
      minutely('shared', 7, clock, tried),
      { ...minutely('alone', 2, clock, tried), undivided: true },
    ];
    const ports = { nowMs: () => clock.now, print: () => {} };
    const parts: ScenarioOutcome[] = [];
    for (const index of [0, 1, 2]) {
      parts.push(
        ...(await runScenarios(
          scenarios,
          { seed: 1, minutes: undefined, onlyCase: undefined, part: { index, of: 3 } },
          ports,
        )),
      );
    }
    expect(tried.toSorted()).toEqual(
      [
        ...[0, 1, 2, 3, 4, 5, 6].map((number) => `shared ${number}`),
        'alone 0',
        'alone 1',
      ].toSorted(),
    );
    expect(added(parts).map(({ name, injected, whole }) => [name, injected, whole])).toEqual([
      ['shared', 7, true],
      ['alone', 2, true],
    ]);
  });

  it('is not whole when one of them was not, and keeps what each found', () => {
    const part = {
      name: 'a',
      seconds: 3,
      injected: 2,
      passed: 1,
      failed: ['case 1: x'],
      whole: true,
    };
    expect(added([part, { ...part, seconds: 5, failed: ['case 2: y'], whole: false }])).toEqual([
      {
        name: 'a',
        seconds: 5,
        injected: 4,
        passed: 2,
        failed: ['case 1: x', 'case 2: y'],
        whole: false,
      },
    ]);
  });
});

describe('the options of torture', () => {
  it('are read, and what is wrong is said with what is accepted', () => {
    const draw = (): number => 77;
    expect(readOptions(['--minutes', '0.5', '--only', 'outside-*'], draw)).toMatchObject({
      seed: 77,
      minutes: 0.5,
      only: ['outside-*'],
    });
    expect(() => readOptions(['--seed', '-1'], draw)).toThrow();
    expect(() => readOptions(['--minutes', 'ten'], draw)).toThrow(
      /--minutes takes a number above 0/,
    );
    expect(() => readOptions(['--case', '3'], draw)).toThrow(/--only/);
    expect(readOptions(['--part', '2/4'], draw)).toMatchObject({
      part: { index: 2, of: 4 },
      jobs: 1,
    });
    expect(() => readOptions(['--part', '4/4'], draw)).toThrow(/--part takes I\/N/);
    expect(() => readOptions(['--jobs', '0'], draw)).toThrow(/--jobs takes a number from 1 to 64/);
    expect(() => readOptions(['--jobs', '2', '--part', '0/2'], draw)).toThrow(/neither/);
    expect(() => readOptions(['--fast'], draw)).toThrow(/--fast/);
  });

  it('mean scenarios by globs of their whole names', () => {
    expect(isMeant('outside-agent-flush', ['outside-*'])).toBe(true);
    expect(isMeant('outside-agent-flush', ['outside'])).toBe(false);
    expect(isMeant('anything', [])).toBe(true);
    expect(isMeant('a+b', ['a.b'])).toBe(false);
  });
});
