import { describe, expect, it } from 'vitest';
import { oneCase, oneCaseBytes } from './path-case.ts';

const binary = (text: string): string => Buffer.from(text).toString('latin1');
const same = (a: string, b: string): boolean =>
  oneCase(binary(a), 'windows') === oneCase(binary(b), 'windows');

describe('what is one file on Windows', () => {
  it.each([
    ['C:\\Data\\Run.D', 'c:\\data\\RUN.d'],
    ['C:\\Läufe\\é', 'C:\\LÄUFE\\É'],
    ['C:\\данные', 'C:\\ДАННЫЕ'],
    ['C:\\ΑΒΓ', 'C:\\αβγ'],
  ])('%s and %s', (a, b) => expect(same(a, b)).toBe(true));

  it.each([
    ['k', '\u212a'], // KELVIN SIGN
    ['s', '\u017f'], // LATIN SMALL LETTER LONG S
    ['i', '\u0130'],
    ['\u0131', 'I'],
    ['µ', 'Μ'], // MICRO SIGN, GREEK CAPITAL MU
    ['straße', 'STRASSE'],
    ['C:\\a', 'C:\\a '],
    ['\u{10428}', '\u{10400}'], // beyond what NTFS folds
  ])('not %s and %s: two files never become one', (a, b) => expect(same(a, b)).toBe(false));

  it('is the same said twice, and is bytes of UTF-8', () => {
    for (const text of ['C:\\Läufe\\straße', 'ǅ', 'ⱥ', 'ﬀ']) {
      const once = oneCase(binary(text), 'windows');
      expect(oneCase(once, 'windows')).toBe(once);
      expect(Buffer.from(oneCaseBytes(Buffer.from(text), 'windows')).toString('latin1')).toBe(once);
    }
  });
});

it('elsewhere a path is its exact bytes', () => {
  expect(oneCase('/data/Run', 'posix')).toBe('/data/Run');
  expect(oneCaseBytes(Uint8Array.of(0x61, 0xff), 'posix')).toEqual(Uint8Array.of(0x61, 0xff));
});
