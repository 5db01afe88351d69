import fc from 'fast-check';
import { expect, test } from 'vitest';
import { separator } from '../source/paths.ts';
import { type RunFile, Runs } from './runs.ts';

const file = (path: string, size = 4000, name = 'default'): RunFile => ({
  path: path.replaceAll('/', separator),
  size,
  class: name,
});
const inFolder = (folder: string, count: number, size = 4000): RunFile[] =>
  Array.from({ length: count }, (_, at) => file(`${folder}/${String(at).padStart(5, '0')}`, size));

/** The files of a walk, run by run. */
function runsOf(files: readonly RunFile[]): RunFile[][] {
  const runs = new Runs();
  const all: RunFile[][] = [];
  let last = -1;
  for (const one of files) {
    const run = runs.next(one);
    if (run !== last) all.push([]);
    all.at(-1)?.push(one);
    last = run;
  }
  return all;
}

const pathsOf = (runs: readonly (readonly RunFile[])[]): string[][] =>
  runs.map((run) => run.map(({ path }) => path));

test('a run ends where a folder of 64 KiB is left, with all that lies below it, and not behind smaller ones', () => {
  const large = [
    ...inFolder('/data/a', 16, 2048),
    ...inFolder('/data/a/below', 16, 2048),
    file('/data/b/1'),
    file('/data/b/2'),
    file('/data/c/1'),
  ];
  expect(runsOf(large).map((run) => run.length)).toEqual([32, 3]);
  expect(runsOf(large.slice(1)).map((run) => run.length)).toEqual([34]);
});

test('large files are no reason for a folder to end a run', () => {
  const files = [...inFolder('/data/a', 16, 70_000), ...inFolder('/data/b', 3)];
  expect(runsOf(files)).toHaveLength(1);
});

test('a path that only begins like a folder does not lie in it', () => {
  const files = [...inFolder('/data/run', 20), file('/data/run.txt'), file('/data/run2/1')];
  expect(runsOf(files).map((run) => run.length)).toEqual([20, 2]);
});

test('two classes share no run', () => {
  const files = [file('/data/a/1'), file('/data/a/2', 4000, 'raw'), file('/data/a/3', 4000, 'raw')];
  expect(runsOf(files).map((run) => run.length)).toEqual([1, 2]);
});

test('no run has more than 768 files, or goes on behind 64 MiB', () => {
  // Of equal sizes none ends a run, or all do.
  expect(runsOf(inFolder('/data', 3000)).map((run) => run.length)).toEqual([768, 768, 768, 696]);
  const many = runsOf(inFolder('/data', 3000, 10 << 20));
  expect(many.every((run) => run.length === 7 || run === many.at(-1))).toBe(true);
});

test('a run that has ended says so before the next file is known', () => {
  const runs = new Runs();
  const ended = inFolder('/data', 768).map((one) => {
    runs.next(one);
    return runs.ended;
  });
  expect(ended.indexOf(true)).toBe(767);
});

test('the runs of a large folder do not depend on its name, nor on what was found before and behind it', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 60, maxLength: 3000 });
  const small = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 100 });
  const named = (folder: string, of: readonly number[]): RunFile[] =>
    of.map((size, at) => file(`${folder}/${String(at).padStart(5, '0')}`, size));
  fc.assert(
    fc.property(sizes, small, small, (of, before, behind) => {
      fc.pre(of.reduce((sum, size) => sum + size, 0) >= 64 << 10);
      const alone = runsOf(named('/m', of)).map((run) => run.length);
      // A large folder in front of it ends its own run.
      const front = inFolder('/a/large', 20);
      const among = [
        ...named('/a', before),
        ...front,
        ...named('/k of Monday', of),
        ...named('/z', behind),
      ];
      const runs = pathsOf(runsOf(among)).filter((run) => run[0]?.includes('Monday'));
      expect(runs.map((run) => run.length)).toEqual(alone);
    }),
  );
});

test('one file more in a large folder moves the ends of a few runs and no more', () => {
  const sizes = Array.from({ length: 20_000 }, (_, at) => ((at * 7919) % 7001) + 1000);
  const files = sizes.map((size, at) => file(`/data/${String(at).padStart(5, '0')}`, size));
  const ends = (of: readonly RunFile[]) => new Set(runsOf(of).map((run) => run.at(-1)?.path));
  const before = ends(files);
  expect(before.size).toBeGreaterThan(25);
  const moved = [...ends([file('/data/0', 3000), ...files])].filter((path) => !before.has(path));
  expect(moved.length).toBeLessThanOrEqual(5);
});
