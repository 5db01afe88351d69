import { type CommitHash, encodeLogLeaf, type ReceiptBody } from '@aliquot/proto';
import { sha256 } from '../crypto/primitives.ts';
import { leafHash } from './hashing.ts';

/** The leaf of an accepted commit. `receivedAtMs` is the time that its receipt states. */
export function commitLeaf(hash: CommitHash, receivedAtMs: number): Uint8Array {
  return encodeLogLeaf({ version: 1, type: 'commit', timeMs: receivedAtMs, subject: hash });
}

/** The leaf of an audit event: names it by the SHA-256 of its encoded bytes. */
export function eventLeaf(event: Uint8Array, timeMs: number): Uint8Array {
  return encodeLogLeaf({ version: 1, type: 'event', timeMs, subject: sha256(event) });
}

/** The leaf hash that a receipt promises to be at its `leafIndex`. */
export function receiptLeafHash(receipt: ReceiptBody): Uint8Array {
  return leafHash(commitLeaf(receipt.commitHash, receipt.receivedAtMs));
}
