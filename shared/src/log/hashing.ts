import { sha256 } from '../crypto/primitives.ts';

/**
 * The hashes of the Merkle tree of RFC 6962 §2.1 (and RFC 9162 §2.1). The prefix bytes keep a leaf
 * from ever being taken for a node, so nobody can pass an inner node off as a leaf.
 */
const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** The root of a tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = sha256();

/** SHA-256(0x00 ‖ leaf). */
export function leafHash(leaf: Uint8Array): Uint8Array {
  return sha256(LEAF_PREFIX, leaf);
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE_PREFIX, left, right);
}

/**
 * The largest power of two smaller than `size` (`size` ≥ 2): where RFC 6962 divides a tree. Safe up
 * to 2^53.
 */
export function splitPoint(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

/** The Merkle root over leaves. Test only: the published vectors are given as leaves. */
export function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  return rootOfHashes(leaves.map(leafHash));
}

/** The Merkle root over leaf hashes; a purged leaf takes part by its hash alone. */
export function rootOfHashes(hashes: readonly Uint8Array[]): Uint8Array {
  let level = hashes;
  if (level.length === 0) return EMPTY_ROOT;
  // Pairing neighbours and passing an odd last one upward gives the same tree as the RFC's
  // recursive division.
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array;
      const right = level[i + 1];
      above.push(right === undefined ? left : nodeHash(left, right));
    }
    level = above;
  }
  return level[0] as Uint8Array;
}
