import { globMatcher } from '@aliquot/shared/cli/glob';
import { expect, test } from 'vitest';
import { allExcludedProblem, excludeMistake } from './excludes.ts';
import { compileRules } from './rules.ts';

const posix = process.platform !== 'win32';

for (const [glob, says] of [
  ['!keep.csv', /brings nothing back/],
  ['./scratch', /"\." or "\.\." as a name/],
  ['../scratch', /"\." or "\.\." as a name/],
  ['/data/./x', /"\." or "\.\." as a name/],
  ['..', /"\." or "\.\." as a name/],
  ['*.tmp ', /blank/],
  [' *.tmp', /blank/],
  ['*.tmp\n', /blank/],
  ['a\tb', /control character/],
  ['~/scratch', /home folder/],
  ['scratch//x', /"\/\/"/],
  ['/other/place', /lies outside \/data/],
  ['/other/**/*.tmp', /lies outside \/data/],
  ['/database/*.tmp', /lies outside \/data/],
  ['/d*ta/x', undefined],
  ['/**/*.tmp', undefined],
  ['/data/{a,b}/x', undefined],
  ['/data', undefined],
  ['*.tmp', undefined],
  ['scratch/', undefined],
  ['sub/*.tmp', undefined],
  ['**/sub/*.tmp', undefined],
  ['!(*.csv)', undefined],
  ['a b', undefined],
] as const) {
  test.runIf(posix)(
    `an exclude "${glob.replace('\n', '\\n')}" is ${says === undefined ? 'taken' : 'refused with the reason'}`,
    () => {
      const mistake = excludeMistake(glob, ['/data']);
      if (says === undefined) expect(mistake).toBeUndefined();
      else expect(mistake).toMatch(says);
    },
  );
}

test.runIf(posix)('what only Windows has is refused elsewhere', () => {
  expect(excludeMistake('scratch\\*', ['/data'])).toMatch(/write "\/"/);
  expect(excludeMistake('D:/Data/x', ['/data'])).toMatch(/drive’s letter/);
});

test.runIf(posix)('a pattern may reach any of several paths', () => {
  expect(excludeMistake('/b/x', ['/a', '/b'])).toBeUndefined();
  expect(excludeMistake('/c/x', ['/a', '/b'])).toMatch(/everything that is backed up/);
});

const rules = (...globs: string[]) =>
  compileRules({
    exclude: globs.map((glob) => ({ glob, below: '/w/tmp/hplc' })),
    folderResults: [],
    leaveOut: [],
  });

for (const [glob, path, taken] of [
  ['tmp', '/w/tmp/hplc', false],
  ['tmp', '/w/tmp/hplc/r.csv', false],
  ['hplc', '/w/tmp/hplc/r.csv', false],
  ['tmp', '/w/tmp/hplc/tmp', true],
  ['tmp', '/w/tmp/hplc/a/tmp/r.csv', true],
  ['**/tmp/**', '/w/tmp/hplc/r.csv', false],
  ['**/tmp/**', '/w/tmp/hplc/tmp/r.csv', true],
  ['sub/*.tmp', '/w/tmp/hplc/sub/a.tmp', true],
  ['sub/*.tmp', '/w/tmp/hplc/deep/sub/a.tmp', false],
  ['t*', '/w/tmp/hplc/r.csv', false],
  ['*', '/w/tmp/hplc', false],
  ['**', '/w/tmp/hplc', false],
  ['/w/tmp/hplc/r.csv', '/w/tmp/hplc/r.csv', true],
  ['/w/tmp', '/w/tmp/hplc/r.csv', true],
] as const) {
  test.runIf(posix)(
    `"${glob}" ${taken ? 'takes' : 'does not take'} ${path} of the source /w/tmp/hplc`,
    () => {
      expect(rules(glob).excluded(path)).toBe(taken);
    },
  );
}

test('a problem names the patterns and what each took, in one line of bounded length', () => {
  const counts = Array.from({ length: 9 }, (_, at) => ({
    glob: `${at}${'x'.repeat(200)}`,
    files: at,
    folders: 1,
  }));
  const { code, message } = allExcludedProblem({ counts, left: 0 });
  expect(code).toBe('all-excluded');
  expect(message.length).toBeLessThanOrEqual(500);
  expect(
    allExcludedProblem({ counts: [{ glob: '*', files: 2, folders: 1 }], left: 0 }).message,
  ).toContain('"*" (2 files and 1 folder)');
});

test('a plain name, which needs no glob, takes exactly what its glob would take below the folder', () => {
  const platform = posix ? 'posix' : 'windows';
  const separator = posix ? '/' : '\\';
  const names = ['a', 'A', 'ab', 'a.b', '.a', 'a b', 'a-', 'b', '\u00c3\u00a4', '\u00e9'];
  // Every path of up to three names: the name first, last, in the middle, twice, and as a part of a
  // longer one.
  const paths = names.flatMap((one) => [
    one,
    ...names.flatMap((two) => [`${one}/${two}`, ...names.map((three) => `${one}/${two}/${three}`)]),
  ]);
  const folders = ['/a', '/a/', '/', '/a/b'].map((path) => path.replaceAll('/', separator));
  let taken = 0;
  for (const glob of ['a', 'ab', 'a.b', '.a', 'a b', 'a-', 'B']) {
    const matches = globMatcher(glob);
    for (const below of folders) {
      const { excludedBy } = compileRules({
        exclude: [{ glob, below }],
        folderResults: [],
        leaveOut: [],
      });
      const begin = below.endsWith(separator) ? below : below + separator;
      expect(excludedBy(below)).toBeUndefined();
      for (const inside of paths.map((path) => path.replaceAll('/', separator))) {
        const expected = matches(inside, platform) ? glob : undefined;
        if (expected !== undefined) taken += 1;
        if (excludedBy(begin + inside) !== expected)
          expect.fail(`"${glob}" below ${below}: ${inside}`);
      }
      // Beside the folder, and in one whose name only begins like it, it takes nothing.
      if (begin !== separator)
        expect(excludedBy(`${begin.slice(0, -1)}x${separator}${glob}`)).toBeUndefined();
    }
  }
  expect(taken).toBeGreaterThan(1000);
});
