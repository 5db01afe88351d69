import { asChunkId, decodeSlab, encodeSlab, pieceOf } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { noise } from '../../testing/bytes.ts';
import { sha256 } from '../crypto/primitives.ts';
import { hashHere } from '../hashing/hasher.ts';
import { slabId } from './slab.ts';
import { slabPlan, soundPieces } from './slab-proof.ts';

const whole = encodeSlab(
  [90, 2, 300].map((length, at) => {
    const sealed = noise(`piece ${at}`, length);
    return { length, hash: sha256(sealed), sealed };
  }),
);
const id = slabId(decodeSlab(whole));
const holed = encodeSlab(
  [0, 1, 2].map((at) => ({
    ...pieceOf(decodeSlab(whole), at),
    ...(at === 1 && { sealed: undefined }),
  })),
);

function proves(bytes: Uint8Array, digest: Uint8Array = id): boolean {
  const plan = slabPlan(bytes);
  if (plan === undefined) return false;
  // Elsewhere and moved, as threads give it back.
  const moved = new Uint8Array(bytes.length + 7);
  moved.set(bytes, 7);
  const { digests } = hashHere(bytes, plan.spans);
  bytes = new Uint8Array(0);
  return plan.holds(moved.subarray(7), digest, digests);
}

describe.each([
  ['whole', whole],
  ['with a hole', holed],
])('a stored slab, %s', (_, slab) => {
  test('is proved by its id, and with any byte changed, cut or longer is not', () => {
    expect(proves(slab)).toBe(true);
    expect(proves(slab, sha256(slab))).toBe(false);
    for (let at = 0; at < slab.length; at += 1) {
      const changed = slab.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(proves(changed)).toBe(false);
      expect(proves(slab.subarray(0, at))).toBe(false);
    }
    expect(proves(Buffer.concat([slab, Buffer.alloc(1)]))).toBe(false);
  });

  test('that rotted in a piece keeps the others, and without its directory or all pieces nothing', () => {
    const first = slab.length - 390 + (slab === whole ? -2 : 0);
    const changed = slab.slice();
    changed[first] = (changed[first] ?? 0) ^ 1;
    const left = soundPieces(changed, id);
    expect(left?.rotten).toEqual([1]);
    expect(proves(left?.bytes ?? new Uint8Array(0))).toBe(true);
    expect(pieceOf(decodeSlab(left?.bytes ?? whole), 0).sealed).toBeUndefined();
    expect(pieceOf(decodeSlab(left?.bytes ?? whole), 2).sealed).toBeDefined();
    expect(soundPieces(slab, id)).toEqual({ bytes: slab, rotten: [] });
    expect(soundPieces(slab, asChunkId(sha256(slab)))).toBeUndefined();
    for (let at = first; at < slab.length; at += 1) changed[at] = (slab[at] ?? 0) ^ 1;
    expect(soundPieces(changed, id)).toBeUndefined();
  });
});
