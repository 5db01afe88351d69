import { type CommitHash, decodeEntryDraft } from '@aliquot/proto';
import { aeadOpen, CryptoError } from '@aliquot/shared/crypto/primitives';
import type { Position } from '@aliquot/shared/records/format';
import { QueueError } from './errors.ts';
import { decodeCommitPlace, numberKey } from './index-rows.ts';
import type { QueueFiles } from './open-queue.ts';
import { decodeSignedRecord, decodeVersion, splitDrafts } from './payloads.ts';
import { decodeResultDraft, type QueuedDraft } from './result-draft.ts';

/*
 * Reads back what the logs hold: signed commits, and the drafts of versions that wait.
 */

/** A signed commit as the chain log has it. */
export interface KeptCommit {
  readonly sequence: number;
  readonly hash: CommitHash;
  /** The encoded `SignedCommit`. */
  readonly bytes: Uint8Array;
  readonly entries: number;
  /** The queue's number of the version in each slot. */
  readonly entryNumbers: readonly number[];
}

/** A draft, with the length of its encoding. */
export interface StoredDraft {
  readonly draft: QueuedDraft;
  readonly bytes: number;
}

/** Undefined when no commit of this sequence was signed. Errors: `QUEUE_DAMAGED`. */
export async function readSigned(
  files: QueueFiles,
  sequence: number,
): Promise<KeptCommit | undefined> {
  const value = await files.index.get(numberKey('c', sequence));
  if (value === undefined) return undefined;
  const { payload } = await files.chain.read(decodeCommitPlace(value).at);
  const record = decodeSignedRecord(payload);
  return {
    sequence,
    hash: record.hash as CommitHash,
    bytes: record.commit,
    entries: record.entries.length,
    entryNumbers: record.entries,
  };
}

/** Numbers of the versions in these slots of a commit. */
export async function entriesOf(
  files: QueueFiles,
  sequence: number,
  slots: readonly number[],
): Promise<readonly number[]> {
  const commit = await readSigned(files, sequence);
  return slots.map((slot) => commit?.entryNumbers[slot]).filter((entry) => entry !== undefined);
}

/** The drafts of a record of unsigned versions; undefined when record or key is damaged. */
export async function openDrafts(
  files: QueueFiles,
  at: Position,
): Promise<readonly StoredDraft[] | undefined> {
  try {
    const { payload } = await files.segments.read(at);
    const { head, clear, sealedDrafts } = decodeVersion(payload);
    const opened = aeadOpen(await files.keys.get(head.batch), head.nonce, sealedDrafts, clear);
    return splitDrafts(opened, head.rows.length).map((bytes, at) => ({
      draft:
        head.rows[at]?.result === undefined ? decodeEntryDraft(bytes) : decodeResultDraft(bytes),
      bytes: bytes.length,
    }));
  } catch (error) {
    if (
      (error instanceof QueueError && error.code === 'QUEUE_DAMAGED') ||
      error instanceof CryptoError
    )
      return undefined;
    throw error;
  }
}
