import { describe, expect, test } from 'vitest';
import {
  decodeEarlier,
  decodeEarlierRow,
  decodeHead,
  decodeLive,
  type EarlierVersion,
  encodeEarlier,
  encodeHead,
  encodeLive,
  type HeadRow,
  timesIn,
  untilOf,
} from './version-rows.ts';

const head: HeadRow = {
  timeMs: 1_700_000_000_000,
  leafIndex: 123_456,
  slot: 16_383,
  kind: 'file',
  size: 4096,
};

describe('the row of a file’s newest version', () => {
  test.each<[string, Partial<HeadRow>]>([
    ['as most are', {}],
    ['at the beginning of everything', { timeMs: 0, leafIndex: 0, slot: 0, size: 0 }],
    ['at the end', { timeMs: 2 ** 48 - 1, leafIndex: 2 ** 47, size: Number.MAX_SAFE_INTEGER }],
    ['gone', { kind: 'gone', size: 0 }],
    ['a link', { kind: 'symlink' }],
  ])('comes back, %s', (_, change) => {
    const row = { ...head, ...change };
    expect(decodeHead(encodeHead(row))).toEqual(row);
  });

  test('has some 14 bytes, and cut anywhere, or of an unknown kind, it is none', () => {
    const bytes = encodeHead(head);
    expect(bytes.length).toBe(14);
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => decodeHead(bytes.subarray(0, length))).toThrow('not of this release');
    const unknown = Buffer.from(bytes);
    unknown[11] = 9;
    expect(() => decodeHead(unknown)).toThrow('not of this release');
    expect(() => decodeHead(Buffer.alloc(40, 0xff))).toThrow('not of this release');
  });

  test('holds no number that it could not give back', () => {
    for (const change of [{ timeMs: 2 ** 48 }, { timeMs: -1 }, { size: 2 ** 53 }, { slot: 0.5 }])
      expect(() => encodeHead({ ...head, ...change })).toThrow('cannot hold');
  });
});

describe('the row of what is live', () => {
  test('comes back, and is none where nothing is', () => {
    const bits = new Uint8Array(32);
    expect(encodeLive({ afterMs: 7, bits })).toBeUndefined();
    bits[1] = 0b100;
    for (const afterMs of [undefined, 0, 1_700_000_000_000]) {
      const bytes = encodeLive({ afterMs, bits });
      expect(bytes).toHaveLength(8);
      expect(decodeLive(bytes ?? Buffer.alloc(0))).toEqual({ afterMs, bits });
    }
    expect(() => decodeLive(Buffer.alloc(5))).toThrow('not of this release');
  });
});

describe('the row of what versions followed', () => {
  const earlier: EarlierVersion = {
    ...{ timeMs: 5, leafIndex: 2 ** 40, slot: 300, kind: 'directory', followedMs: 9 },
    replacedBy: undefined,
  };
  const nothing = new Map<number, never>();

  test('comes back in the order of slots, and is none where there is nothing', () => {
    const row = new Map([
      [255, earlier],
      [0, { ...earlier, kind: 'gone' as const }],
    ]);
    const bytes = encodeEarlier({ earlier: row, alone: nothing });
    expect(bytes).toHaveLength(44);
    expect([...decodeEarlier(bytes ?? Buffer.alloc(0))]).toEqual([...row].reverse());
    expect(encodeEarlier({ earlier: nothing, alone: nothing })).toBeUndefined();
    expect(() => decodeEarlier((bytes ?? Buffer.alloc(0)).subarray(1))).toThrow();
  });

  test('says of what was dropped when it took the place of what is left, and when what it stood before began', () => {
    const replacedBy = { leafIndex: 2 ** 41, slot: 16_383, timeMs: 7 };
    const row = {
      earlier: new Map([[3, { ...earlier, replacedBy }]]),
      alone: new Map([
        [2, 77],
        [9, 88],
      ]),
    };
    const bytes = encodeEarlier(row) ?? Buffer.alloc(0);
    expect(bytes).toHaveLength(22 + 14 + 2 * 8);
    expect(decodeEarlierRow(bytes)).toEqual(row);
    expect([...timesIn(row)].sort()).toEqual([
      [2, 77],
      [3, 9],
      [9, 88],
    ]);
    expect(untilOf({ ...earlier, replacedBy })).toBe(7);
    expect(untilOf(earlier)).toBe(9);
    expect(() => decodeEarlierRow(bytes.subarray(0, -1))).toThrow('not of this release');
  });
});
