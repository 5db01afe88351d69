import { randomBytes } from 'node:crypto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { digestsAt, type Hasher, hereHasher } from '@aliquot/shared/hashing/hasher';
import { afterAll, describe, expect, it } from 'vitest';
import { HashPool } from './hash-pool.ts';

const pool = new HashPool(2);
afterAll(() => pool.close());

const makers: readonly (readonly [string, Hasher])[] = [
  ['on the spot', hereHasher],
  ['in threads', pool],
];

describe.each(makers)('hashing %s', (_name, hasher) => {
  it.each([0, 1, 4096, 128 * 1024 - 1, 128 * 1024, 3_000_000])(
    'gives the digest of each span of %i bytes, and the bytes back',
    async (size) => {
      const bytes = new Uint8Array(randomBytes(size));
      const same = bytes.slice();
      const spans = [
        { offset: 0, length: size },
        { offset: size >> 1, length: size >> 2 },
        { offset: size, length: 0 },
      ];
      const hashed = await hasher.hash(bytes, spans);
      expect(Buffer.compare(hashed.bytes, same)).toBe(0);
      for (const [index, { offset, length }] of spans.entries()) {
        expect(digestsAt(hashed, index, 1)).toEqual(sha256(same.subarray(offset, offset + length)));
      }
    },
  );

  it('finds spans in a view that begins inside its buffer', async () => {
    const whole = new Uint8Array(randomBytes(600_000));
    const same = whole.slice();
    const hashed = await hasher.hash(whole.subarray(100_000, 500_000), [
      { offset: 7, length: 300_000 },
    ]);
    expect(digestsAt(hashed, 0, 1)).toEqual(sha256(same.subarray(100_007, 400_007)));
    expect(Buffer.compare(hashed.bytes, same.subarray(100_000, 500_000))).toBe(0);
  });

  it('answers many callers, each with its own', async () => {
    const all = Array.from({ length: 12 }, (_, at) => new Uint8Array(200_000).fill(at));
    const wanted = all.map((one) => sha256(one));
    const hashed = await Promise.all(
      all.map((one) => hasher.hash(one, [{ offset: 0, length: one.length }])),
    );
    expect(hashed.map((one) => digestsAt(one, 0, 1))).toEqual(wanted);
  });
});

it('a hash pool that is closed rejects what it was asked, and is none the worse for the next question', async () => {
  const closing = new HashPool(1);
  const asked = closing.hash(new Uint8Array(1 << 20), [{ offset: 0, length: 1 << 20 }]);
  await Promise.all([expect(asked).rejects.toThrow('stopped'), closing.close()]);
  const again = await closing.hash(new Uint8Array(1 << 20), [{ offset: 0, length: 1 << 20 }]);
  expect(digestsAt(again, 0, 1)).toEqual(sha256(new Uint8Array(1 << 20)));
  await closing.close();
});
