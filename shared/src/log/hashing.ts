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
  while (level.length > 1) level = levelAbove(level);
  return level[0] as Uint8Array;
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const left = level[i] as Uint8Array;
    const right = level[i + 1];
    above.push(right === undefined ? left : nodeHash(left, right));
  }
  return above;
}

/** The hashes that lead from the leaf at `index` to the root over all of them (RFC 6962 §2.1.1). */
export function pathTo(hashes: readonly Uint8Array[], index: number): Uint8Array[] {
  const path: Uint8Array[] = [];
  let level = hashes;
  for (let at = index; level.length > 1; at = Math.floor(at / 2)) {
    const sibling = level[at % 2 === 0 ? at + 1 : at - 1];
    if (sibling !== undefined) path.push(sibling);
    level = levelAbove(level);
  }
  return path;
}

/**
 * The root that a path leads to from the leaf at `index` of `size` (RFC 9162 §2.1.3.2); undefined
 * when the path does not fit the place.
 */
export function rootByPath(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  if (!isCount(index) || !isCount(size) || index >= size) return undefined;
  let at = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return undefined;
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? hash : undefined;
}

/** A number that counts leaves. */
export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
