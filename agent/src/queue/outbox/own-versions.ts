import type { EntryKind, FileId } from '@aliquot/proto';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import type { Position } from '@aliquot/shared/records/format';
import type { ChainKind } from '../log/formats.ts';
import { decodeUnsigned, numberInKey, unsignedEntries } from '../log/index-rows.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import { decodeCounter, decodeReceiptRecord, decodeSignedRecord } from '../log/payloads.ts';
import { openDrafts } from '../log/stored.ts';

/** One version of a file that this installation captured, as its own records have it. */
export interface OwnVersion {
  readonly fileId: FileId;
  readonly kind: EntryKind;
  readonly size: number;
  readonly capturedAtMs: number;
  readonly growing: boolean;
  /**
   * As the collector's lists name it: 16 digits of the commit and the place in it; undefined before
   * it is signed.
   */
  readonly version: string | undefined;
  /** When its receipt was signed, by the collector's clock; undefined while it has none. */
  readonly safeSinceMs: number | undefined;
}

interface Found extends Omit<OwnVersion, 'safeSinceMs'> {
  safeSinceMs: number | undefined;
  readonly sequence: number;
}

/**
 * Every version of these files, oldest first: those in signed commits from the chain log, then
 * those that wait to be signed. One pass over the log, whose commits are only taken apart where an
 * id stands in their bytes; memory is that of one commit and of what is found.
 *
 * Runs beside captures and sending. What is signed meanwhile has left the waiting ones and stands
 * at the end of the log, so the two are read again until nothing moved between them.
 */
export async function ownVersionsIn(
  files: QueueFiles,
  wanted: readonly FileId[],
): Promise<readonly OwnVersion[]> {
  const found: Found[] = [];
  let from: Position | undefined;
  // Versions are signed in order. The log has a commit a moment before the index gives up what was
  // waiting for it.
  let signedThrough = 0;
  for (;;) {
    let signed = 0;
    for await (const item of files.chain.scan(from)) {
      // What is damaged is named by fsck, and by the opening of the queue.
      if (item.type !== 'record' || item.payload === undefined) continue;
      from = { file: item.file, offset: item.end };
      if (item.header.kind === 'signed') {
        const record = decodeSignedRecord(item.payload);
        signed += 1;
        signedThrough = Math.max(signedThrough, record.entries.at(-1) ?? 0);
        found.push(...inCommit(record, wanted));
      } else learn(found, item.header.kind, item.payload);
    }
    if (signed === 0 && found.some(({ sequence }) => sequence === WAITING)) return found;
    const kept = found.filter(({ sequence }) => sequence !== WAITING);
    const waiting = await unsignedOf(files, wanted, signedThrough);
    found.splice(0, found.length, ...kept, ...waiting);
    if (waiting.length === 0) return found;
  }
}

/** The sequence of what is not signed yet. */
const WAITING = 0;

function learn(found: Found[], kind: ChainKind, payload: Uint8Array): void {
  if (kind === 'receipt') {
    const { sequence, receivedAtMs } = decodeReceiptRecord(payload);
    for (const version of found)
      if (version.sequence === sequence) version.safeSinceMs ??= receivedAtMs;
  } else if (kind === 'unreceipted') {
    const kept = decodeCounter(payload);
    for (const version of found) if (version.sequence > kept) version.safeSinceMs = undefined;
  }
}

async function unsignedOf(
  files: QueueFiles,
  wanted: readonly FileId[],
  signedThrough: number,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const [key, value] of files.index.unsigned()) {
    const [first, versions] = [numberInKey(key), decodeUnsigned(value)];
    const entries = unsignedEntries(first, versions).filter((entry) => entry > signedThrough);
    const opened = entries.length === 0 ? undefined : await openDrafts(files, versions.at);
    for (const entry of entries) {
      const draft = opened?.[entry - first]?.draft;
      if (draft === undefined || draft.kind === 'result' || !isWanted(draft.fileId, wanted))
        continue;
      const { fileId, kind, size, capturedAtMs, completion } = draft;
      found.push({
        ...{ fileId, kind, size, capturedAtMs, growing: completion === 'growing' },
        ...{ version: undefined, safeSinceMs: undefined, sequence: WAITING },
      });
    }
  }
  return found;
}

function* inCommit(
  { sequence, hash, commit }: ReturnType<typeof decodeSignedRecord>,
  wanted: readonly FileId[],
): Generator<Found, void, void> {
  if (!wanted.some((id) => holds(commit, id))) return;
  const name = Buffer.from(hash).toString('hex', 0, 8);
  for (const { slot: at, entry } of rowsIn(readCommit(commit).rows)) {
    const { fileId, kind, size, capturedAtMs, completion } = entry;
    if (!isWanted(fileId, wanted)) continue;
    yield {
      fileId,
      kind,
      size,
      capturedAtMs,
      growing: completion === 'growing',
      version: `${name}.${at}`,
      safeSinceMs: undefined,
      sequence,
    };
  }
}

function isWanted(fileId: FileId, wanted: readonly FileId[]): boolean {
  return wanted.some((id) => holds(fileId, id));
}

function holds(bytes: Uint8Array, part: FileId): boolean {
  return (
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(
      part as Uint8Array as Buffer,
    ) >= 0
  );
}
