import type { Completion, Content, EntryDraft, ReadPart } from '@aliquot/proto';
import { fileIdFor } from '@aliquot/shared/keys/derive';
import type { KnownFile } from '../queue/ledger/ledger.ts';
import type { KnownStat } from '../queue/log/facts.ts';
import { contentTag } from '../queue/log/payloads.ts';
import { pathBytes } from '../source/paths.ts';
import type { SourceStat } from '../source/source-port.ts';
import type { CaptureTask, PutTask } from './task.ts';
import { claimedMs } from './times.ts';
import type { CapturedFile } from './window.ts';

const platform = process.platform === 'win32' ? 'windows' : 'posix';
const noTag = new Uint8Array(32);
const noBytes = new Uint8Array(0);

/** What is known of a file as it was read. */
export function knownOf({ item }: PutTask, file: CapturedFile): KnownStat {
  const { stat, sha256, startedMs } = file;
  return {
    path: pathBytes(item.path),
    kind: kindOf(item.stat),
    size: stat.size,
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    ino: stat.ino,
    mode: stat.mode,
    contentTag: sha256.length > 0 ? contentTag(sha256) : noTag,
    capturedAtMs: claimedMs(startedMs),
    resultPathLength: item.resultPathLength,
  };
}

/** What is known of what was found, before it was read; `size` and time are the caller's. */
export function foundStat({ item }: PutTask, size: number, capturedAtMs: number): KnownStat {
  const { stat, resultPathLength } = item;
  const { mtimeNs, ctimeNs, ino, mode } = stat;
  return {
    path: pathBytes(item.path),
    kind: kindOf(stat),
    size,
    mtimeNs,
    ctimeNs,
    ino,
    mode,
    contentTag: noTag,
    capturedAtMs,
    resultPathLength,
  };
}

function kindOf({ kind }: Pick<SourceStat, 'kind'>): KnownStat['kind'] {
  return kind === 'directory' || kind === 'symlink' ? kind : 'file';
}

/**
 * What has no hash of its whole does not hold still; what has one did, whatever it was taken for.
 */
function completionOf(taken: Completion, read: ReadPart | undefined): Completion {
  if (read?.sha256.length === 0) return 'growing';
  return taken === 'growing' ? 'assumed' : taken;
}

/** The version of what was found, with this content. */
export function draftOf(
  pathKey: Uint8Array,
  { source, item, completion }: PutTask,
  known: KnownStat,
  content: Content,
  read: ReadPart | undefined,
): EntryDraft {
  return {
    kind: known.kind,
    sourceId: source.sourceId,
    class: source.class,
    fileId: fileIdFor(pathKey, known.path),
    size: known.size,
    capturedAtMs: known.capturedAtMs,
    completion: completionOf(completion, read),
    content,
    read,
    resultId: undefined,
    list: {
      platform,
      path: known.path,
      resultPathLength: known.resultPathLength,
      mtimeNs: known.mtimeNs,
      mode: platform === 'posix' ? known.mode : 0,
      attributes: platform === 'posix' ? 0 : known.mode,
      linkTarget: item.linkTarget === '' ? noBytes : Buffer.from(item.linkTarget, 'latin1'),
    },
  };
}

/** The version that says that something is gone. */
export function goneDraft(
  pathKey: Uint8Array,
  task: Extract<CaptureTask, { type: 'gone' }>,
  capturedAtMs: number,
): EntryDraft {
  const path = pathBytes(task.path);
  return {
    kind: 'gone',
    sourceId: task.source.sourceId,
    class: task.source.class,
    fileId: fileIdFor(pathKey, path),
    size: 0,
    capturedAtMs,
    completion: 'assumed',
    content: { depth: 0, piece: 0, refs: [] },
    resultId: undefined,
    list: {
      platform,
      path,
      resultPathLength: task.known.resultPathLength,
      mtimeNs: task.known.mtimeNs,
      mode: 0,
      attributes: 0,
      linkTarget: noBytes,
    },
    read: undefined,
  };
}

/**
 * Whether a new version would say nothing new: content, name and everything that a restore brings
 * back are the same.
 */
export function sameVersion(before: KnownFile, now: KnownStat): boolean {
  return (
    before.kind === now.kind &&
    before.size === now.size &&
    before.mtimeNs === now.mtimeNs &&
    before.mode === now.mode &&
    // Else it has become a member of a result.
    (now.resultPathLength === 0 || now.resultPathLength === before.resultPathLength) &&
    Buffer.compare(before.contentTag, now.contentTag) === 0
  );
}
