import {
  type EntryDraft,
  MAX_CLASS_CHARS,
  type Platform,
  type ResultEvidence,
  type SourceId,
} from '@aliquot/proto';
import { LayoutReader, LayoutWriter } from './codec.ts';
import { MOST_MEMBER_BYTES } from './member-runs.ts';
import { checkPath, pathIn } from './payloads.ts';
import { type ResultMark, resultMarkIn, writeResultMark } from './result-facts.ts';

/*
 * The row of a folder result while it waits to be signed: FORMAT.md, "Queue segment", "Result".
 */

/** What is sealed of a result in its version record. */
export interface ResultDraft extends ResultMark {
  readonly kind: 'result';
  readonly sourceId: SourceId;
  readonly class: string;
  readonly capturedAtMs: number;
  readonly platform: Platform;
  /** Where it lies: the folder. */
  readonly root: Uint8Array;
  /**
   * The numbers of its members' newest versions when it was judged (`memberRuns`): all of them
   * stand before it, in earlier commits or in its own.
   */
  readonly versions: Uint8Array;
  readonly evidence: ResultEvidence;
}

/** What waits in a version record. */
export type QueuedDraft = EntryDraft | ResultDraft;

const ID_BYTES = 16;
/** As in FORMAT.md, "VersionBlock". */
const MOST_TEXT_BYTES = 4096;
const platforms = ['posix', 'windows'] as const;

export function encodeResultDraft(draft: ResultDraft): Uint8Array {
  checkPath(draft.root);
  const { profile, profileVersion, evidence, started, ended } = draft.evidence;
  const writer = writeResultMark(new LayoutWriter().u8(1), draft)
    .raw(draft.sourceId)
    .text(draft.class)
    .u53(draft.capturedAtMs)
    .u8(platforms.indexOf(draft.platform))
    .sized(draft.root)
    .sized(draft.versions);
  for (const text of [profile, profileVersion, evidence, started, ended]) writer.text(text);
  return writer.done();
}

export function decodeResultDraft(bytes: Uint8Array): ResultDraft {
  const reader = new LayoutReader(bytes, 'draft of a result');
  if (reader.u8() !== 1) throw reader.damaged('unknown layout');
  const mark = resultMarkIn(reader);
  const fields = {
    sourceId: reader.raw(ID_BYTES) as SourceId,
    class: reader.text(MAX_CLASS_CHARS),
    capturedAtMs: reader.u53(),
  };
  const platform = platforms[reader.u8()];
  if (platform === undefined) throw reader.damaged('unknown platform');
  const root = pathIn(reader);
  const versions = reader.sized(MOST_MEMBER_BYTES);
  const text = (): string => reader.text(MOST_TEXT_BYTES);
  const evidence = {
    profile: text(),
    profileVersion: text(),
    evidence: text(),
    started: text(),
    ended: text(),
  };
  reader.end();
  return { kind: 'result', ...mark, ...fields, platform, root, versions, evidence };
}
