/**
 * FORMAT.md, "Loss": an agent's signed statement that the content of versions of a commit is lost.
 * It travels with the commit, before its receipt or not at all: the leaf of the log covers it, so
 * whoever has the key later can take nothing away from what has its receipt.
 */
import {
  type CommitHash,
  type CommitHeader,
  decodeSignedCommit,
  encodeSignedCommit,
} from '@aliquot/proto';
import { labelled, sha256 } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import { commitHash } from './rows.ts';

const LOSS = 'aliquot/v1/commit-loss';
const LOSS_HASH = 'aliquot/v1/commit-loss-hash';

/** Commit hash, then the slots, rising, each as a u32 big-endian; no slot: all of it. */
function statement(hash: CommitHash, lacking: readonly number[]): Uint8Array {
  const body = Buffer.alloc(hash.length + 4 * lacking.length);
  body.set(hash);
  for (const [at, slot] of lacking.entries()) body.writeUInt32BE(slot, hash.length + 4 * at);
  return body;
}

/**
 * Whether the holder of this key said that these slots, or with none all of the commit, are lost.
 */
export function lossHolds(
  signKey: Uint8Array,
  hash: CommitHash,
  lacking: readonly number[],
  signature: Uint8Array,
): boolean {
  return signatureHolds(signKey, LOSS, { body: statement(hash, lacking), signature });
}

/** Whether a commit has each of these slots. */
export function hasSlots({ entryCount }: CommitHeader, lacking: readonly number[]): boolean {
  return lacking.every((slot) => slot < entryCount);
}

/** What the log's leaf names in the place of the commit's hash, which it covers. */
export function lossHash(hash: CommitHash, lacking: readonly number[]): Uint8Array {
  return sha256(labelled(LOSS_HASH), statement(hash, lacking));
}

/**
 * The same commit, same header and signature, with the agent's signed statement that the content of
 * the versions in some slots is lost.
 */
export function withoutVersions(
  bytes: Uint8Array,
  slots: readonly number[],
  signKey: SigningKey,
): Uint8Array {
  const commit = decodeSignedCommit(bytes);
  const lacking = [...new Set([...commit.lacking, ...slots])].sort((a, b) => a - b);
  const { signature } = sign(signKey, LOSS, statement(commitHash(commit.header), lacking));
  return encodeSignedCommit({ ...commit, lacking, lossSignature: signature });
}

/** What is left of a commit whose blocks are gone: what follows it can go on. */
export interface CommitRemains {
  /** Exactly as it was signed, with its signature. */
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
}

/** A commit of which only the header is left, with the agent's statement that the rest is lost. */
export function lostCommit({ header, signature }: CommitRemains, signKey: SigningKey): Uint8Array {
  return encodeSignedCommit({
    ...{ header, signature, blocks: [], wraps: [], headerOnly: true, lacking: [] },
    lossSignature: sign(signKey, LOSS, statement(commitHash(header), [])).signature,
  });
}
