import { type CommitHash, decodeEntryDraft, type EntryDraft, MAX_COMMIT_BYTES, MAX_COMMIT_ENTRIES } from '@aliquot/proto';
import { NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { aeadOpen, CryptoError } from '@aliquot/shared/crypto/primitives';
import { decodeCommitPlace, decodeUnsigned } from './apply.ts';
import { QueueError } from './errors.ts';
import { familyRange, numberInKey, numberKey } from './index-keys.ts';
import type { QueueFiles } from './open-queue.ts';
import { decodeSignedRecord, decodeVersion, encodeSignedRecord } from './payloads.ts';
import type { CommitSigner, QueuedCommit } from './queue.ts';

/** What an entry may be larger than its draft: salts, tags, field headers. */
const ENTRY_OVERHEAD_BYTES = 512;
/** Room for header, wraps and signature. */
const COMMIT_OVERHEAD_BYTES = 16 * 1024;

export interface CutCommit {
  /** The payload of the `signed` record; undefined when nothing is queued. */
  readonly record: Uint8Array | undefined;
  /** Versions whose record or key is damaged: they can never be sent. */
  readonly unreadable: readonly number[];
}

/**
 * Takes the oldest unsigned versions, as many as one commit holds, and has them signed. Changes nothing: the caller makes
 * the record durable before anybody sees the commit (I-A4). Everything must be flushed before.
 */
export async function cutCommit(files: QueueFiles, signer: CommitSigner): Promise<CutCommit> {
  const { index } = files;
  const drafts: EntryDraft[] = [];
  const entries: number[] = [];
  const unreadable: number[] = [];
  let room = MAX_COMMIT_BYTES - COMMIT_OVERHEAD_BYTES;
  let itemBytes = 0;
  let oldestMs = Number.MAX_SAFE_INTEGER;
  let holdSegment = Number.MAX_SAFE_INTEGER;
  for await (const [key, value] of index.iterate(familyRange('q'), { limit: MAX_COMMIT_ENTRIES })) {
    const place = decodeUnsigned(value);
    const opened = await openDraft(files, place.at);
    if (opened === undefined) {
      unreadable.push(numberInKey(key));
      continue;
    }
    room -= opened.bytes + ENTRY_OVERHEAD_BYTES;
    if (room < 0 && drafts.length > 0) break;
    drafts.push(opened.draft);
    entries.push(numberInKey(key));
    itemBytes += place.itemBytes;
    oldestMs = Math.min(oldestMs, place.capturedAtMs);
    holdSegment = Math.min(holdSegment, place.holdSegment);
  }
  if (drafts.length === 0) return { record: undefined, unreadable };
  const head = index.state.chainHead;
  const sequence = (head?.sequence ?? 0) + 1;
  const predecessor = head === undefined ? NO_PREDECESSOR : (new Uint8Array(Buffer.from(head.hash, 'hex')) as CommitHash);
  const { bytes, hash } = signer.sign({ sequence, predecessor, drafts });
  const record = encodeSignedRecord({ sequence, hash, itemBytes, oldestMs, holdSegment, entries, commit: bytes });
  return { record, unreadable };
}

/** A signed commit from the chain log, with the queue's numbers of its slots. */
export async function readSigned(
  files: QueueFiles,
  sequence: number,
): Promise<(QueuedCommit & { readonly entryNumbers: readonly number[] }) | undefined> {
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

async function openDraft(
  files: QueueFiles,
  at: { readonly file: number; readonly offset: number },
): Promise<{ readonly draft: EntryDraft; readonly bytes: number } | undefined> {
  try {
    const { payload } = await files.segments.read(at);
    const { head, clear, sealedDraft } = decodeVersion(payload);
    const bytes = aeadOpen(await files.keys.get(head.batch), head.nonce, sealedDraft, clear);
    return { draft: decodeEntryDraft(bytes), bytes: bytes.length };
  } catch (error) {
    if ((error instanceof QueueError && error.code === 'QUEUE_DAMAGED') || error instanceof CryptoError) return undefined;
    throw error;
  }
}
