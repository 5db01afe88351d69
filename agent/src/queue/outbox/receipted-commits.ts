import { asCommitHash, type CommitHash, decodeReceiptBody, decodeSigned } from '@aliquot/proto';
import type { QueueFiles } from '../log/open-queue.ts';
import { decodeReceiptRecord, decodeSignedRecord } from '../log/payloads.ts';

/** A commit that this folder's chain log has, and a receipt for. */
export interface OwnCommit {
  readonly sequence: number;
  readonly hash: CommitHash;
  /** The encoded `SignedCommit`. */
  readonly commit: Uint8Array;
  /** It is the first behind the time that was asked for. */
  readonly isAfter: boolean;
}

/**
 * Every commit with a receipt of `atMs` or before (0: with any), in their order, and the first one
 * after that, whose versions may be older than their receipt. None of which a part was
 * declared lost. Reads the whole chain log twice; memory is that of one commit.
 */
export async function* receiptedCommitsIn(
  files: QueueFiles,
  atMs: number,
): AsyncGenerator<OwnCommit, void, void> {
  const { receiptedSequence } = files.index.state;
  let through = atMs > 0 ? 0 : receiptedSequence;
  const incomplete = new Set<number>();
  for await (const item of files.chain.scan()) {
    if (item.type !== 'record' || item.payload === undefined) continue;
    if (item.header.kind !== 'receipt') continue;
    const { sequence, receivedAtMs, receipt } = decodeReceiptRecord(item.payload);
    if (atMs > 0 && receivedAtMs <= atMs) through = Math.max(through, sequence);
    if (decodeReceiptBody(decodeSigned(receipt).body).lossHash !== undefined)
      incomplete.add(sequence);
  }
  const last = Math.min(through + 1, receiptedSequence);
  for await (const item of files.chain.scan()) {
    if (item.type !== 'record' || item.payload === undefined) continue;
    if (item.header.kind !== 'signed') continue;
    const { sequence, hash, commit } = decodeSignedRecord(item.payload);
    if (sequence > last || incomplete.has(sequence)) continue;
    yield { sequence, hash: asCommitHash(hash), commit, isAfter: sequence > through };
  }
}
