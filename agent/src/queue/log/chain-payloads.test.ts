import { asChainId, asCommitHash } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { reference } from '../../../testing/queue/references-conformance.ts';
import {
  decodeDroppedReferences,
  decodeFork,
  decodeLostMark,
  decodeLostReference,
  decodeReferences,
  encodeDroppedReferences,
  encodeFork,
  encodeLostMark,
  encodeLostReference,
  encodeReferences,
} from './chain-payloads.ts';
import { LayoutWriter } from './codec.ts';

const damaged = expect.objectContaining({ code: 'QUEUE_DAMAGED' });
const filled = (byte: number, length: number): Uint8Array => new Uint8Array(length).fill(byte);
const path = new Uint8Array(Buffer.from('/data/ä'));

const fork = {
  chainId: asChainId(filled(1, 16)),
  from: { chainId: asChainId(filled(2, 16)), sequence: 9, hash: asCommitHash(filled(3, 32)) },
  inherited: false,
};
const lost = { entry: 7, why: 'reference-gone', path } as const;
const references = [
  reference('/data/a', 5),
  { ...reference('/data/b', 6), class: 'bulk', mtimeNs: 2n ** 63n - 1n },
];

const doors: readonly (readonly [
  name: string,
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
  value: unknown,
])[] = [
  ['a fork', encodeFork(fork), decodeFork, fork],
  [
    'a chain that is taken over',
    encodeFork({ ...fork, inherited: true }),
    decodeFork,
    { ...fork, inherited: true },
  ],
  ['a lost reference', encodeLostReference(lost), decodeLostReference, lost],
  ['references', encodeReferences(references), decodeReferences, references],
  ['dropped references', encodeDroppedReferences([path]), decodeDroppedReferences, [path]],
];

describe.each(doors)('the payload of %s', (_name, bytes, decode, value) => {
  test('comes back as it was', () => {
    expect(decode(bytes)).toEqual(value);
  });

  test('is refused when cut anywhere, lengthened, or of another layout', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => decode(bytes.subarray(0, length))).toThrow(damaged);
    expect(() => decode(Buffer.concat([bytes, filled(0, 1)]))).toThrow(damaged);
    expect(() => decode(Buffer.concat([filled(2, 1), bytes.subarray(1)]))).toThrow(damaged);
  });
});

describe('lists of references', () => {
  test.each([0, 65, 0xffff_ffff])('with %d entries are refused before any is read', (count) => {
    const bytes = new LayoutWriter().u8(1).u32(count).raw(filled(0, 5000)).done();
    expect(() => decodeReferences(bytes)).toThrow(damaged);
    expect(() => decodeDroppedReferences(bytes)).toThrow(damaged);
  });

  test('with a reason that nobody knows, an empty path, or a result longer than its path are refused', () => {
    const unknown = Buffer.from(encodeLostReference(lost));
    unknown.writeUInt8(200, 9);
    expect(() => decodeLostReference(unknown)).toThrow(damaged);
    expect(() => decodeDroppedReferences(new LayoutWriter().u8(1).u32(1).u32(0).done())).toThrow(
      damaged,
    );
    expect(() =>
      decodeReferences(encodeReferences([{ ...reference('/a', 1), resultPathLength: 3 }])),
    ).toThrow(damaged);
  });

  test('mark what was lost so that it is never taken for a lost version, nor a lost version for it', () => {
    expect(decodeLostMark(encodeLostMark(lost))).toEqual({ path, why: 'reference-gone' });
    expect(decodeLostMark(path)).toEqual({ path, why: 'version' });
    expect(decodeLostMark(new Uint8Array())).toEqual({ path: undefined, why: 'version' });
  });
});
