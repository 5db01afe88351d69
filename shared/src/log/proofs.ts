import type { TreeHead } from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { LogError } from './errors.ts';
import { EMPTY_ROOT, isCount, nodeHash, rootByPath } from './hashing.ts';

/**
 * Checks that the leaf with hash `leaf` is number `index` of the tree of `size` leaves with `root`
 * (RFC 9162 §2.1.3.2).
 *
 * @throws LogError `LOG_INCLUSION`.
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): void {
  const broken = () =>
    new LogError(
      'LOG_INCLUSION',
      `leaf ${index} is not proved to be in the log of ${size} leaves; keep this collector's folder and ask who changed it`,
    );
  const found = rootByPath(leaf, index, size, proof);
  if (found === undefined || !equalBytes(found, root)) throw broken();
}

/**
 * Checks that the tree of `newSize` leaves begins with exactly the leaves of the tree of `oldSize`
 * (RFC 9162 §2.1.4.2). The empty tree is the beginning of every tree, and needs an empty proof.
 *
 * @throws LogError `LOG_CONSISTENCY`.
 */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Uint8Array,
  newSize: number,
  newRoot: Uint8Array,
  proof: readonly Uint8Array[],
): void {
  const broken = () =>
    new LogError(
      'LOG_CONSISTENCY',
      `the log of ${newSize} leaves does not continue the one of ${oldSize}: the collector's history was changed`,
    );
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) throw broken();
  if (oldSize === 0 || oldSize === newSize) {
    const expected = oldSize === 0 ? EMPTY_ROOT : newRoot;
    if (proof.length !== 0 || !equalBytes(oldRoot, expected)) throw broken();
    return;
  }
  let at = oldSize - 1;
  let last = newSize - 1;
  while (at % 2 === 1) {
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  // When the old tree is complete, its root stands for the first step and is not part of the proof.
  const steps = at === 0 ? [oldRoot, ...proof] : proof;
  const [first, ...rest] = steps;
  if (first === undefined) throw broken();
  let old = first;
  let grown = first;
  for (const step of rest) {
    if (last === 0) throw broken();
    if (at % 2 === 1 || at === last) {
      old = nodeHash(step, old);
      grown = nodeHash(step, grown);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      grown = nodeHash(grown, step);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0 || !equalBytes(old, oldRoot) || !equalBytes(grown, newRoot)) throw broken();
}

/**
 * Checks that `newer` continues `older`, within one log epoch.
 *
 * @throws LogError `LOG_EPOCH` when an epoch opening lies between them, `LOG_CONSISTENCY` when
 * history was changed.
 */
export function verifyGrowth(older: TreeHead, newer: TreeHead, proof: readonly Uint8Array[]): void {
  if (older.logEpoch !== newer.logEpoch) {
    throw new LogError(
      'LOG_EPOCH',
      `tree heads of log epochs ${older.logEpoch} and ${newer.logEpoch} need the opening between them`,
    );
  }
  verifyConsistency(older.size, older.root, newer.size, newer.root, proof);
}
