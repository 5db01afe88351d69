import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRow,
  formatTable,
  formatTime,
  pathText,
  printable,
} from './format.ts';

describe('figures for people', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [10_240, '10 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [5.5 * 1024 ** 3, '5.5 GiB'],
    [2 ** 62, '4096 PiB'],
  ])('%d bytes are %s', (count, text) => {
    expect(formatBytes(count)).toBe(text);
  });

  it.each([
    [0, '0 s'],
    [59_400, '59 s'],
    [200_000, '3 min 20 s'],
    [18_600_000, '5 h 10 min'],
    [1_047_600_000, '12 d 3 h'],
  ])('%d ms are %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('counts have commas, as English writes them', () => {
    for (const count of [
      0,
      7,
      999,
      1000,
      65_535,
      999_999,
      1_000_000,
      1_234_567_890,
      Number.MAX_SAFE_INTEGER,
    ]) {
      expect(formatCount(count)).toBe(count.toLocaleString('en'));
    }
  });

  it('times are in UTC and say so', () => {
    expect(formatTime(1_795_291_503_999)).toBe('2026-11-21 20:05:03.999 UTC');
  });

  it('tables line up, numbers to the right, however wide the characters are stored', () => {
    expect(
      formatTable(
        ['path', 'size>', 'n'],
        [
          ['e\u0301.csv', '5 B', 1],
          ['long name', '12 KiB', 22],
        ],
      ),
    ).toBe(
      ['path         size   n', 'e\u0301.csv         5 B   1', 'long name  12 KiB  22'].join('\n'),
    );
    expect(formatTable(['a', 'b'], [])).toBe('a  b');
  });
});

describe('names for people', () => {
  it('shows UTF-8 as it is and other bytes as numbers', () => {
    expect(pathText(Buffer.from('/größe/日本'))).toBe('/größe/日本');
    expect(pathText(Buffer.from([0x2f, 0xc3, 0xb6, 0xff, 0x61, 0xc3]))).toBe('/ö\\xffa\\xc3');
  });

  it('cannot steer a terminal', () => {
    expect(printable('a\u001b[2Jb\nc\u202e\u0085')).toBe('a\\x1b[2Jb\\x0ac\\u{202e}\\u{85}');
    expect(printable('größe 日本 👩‍🔬')).toBe('größe 日本 👩‍🔬');
  });
});

describe('a row of a list', () => {
  const cells = [
    'hplc-1  ',
    '  12 KiB',
    '2026-11-21 20:05:03.123 UTC',
    '/data/a run with blanks/signal.csv',
  ];

  it('is one line where it fits, and where nobody looks', () => {
    const whole =
      'hplc-1      12 KiB  2026-11-21 20:05:03.123 UTC  /data/a run with blanks/signal.csv';
    expect(formatRow(cells, undefined)).toBe(whole);
    expect(formatRow(cells, whole.length)).toBe(whole);
  });

  it('goes on before a cell, never in one, even if that is wider than the terminal', () => {
    expect(formatRow(cells, 80).split('\n')).toEqual([
      'hplc-1      12 KiB  2026-11-21 20:05:03.123 UTC',
      '    /data/a run with blanks/signal.csv',
    ]);
    expect(formatRow(cells, 20).split('\n')).toEqual([
      'hplc-1      12 KiB',
      '    2026-11-21 20:05:03.123 UTC',
      '    /data/a run with blanks/signal.csv',
    ]);
  });
});
