/**
 * What the collector of tests holds, and where a commit belongs in it. Nothing outside tests
 * imports this file.
 */
import type { ChainPoint, CommitHash, Signed, StoredKind } from '@aliquot/proto';
import type { VerifiedCommit } from '@aliquot/shared/commit/commit';
import { hex } from '@aliquot/shared/crypto/bytes';

interface Opening {
  readonly opening: Signed;
  readonly leaf: Uint8Array;
  readonly index: number;
}

export interface HeldCommit {
  readonly hash: CommitHash;
  readonly bytes: Uint8Array;
  readonly verified: VerifiedCommit;
  readonly receipt: Signed;
}

/** Everything that a collector has on disk: copied aside and put back, it is a rollback. */
export interface Held {
  leaves: Uint8Array[];
  items: Map<string, { readonly kind: StoredKind; readonly bytes: Uint8Array }>;
  /** The agent's trunk. */
  commits: HeldCommit[];
  /** Histories that are held apart. */
  apart: HeldCommit[][];
  epoch: number;
  openings: Opening[];
}

/** The trunk, then what is held apart. */
export function linesOf(held: Held): readonly HeldCommit[][] {
  return [held.commits, ...held.apart];
}

/** The newest commit under a chain id, on the trunk if it is there. */
export function chainHeadOf(held: Held, chainId: Uint8Array): ChainPoint | undefined {
  for (const line of linesOf(held)) {
    const last = line.findLast(({ verified }) => hex(verified.header.chainId) === hex(chainId));
    if (last !== undefined)
      return {
        chainId: last.verified.header.chainId,
        sequence: last.verified.header.sequence,
        hash: last.hash,
      };
  }
  return undefined;
}

export function commitOf(held: Held, hash: Uint8Array): HeldCommit | undefined {
  return linesOf(held)
    .flat()
    .find((commit) => hex(commit.hash) === hex(hash));
}

/**
 * The history that a new commit goes on with, a new one that is held apart, or undefined when it
 * fits nowhere.
 */
export function lineFor(held: Held, { header }: VerifiedCommit): HeldCommit[] | undefined {
  const isRoot = header.sequence === 1 && header.forkedFrom === undefined;
  if (isRoot) return held.commits.length === 0 ? held.commits : [];
  const parent = header.forkedFrom?.hash ?? header.predecessor;
  const going = linesOf(held).find(
    (line) => hex(line[line.length - 1]?.hash ?? new Uint8Array()) === hex(parent),
  );
  if (going !== undefined && (going !== held.commits || header.forkedFrom === undefined))
    return going;
  return header.forkedFrom !== undefined || commitOf(held, parent) !== undefined ? [] : undefined;
}
