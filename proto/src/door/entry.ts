/** FORMAT.md, "EntryDraft". */
import {
  HASH_BYTES,
  MAX_CLASS_CHARS,
  MAX_DRAFT_BYTES,
  MAX_INLINE_REFS,
  MAX_MODE,
  MAX_PATH_BYTES,
} from '../limits.ts';
import type {
  Completion,
  Content,
  EntryDraft,
  EntryKind,
  ListPart,
  Platform,
  ReadPart,
} from '../types.ts';
import { codec } from './codec.ts';
import { inlineContent, plainSizeOf } from './common.ts';
import { pieceDraftBytes } from './draft-writer.ts';
import { checked, type Field, object, optional, refusal } from './field.ts';
import { v1 } from './generated.ts';
import {
  bytes,
  choice,
  counter,
  fileId,
  hash,
  hashes,
  nanoseconds,
  resultId,
  sourceId,
  text,
  timeMs,
  uint,
  uint32,
} from './scalar.ts';

const kind: Field<EntryKind> = choice<EntryKind>({ file: 1, directory: 2, symlink: 3, gone: 4 });
const completion: Field<Completion> = choice<Completion>({ assumed: 1, proven: 2, growing: 3 });
const platform: Field<Platform> = choice<Platform>({ posix: 1, windows: 2 });
/** The class of a source. */
export const policyClass: Field<string> = text(
  1,
  MAX_CLASS_CHARS,
  /^[a-z0-9-]+$/,
  'lower-case letters, digits and hyphens',
);

/** The references must add up to the size, and nothing but a file has any. */
function checkSize(
  value: { kind: EntryKind; size: number; content: Content },
  label: string,
): void {
  if (plainSizeOf(value.content) !== value.size)
    throw refusal('FORMAT_MALFORMED', label, 'has a size that its references do not add up to');
  if (value.kind !== 'file' && value.content.refs.length > 0)
    throw refusal('FORMAT_MALFORMED', label, `is a ${value.kind} with content`);
}

/** Only a file can be captured while it grows, and what grows is cut into chunks. */
function checkGrowing(
  { kind, completion, content }: { kind: EntryKind; completion: Completion; content: Content },
  label: string,
): void {
  if (completion !== 'growing') return;
  if (kind !== 'file') throw refusal('FORMAT_MALFORMED', label, `is a ${kind} that grows`);
  if (content.piece > 0) throw refusal('FORMAT_MALFORMED', label, 'is a piece that grows');
}

const listPart: Field<ListPart> = checked(
  object<ListPart>(
    'ListPart',
    {
      platform,
      path: bytes(1, MAX_PATH_BYTES),
      resultPathLength: uint32,
      mtimeNs: nanoseconds,
      mode: uint(0, MAX_MODE),
      attributes: uint32,
      linkTarget: bytes(0, MAX_PATH_BYTES),
    },
    { impliedVersion: true },
  ),
  (part, label) => {
    if (part.resultPathLength > part.path.length)
      throw refusal('FORMAT_MALFORMED', label, 'has a result path longer than its path');
    // No file system has such names; a sender of one hopes that some C code down the line stops
    // reading there.
    if (part.path.includes(0) || part.linkTarget.includes(0))
      throw refusal('FORMAT_MALFORMED', label, 'has a path with a zero byte');
    if (part.platform === 'windows' ? part.mode !== 0 : part.attributes !== 0) {
      throw refusal('FORMAT_MALFORMED', label, 'has attributes of another platform');
    }
  },
);

/** Empty where the whole file was not read at once. Which versions those are, the entry says. */
const wholeHash: Field<Uint8Array> = checked(bytes(0, HASH_BYTES), (value, label) => {
  if (value.length !== 0 && value.length !== HASH_BYTES)
    throw refusal('FORMAT_MALFORMED', label, 'is neither a hash nor empty');
});

const readPart: Field<ReadPart> = object<ReadPart>(
  'ReadPart',
  { sha256: wholeHash, keys: hashes(0, MAX_INLINE_REFS) },
  { impliedVersion: true },
);

const drafts = codec<EntryDraft>(
  'EntryDraft',
  v1.EntryDraft,
  checked(
    object<EntryDraft>(
      'EntryDraft',
      {
        kind,
        sourceId,
        class: policyClass,
        fileId,
        size: counter,
        capturedAtMs: timeMs,
        completion,
        content: inlineContent,
        resultId: optional(resultId),
        list: listPart,
        read: optional(readPart),
        slabKey: optional(hash),
      },
      { impliedVersion: true },
    ),
    (draft, label) => {
      checkSize(draft, label);
      if ((draft.read !== undefined) !== (draft.kind === 'file')) {
        throw refusal('FORMAT_MALFORMED', label, 'must have a read part exactly when it is a file');
      }
      if (draft.read !== undefined && draft.read.keys.length !== draft.content.refs.length) {
        throw refusal('FORMAT_MALFORMED', label, 'must have one key for each reference');
      }
      checkGrowing(draft, label);
      if (draft.slabKey !== undefined && draft.content.piece === 0)
        throw refusal('FORMAT_MALFORMED', label, 'has the key of a slab that it is no piece of');
      if (
        draft.read !== undefined &&
        (draft.read.sha256.length === 0) !== (draft.completion === 'growing')
      ) {
        throw refusal('FORMAT_MALFORMED', label, 'must have a hash exactly when it does not grow');
      }
      if (draft.list.linkTarget.length > 0 !== (draft.kind === 'symlink')) {
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must have a link target exactly when it is a symlink',
        );
      }
    },
  ),
  { maxBytes: MAX_DRAFT_BYTES },
);

/**
 * A version in the unsent queue, in clear: only ever stored sealed under a batch key. The bytes may
 * share their memory with those of other drafts. @throws FormatError
 */
export function encodeEntryDraft(draft: EntryDraft): Uint8Array {
  return pieceDraftBytes(draft) ?? drafts.encode(draft);
}

/** The checked draft. @throws FormatError and nothing else, whatever the bytes are. */
export const decodeEntryDraft: (bytes: Uint8Array) => EntryDraft = drafts.decode;
