import { describe, expect, it } from 'vitest';
import { parseSize } from './size.ts';

describe('a size as people write it', () => {
  it.each([
    ['0', 0],
    ['53687091200', 53_687_091_200],
    ['100B', 100],
    ['50GB', 50e9],
    ['50gb', 50e9],
    ['50 GB', 50e9],
    ['50GiB', 50 * 2 ** 30],
    ['50gib', 50 * 2 ** 30],
    ['1kB', 1000],
    ['1KiB', 1024],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['0.0001kB', 0],
    ['2TB', 2e12],
    [' 7MiB ', 7 * 2 ** 20],
    ['8PiB', undefined], // 2^53: no number of bytes that JavaScript counts exactly
    ['7PiB', 7 * 2 ** 50],
  ])('%j is %s bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    '',
    'GB',
    '50G',
    '50Gi',
    '-1',
    '1.5',
    '1e9',
    '1,000',
    '50 GB free',
    '0x10',
    'Infinity',
    '50MBit',
    '９GB',
    '1  GB',
    '9'.repeat(17),
  ])('%j is refused', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});
