import { describe, expect, it } from 'vitest';
import { isOnePath, PathSet, parsePathFile } from './path-set.ts';

it.each([
  ['/data/run1/x.csv', true],
  ['/data/größe 1.csv', true],
  ['x.csv', false],
  ['/data/run*', false],
  ['/data/x?.csv', false],
  ['/data/plate [1]/x', false],
  ['/data/{a,b}/x', false],
  ['C:\\Data\\x', false],
])('%s is one whole path: %s', (pattern, expected) => {
  expect(isOnePath(pattern)).toBe(expected);
});

describe('whole paths taken literally', () => {
  it.each([
    ['/d/a[1].csv', '/d/a[1].csv', true],
    ['/d/a[1].csv', '/d/a1.csv', false],
    ['/d/*.csv', '/d/*.csv', true],
    ['/d/*.csv', '/d/x.csv', false],
    ['/d/{x,y}', '/d/{x,y}/deep/file', true],
    ['/d/run1/', '/d/run1/x', true],
    ['/d/run1', '/d/run10', false],
    ['/D/run1', '/d/run1', false],
    ['/', '/anything', true],
    ['/d/\\xff.raw', '/d/\\xff.raw', true],
    ['/d/two\\x0alines', '/d/two\nlines', true],
    ['/d/back\\slash', '/d/back\\slash', true],
  ])('%s means %s: %s', (given, path, meant) => {
    expect(new PathSet([given]).has(path)).toBe(meant);
  });

  it.each([
    ['C:\\Data\\[1]', 'C:\\Data\\[1]\\x.csv', true],
    ['c:/data/X.CSV', 'C:\\Data\\x.csv', true],
    ['C:\\', 'C:\\Data', true],
    ['\\\\srv\\share', '\\\\srv\\share\\x', true],
    ['C:\\Data', 'C:\\Database', false],
  ])('on Windows %s means %s: %s', (given, path, meant) => {
    expect(new PathSet([given]).has(path, 'windows')).toBe(meant);
  });

  it('says which of them were not there, each once', () => {
    const set = new PathSet(['/a', '/b\\xff', '/c', '/b\\xff']);
    set.has('/a/x');
    expect(set.missing).toEqual(['/b\\xff', '/c']);
  });
});

describe('a file of paths', () => {
  it('has one a line, as editors of either system leave it', () => {
    expect(parsePathFile(Buffer.from('\ufeff/a b\r\n\r\nC:\\x\r\n/last'), 'f', false)).toEqual([
      '/a b',
      'C:\\x',
      '/last',
    ]);
  });

  it('with -0 has names of any bytes, line ends included', () => {
    const bytes = Buffer.concat([
      Buffer.from('/a\nb\r\0/c'),
      Buffer.from([0xff, 0]),
      Buffer.from('/d'),
    ]);
    expect(parsePathFile(bytes, 'f', true)).toEqual(['/a\nb\r', '/c\\xff', '/d']);
  });

  it.each([
    ['', 'names no path'],
    ['\n\n', 'names no path'],
    ['/a\nrelative/b\n', 'line 2: "relative/b" is no whole path'],
    ['./a', 'line 1'],
  ])('%j is refused', (text, says) => {
    expect(() => parsePathFile(Buffer.from(text), 'f', false)).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID', message: expect.stringContaining(says) }),
    );
  });
});
