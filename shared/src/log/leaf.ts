import {
  type AgentId,
  type CommitHash,
  decodeEventBody,
  encodeLogLeaf,
  type ReceiptBody,
} from '@aliquot/proto';
import { sha256 } from '../crypto/primitives.ts';
import { leafHash } from './hashing.ts';

/**
 * The leaf of an accepted commit. `receivedAtMs` is the time that its receipt states; `lossHash`
 * what its agent declared lost with it, which covers the commit's hash. No receipt holds for a leaf
 * that names another agent, so each agent sees to it that its commits are found.
 */
export function commitLeaf(
  agentId: AgentId,
  hash: CommitHash,
  receivedAtMs: number,
  lossHash: Uint8Array | undefined,
): Uint8Array {
  const subject = lossHash ?? hash;
  return encodeLogLeaf({ version: 1, type: 'commit', timeMs: receivedAtMs, subject, agentId });
}

/**
 * The leaf of an audit event: names it by the SHA-256 of its encoded bytes. That it corrects the
 * times of others stands in the leaf, so that nobody can keep a correction from who walks over all
 * leaves. @throws FormatError
 */
export function eventLeaf(event: Uint8Array, timeMs: number): Uint8Array {
  return encodeLogLeaf({
    version: 1,
    type: decodeEventBody(event).type === 'clockCorrected' ? 'correction' : 'event',
    timeMs,
    subject: sha256(event),
    agentId: undefined,
  });
}

/** The leaf hash that a receipt promises to be at its `leafIndex`. */
export function receiptLeafHash(receipt: ReceiptBody): Uint8Array {
  const { agentId, commitHash, receivedAtMs, lossHash } = receipt;
  return leafHash(commitLeaf(agentId, commitHash, receivedAtMs, lossHash));
}
