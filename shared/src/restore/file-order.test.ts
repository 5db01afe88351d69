import { asChunkId } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packOrder, unpackOrder } from './file-order.ts';
import type { PlacedFile } from './placing.ts';

const buffers = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes));
const sizes = fc.oneof(fc.nat(), fc.maxSafeNat());
const hashes = buffers(32, 32);

const placedFiles: fc.Arbitrary<PlacedFile> = fc.record({
  spec: fc.record(
    {
      platform: fc.constantFrom('posix', 'windows'),
      path: buffers(300),
      mtimeNs: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      mode: fc.nat(0o7777),
      attributes: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      size: sizes,
      sha256: fc.oneof(hashes, buffers(0)),
    },
    { requiredKeys: ['platform', 'path', 'mtimeNs', 'mode', 'size', 'sha256'] },
  ),
  content: fc.record({
    depth: fc.nat(8),
    piece: fc.nat(256),
    refs: fc.array(
      fc.record({
        id: hashes.map(asChunkId),
        plainSize: sizes,
        epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      }),
      { maxLength: 5 },
    ),
  }),
  keys: fc.array(hashes, { maxLength: 5 }),
  placed: fc.record({
    final: buffers(300),
    isNew: fc.boolean(),
    part: fc.option(fc.record({ path: buffers(300, 1), size: sizes }), { nil: undefined }),
  }),
});

describe('an order for another thread', () => {
  it('holds every field of every file', () => {
    fc.assert(
      fc.property(fc.array(placedFiles, { maxLength: 6 }), (files) => {
        expect(unpackOrder(packOrder(files))).toEqual(files);
      }),
    );
  });
});
