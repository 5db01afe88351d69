import type {
  Entry,
  EntryKind,
  FileId,
  ResultGrade,
  ResultId,
  ResultProgress,
} from '@aliquot/proto';
import { readCommit, resultsBySlot, rowsIn } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Position } from '@aliquot/shared/records/format';
import type { ChainKind } from '../log/formats.ts';
import { decodeUnsigned, numberInKey, unsignedEntries } from '../log/index-rows.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import { decodeCounter, decodeReceiptRecord, decodeSignedRecord } from '../log/payloads.ts';
import type { QueuedDraft } from '../log/result-draft.ts';
import { openDrafts } from '../log/stored.ts';

/**
 * One version that this installation captured, of a file or a folder result, as its own records
 * have it.
 */
export interface OwnVersion {
  readonly kind: EntryKind | 'result';
  readonly size: number;
  readonly capturedAtMs: number;
  readonly growing: boolean;
  /** Of a folder result. */
  readonly result: OwnResult | undefined;
  /**
   * As the collector's lists name it: 16 digits of the commit and the place in it; undefined before
   * it is signed.
   */
  readonly version: string | undefined;
  /** When its receipt was signed, by the collector's clock; undefined while it has none. */
  readonly safeSinceMs: number | undefined;
}

/** What the row of a folder result says; its root is made when it is signed. */
export interface OwnResult {
  readonly progress: ResultProgress;
  readonly grade: ResultGrade;
  readonly members: number;
  readonly membersRoot: Uint8Array | undefined;
}

/** Whose versions are wanted. */
export interface WantedVersions {
  readonly fileIds: readonly FileId[];
  /** Of a folder result: those of its rows. */
  readonly folder?: { readonly root: Uint8Array; readonly resultId: ResultId };
}

interface Found extends Omit<OwnVersion, 'safeSinceMs'> {
  safeSinceMs: number | undefined;
  readonly sequence: number;
}

/**
 * Every version of what is wanted, oldest first: those in signed commits from the chain log, then
 * those that wait to be signed. One pass over the log, whose commits are only taken apart where an
 * id stands in their bytes; memory is that of one commit and of what is found.
 *
 * Runs beside captures and sending. What is signed meanwhile has left the waiting ones and stands
 * at the end of the log, so the two are read again until nothing moved between them.
 */
export async function ownVersionsIn(
  files: QueueFiles,
  wanted: WantedVersions,
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
  wanted: WantedVersions,
  signedThrough: number,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const [key, value] of files.index.unsigned()) {
    const [first, versions] = [numberInKey(key), decodeUnsigned(value)];
    const entries = unsignedEntries(first, versions).filter((entry) => entry > signedThrough);
    const opened = entries.length === 0 ? undefined : await openDrafts(files, versions.at);
    for (const entry of entries) {
      const draft = opened?.[entry - first]?.draft;
      const version = draft && versionOf(draft, wanted);
      if (version !== undefined)
        found.push({ ...version, version: undefined, safeSinceMs: undefined, sequence: WAITING });
    }
  }
  return found;
}

/** What stands in a draft, when it is wanted. */
function versionOf(
  draft: QueuedDraft,
  wanted: WantedVersions,
): Pick<Found, 'kind' | 'size' | 'capturedAtMs' | 'growing' | 'result'> | undefined {
  if (draft.kind !== 'result') return isWanted(draft.fileId, wanted) ? ofFile(draft) : undefined;
  const { kind, capturedAtMs, progress, grade, members, root } = draft;
  if (wanted.folder === undefined || !equalBytes(root, wanted.folder.root)) return undefined;
  const result = { progress, grade, members, membersRoot: undefined };
  // How many bytes its members have is known when it is signed.
  return { kind, size: 0, capturedAtMs, growing: false, result };
}

function ofFile({ kind, size, capturedAtMs, completion }: Entry) {
  return { kind, size, capturedAtMs, growing: completion === 'growing', result: undefined };
}

function* inCommit(
  { sequence, hash, commit }: ReturnType<typeof decodeSignedRecord>,
  wanted: WantedVersions,
): Generator<Found, void, void> {
  const { fileIds, folder } = wanted;
  const resultIds = folder === undefined ? [] : [folder.resultId];
  if (![...fileIds, ...resultIds].some((id) => holds(commit, id))) return;
  const { rows } = readCommit(commit);
  const name = Buffer.from(hash).toString('hex', 0, 8);
  const at = (slot: number) => ({ version: `${name}.${slot}`, safeSinceMs: undefined, sequence });
  if (fileIds.length > 0)
    for (const { slot, entry } of rowsIn(rows))
      if (isWanted(entry.fileId, wanted)) yield { ...ofFile(entry), ...at(slot) };
  if (folder === undefined) return;
  for (const [slot, row] of resultsBySlot(rows)) {
    if (!equalBytes(row.resultId, folder.resultId)) continue;
    const { kind, size, capturedAtMs, progress, grade, members, membersRoot } = row;
    const result = { progress, grade, members, membersRoot };
    yield { ...{ kind, size, capturedAtMs, growing: false, result }, ...at(slot) };
  }
}

function isWanted(fileId: FileId, { fileIds }: WantedVersions): boolean {
  return fileIds.some((id) => equalBytes(fileId, id));
}

function holds(bytes: Uint8Array, part: Uint8Array): boolean {
  return (
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(
      part as Uint8Array as Buffer,
    ) >= 0
  );
}
