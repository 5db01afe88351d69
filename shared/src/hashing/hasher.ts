import { sha256 } from '../crypto/primitives.ts';

/** Where something lies in a run of bytes. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** A run of bytes with the SHA-256 of each span that was asked for: 32 bytes each, in order. */
export interface Hashed {
  readonly bytes: Uint8Array;
  readonly digests: Uint8Array;
}

/**
 * Hashes what lies in large runs of bytes, perhaps elsewhere: `HashPool` does it in threads.
 *
 * `hash` takes the bytes over. The caller goes on with those that come back, which are the same but
 * may stand in another place, and touches the old ones no more. Any number of calls may run at
 * once.
 */
export interface Hasher {
  hash(bytes: Uint8Array, spans: readonly Span[]): Promise<Hashed>;
  /** The same of several runs, which another thread is given in one message. */
  hashMany(runs: readonly HashRun[]): Promise<readonly Hashed[]>;
}

/** Bytes, and what of them is to be hashed. */
export interface HashRun {
  readonly bytes: Uint8Array;
  readonly spans: readonly Span[];
}

const DIGEST_BYTES = 32;

/** Hashes on the spot. */
export const hereHasher: Hasher = {
  hash: async (bytes, spans) => hashHere(bytes, spans),
  hashMany: async (runs) => runs.map(({ bytes, spans }) => hashHere(bytes, spans)),
};

export function hashHere(bytes: Uint8Array, spans: readonly Span[]): Hashed {
  const digests = new Uint8Array(spans.length * DIGEST_BYTES);
  for (const [index, { offset, length }] of spans.entries()) {
    digests.set(sha256(bytes.subarray(offset, offset + length)), index * DIGEST_BYTES);
  }
  return { bytes, digests };
}

/** The digests of `count` spans among those of all, one behind the other. */
export function digestsAt({ digests }: Hashed, index: number, count: number): Uint8Array {
  return digests.subarray(index * DIGEST_BYTES, (index + count) * DIGEST_BYTES);
}
