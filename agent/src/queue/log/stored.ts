import { type CommitHash, decodeEntryDraft, encodeSignedCommit } from '@aliquot/proto';
import { aeadOpen, CryptoError, equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Position } from '@aliquot/shared/records/format';
import { QueueError } from './errors.ts';
import { decodeCommitPlace, type LoggedCommit, numberKey } from './index-rows.ts';
import type { QueueFiles } from './open-queue.ts';
import { decodeSignedRecord, decodeVersion, splitDrafts } from './payloads.ts';
import { entriesIn } from './remains.ts';
import { decodeResultDraft, type QueuedDraft } from './result-draft.ts';

/*
 * Reads back what the logs hold: signed commits, and the drafts of versions that wait.
 */

/** A signed commit as the chain log has it. */
export interface KeptCommit {
  readonly sequence: number;
  readonly hash: CommitHash;
  /** The encoded `SignedCommit`; of one that is lost its header alone. */
  readonly bytes: Uint8Array;
  /** Its record has rotted. */
  readonly isLost: boolean;
  readonly entries: number;
  /** The queue's number of the version in each slot. */
  readonly entryNumbers: readonly number[];
}

/** A draft, with the length of its encoding. */
export interface StoredDraft {
  readonly draft: QueuedDraft;
  readonly bytes: number;
}

/** Undefined when no commit of this sequence was signed. */
export async function readSigned(
  files: QueueFiles,
  sequence: number,
): Promise<KeptCommit | undefined> {
  const value = await files.index.get(numberKey('c', sequence));
  if (value === undefined) return undefined;
  const place = decodeCommitPlace(value);
  const kept = place.isLost ? undefined : await signedAt(files, place);
  const { hash, numbers, header, signature } = place;
  return {
    sequence,
    hash: hash as CommitHash,
    bytes: kept ?? encodeSignedCommit({ ...headerOnly, header, signature }),
    isLost: kept === undefined,
    entries: place.entries,
    entryNumbers: entriesIn(numbers),
  };
}

const headerOnly = {
  ...{ blocks: [], wraps: [], headerOnly: true, lacking: [] },
  lossSignature: undefined,
};

/** Undefined when the record is not what it was. */
async function signedAt(
  { chain }: QueueFiles,
  { at, hash }: LoggedCommit,
): Promise<Uint8Array | undefined> {
  try {
    const { header, payload } = await chain.read(at);
    const record = header.kind === 'signed' ? decodeSignedRecord(payload) : undefined;
    return record !== undefined && equalBytes(record.hash, hash) ? record.commit : undefined;
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    return undefined;
  }
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

/** The paths that a record of unsigned versions says in clear; none when it is unreadable. */
export async function pathsAt(
  { segments }: QueueFiles,
  at: Position,
): Promise<readonly Uint8Array[]> {
  try {
    const { head } = decodeVersion((await segments.read(at)).payload);
    return head.rows.map(({ path }) => path);
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
    return [];
  }
}

/** The drafts of a record of unsigned versions; undefined when record or key is damaged. */
export async function openDrafts(
  files: Pick<QueueFiles, 'segments' | 'keys'>,
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
