import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refusalOf } from '../../testing/damage.ts';
import {
  asChunkId,
  checkClientBody,
  checkServerBody,
  encodeFrame,
  MAX_COMMIT_BYTES,
  MAX_FRAME_BYTES,
  MAX_FRAME_HEADER_BYTES,
  splitFrame,
  splitItems,
} from '../index.ts';

const header = Uint8Array.of(1, 2, 3);
const id = asChunkId(new Uint8Array(32).fill(9));

describe('a frame', () => {
  it('comes apart as it was put together, also from a Buffer inside a larger one', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 80 }),
        fc.uint8Array({ maxLength: 80 }),
        (head, body) => {
          const frame = encodeFrame(head, body);
          expect(splitFrame(frame)).toEqual({ header: head, body });
          const inside = Buffer.concat([Buffer.alloc(5), frame, Buffer.alloc(3)]).subarray(
            5,
            5 + frame.length,
          );
          expect(splitFrame(inside)).toEqual({ header: head, body });
        },
      ),
    );
  });

  it('has a header length of four bytes, big-endian', () => {
    expect([...encodeFrame(header, Uint8Array.of(9))]).toEqual([0, 0, 0, 3, 1, 2, 3, 9]);
  });

  it('keeps its limits: header and whole', () => {
    expect(refusalOf(() => encodeFrame(new Uint8Array(MAX_FRAME_HEADER_BYTES)))).toBeUndefined();
    expect(refusalOf(() => encodeFrame(new Uint8Array(MAX_FRAME_HEADER_BYTES + 1)))).toBe(
      'FORMAT_LIMIT',
    );
    expect(
      refusalOf(() => encodeFrame(header, new Uint8Array(MAX_FRAME_BYTES - 7))),
    ).toBeUndefined();
    expect(refusalOf(() => encodeFrame(header, new Uint8Array(MAX_FRAME_BYTES - 6)))).toBe(
      'FORMAT_LIMIT',
    );
    expect(refusalOf(() => splitFrame(new Uint8Array(MAX_FRAME_BYTES + 1)))).toBe('FORMAT_LIMIT');
    expect(refusalOf(() => splitFrame(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1)))).toBe(
      'FORMAT_LIMIT',
    );
  });

  it.each([[[]], [[0, 0, 0]], [[0, 0, 0, 0, 1]], [[0, 0, 0, 2, 1]]])(
    'that is cut off or empty is refused: %j',
    (bytes) => {
      expect(refusalOf(() => splitFrame(Uint8Array.from(bytes)))).toBe('FORMAT_MALFORMED');
    },
  );
});

describe('the body of a frame', () => {
  const items = [
    { id, kind: 'chunk' as const, size: 2 },
    { id, kind: 'page' as const, size: 3 },
  ];

  it('is exactly its items, in order', () => {
    const body = Uint8Array.of(1, 2, 3, 4, 5);
    checkClientBody({ type: 'chunks', items }, body);
    checkServerBody({ type: 'chunkData', requestId: 1, items, last: true, missing: [] }, body);
    expect([...splitItems(items, body)].map(({ kind, bytes }) => [kind, [...bytes]])).toEqual([
      ['chunk', [1, 2]],
      ['page', [3, 4, 5]],
    ]);
    for (const size of [4, 6]) {
      expect(
        refusalOf(() => checkClientBody({ type: 'chunks', items }, new Uint8Array(size))),
      ).toBe('FORMAT_MALFORMED');
    }
  });

  it('is refused where the frame has none, and missed where it has one', () => {
    expect(
      refusalOf(() => checkClientBody({ type: 'state', requestId: 1, atMs: 0 }, Uint8Array.of(1))),
    ).toBe('FORMAT_MALFORMED');
    expect(
      refusalOf(() => checkServerBody({ type: 'stateEnd', requestId: 1 }, Uint8Array.of(1))),
    ).toBe('FORMAT_MALFORMED');
    expect(
      refusalOf(() => checkClientBody({ type: 'heartbeat', requestId: 1 }, new Uint8Array(0))),
    ).toBe('FORMAT_MALFORMED');
    expect(
      refusalOf(() =>
        checkClientBody({ type: 'commit', requestId: 1 }, new Uint8Array(MAX_COMMIT_BYTES)),
      ),
    ).toBeUndefined();
    expect(
      refusalOf(() =>
        checkClientBody({ type: 'commit', requestId: 1 }, new Uint8Array(MAX_COMMIT_BYTES + 1)),
      ),
    ).toBe('FORMAT_LIMIT');
  });
});
