import { describe, expect, it } from 'vitest';
import { globMatcher } from './glob.ts';

describe('a path GLOB', () => {
  it.each([
    ['/data/run1/x.csv', '/data/run1/x.csv', true],
    ['/data/run1', '/data/run1/deep/x.csv', true],
    ['/data/run1/', '/data/run1/x.csv', true],
    ['/data/run1', '/data/run10/x.csv', false],
    ['/data/*/x.csv', '/data/run1/x.csv', true],
    ['/data/*/x.csv', '/data/a/b/x.csv', false],
    ['/data/**/*.csv', '/data/a/b/x.csv', true],
    ['/data/run*', '/data/run7/deep/x', true],
    ['**/*.csv', '/data/a/x.csv', true],
    ['*.csv', '/data/a/x.csv', true],
    ['*.csv', '/data/a/x.csv.bak', false],
    ['node_modules', '/src/node_modules/a/b', true],
    ['*.D', '/data/run.D/acq/method', true],
    ['/data/.hidden/*', '/data/.hidden/x', true],
    ['*', '/data/.x', true],
    ['/', '/anything/at/all', true],
    ['/data/{a,b}/x', '/data/b/x', true],
    ['/data/x?.csv', '/data/x1.csv', true],
    ['/data/plate [1]/x', '/data/plate [1]/x', true],
    ['/data/plate [1]', '/data/plate [1]/x', true],
    ['/Data/x', '/data/x', false],
    ['/data/größe*', '/data/größe 1.csv', true],
  ])('%s on %s: %s', (pattern, path, expected) => {
    expect(globMatcher(pattern)(path)).toBe(expected);
  });

  it.each([
    ['C:\\Data\\*.csv', 'C:\\Data\\x.csv', true],
    ['c:/data/*.CSV', 'C:\\Data\\x.csv', true],
    ['C:\\Data', 'C:\\Data\\run\\x', true],
    ['\\\\srv\\share', '\\\\srv\\share\\x', true],
    ['*.raw', 'D:\\A.RAW\\_FUNC001.DAT', true],
    ['C:\\Data', 'C:\\Database\\x', false],
  ])('on a PC with Windows, %s on %s: %s', (pattern, path, expected) => {
    expect(globMatcher(pattern)(path, 'windows')).toBe(expected);
  });

  it('cannot be empty', () => {
    expect(() => globMatcher('')).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });
});
