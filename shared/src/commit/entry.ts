import {
  decodeListPart,
  decodeReadPart,
  type Entry,
  type EntryDraft,
  encodeEntry,
  encodeListPart,
  encodeReadPart,
  type ListPart,
  type ReadPart,
  type WrapPurpose,
} from '@aliquot/proto';
import { concat } from '../crypto/bytes.ts';
import { aeadOpen, aeadSeal, hkdf, labelled, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import type { Random } from '../ports.ts';
import { CommitError } from './errors.ts';

const SALT_BYTES = 16;
const KEY_BYTES = 32;
const NOTHING = new Uint8Array(0);
const KEY_LABEL: Record<WrapPurpose, string> = { list: 'aliquot/v1/entry-list-key', read: 'aliquot/v1/entry-read-key' };
const PART_LABEL: Record<WrapPurpose, string> = { list: 'aliquot/v1/entry-list-part', read: 'aliquot/v1/entry-read-part' };

/**
 * The key of one part of one entry, from the commit's key for that purpose: what a grant hands out. It opens this entry
 * and leads neither back to the commit's key nor to any other entry's.
 */
export function entryKey(purpose: WrapPurpose, commitKey: Uint8Array, entry: Pick<Entry, 'salt' | 'fileId'>): Uint8Array {
  return hkdf(commitKey, entry.salt, KEY_LABEL[purpose], KEY_BYTES, entry.fileId);
}

/**
 * Seals a draft into the entry of a commit: names and times under the commit's list key, hash and content keys under its
 * read key, each by way of the entry's own key; both bound to the entry's clear fields.
 *
 * The zero nonce is safe: commit keys are random for each commit and the salt for each entry, so a key seals one message.
 *
 * @returns The encoded `Entry`: what is hashed, signed and stored verbatim.
 * @throws CommitError `COMMIT_ENTRY_INVALID`.
 */
export function sealEntry(draft: EntryDraft, listKey: Uint8Array, readKey: Uint8Array, random: Random): Uint8Array {
  const { kind, sourceId, fileId, size, capturedAtMs, completion, content } = draft;
  const clear: Entry = {
    version: 1,
    kind,
    salt: random.bytes(SALT_BYTES),
    sourceId,
    class: draft.class,
    fileId,
    size,
    capturedAtMs,
    completion,
    content,
    sealedList: NOTHING,
    sealedRead: NOTHING,
  };
  checkContent(clear);
  if ((draft.read === undefined) !== (kind !== 'file')) throw invalid('a file needs hash and keys, and nothing else has them');
  if (draft.read !== undefined && draft.read.keys.length !== content.refs.length) throw invalid('there is not one key for each reference');
  const sealedList = seal('list', clear, entryKey('list', listKey, clear), encodeListPart(draft.list));
  const sealedRead = draft.read === undefined ? NOTHING : seal('read', clear, entryKey('read', readKey, clear), encodeReadPart(draft.read));
  return encodeEntry({ ...clear, sealedList, sealedRead });
}

/** Names and times of an entry. @throws CommitError `COMMIT_ENTRY_SEALED`. */
export function openList(entry: Entry, listKey: Uint8Array): ListPart {
  return openListWith(entry, entryKey('list', listKey, entry));
}

/** The same, by the entry's own key, as a grant holds it. @throws CommitError `COMMIT_ENTRY_SEALED`. */
export function openListWith(entry: Entry, key: Uint8Array): ListPart {
  return decodeListPart(open('list', entry, key, entry.sealedList));
}

/** Hash and content keys of a file's entry. @throws CommitError `COMMIT_ENTRY_SEALED`, `COMMIT_ENTRY_INVALID`. */
export function openRead(entry: Entry, readKey: Uint8Array): ReadPart {
  return openReadWith(entry, entryKey('read', readKey, entry));
}

/** The same, by the entry's own key, as a grant holds it. @throws CommitError `COMMIT_ENTRY_SEALED`, `COMMIT_ENTRY_INVALID`. */
export function openReadWith(entry: Entry, key: Uint8Array): ReadPart {
  if (entry.kind !== 'file') throw invalid(`a ${entry.kind} has no content to open`);
  const read = decodeReadPart(open('read', entry, key, entry.sealedRead));
  if (read.keys.length !== entry.content.refs.length) throw invalid('there is not one key for each reference');
  return read;
}

/**
 * Checks what a reader without any key can check of an entry: that kind, size, content and sealed parts fit together.
 *
 * @throws CommitError `COMMIT_ENTRY_INVALID`.
 */
export function checkEntry(entry: Entry): void {
  checkContent(entry);
  if (entry.sealedList.length === 0) throw invalid('it has no list part');
  if ((entry.sealedRead.length === 0) !== (entry.kind !== 'file')) throw invalid('a file needs a read part, and nothing else has one');
}

function checkContent(entry: Entry): void {
  const { kind, size, content } = entry;
  if (kind !== 'file' && (size !== 0 || content.refs.length !== 0)) throw invalid(`a ${kind} has no content`);
  if (content.refs.length === 0 && content.depth !== 0) throw invalid('pages without references');
  const total = content.refs.reduce((sum, ref) => sum + ref.plainSize, 0);
  if (total !== size) throw invalid(`its size is ${size} bytes, its references add up to ${total}`);
}

function seal(purpose: WrapPurpose, clear: Entry, key: Uint8Array, part: Uint8Array): Uint8Array {
  return aeadSeal(key, ZERO_NONCE, part, clearFields(purpose, clear));
}

function open(purpose: WrapPurpose, entry: Entry, key: Uint8Array, sealed: Uint8Array): Uint8Array {
  try {
    return aeadOpen(key, ZERO_NONCE, sealed, clearFields(purpose, entry));
  } catch (cause) {
    throw new CommitError('COMMIT_ENTRY_SEALED', `the ${purpose} part of an entry does not open with this key`, { cause });
  }
}

/**
 * What both sealed parts authenticate: label and SHA-256 of the entry as it stands without them. So a part taken from
 * another entry, or left in place while size, content or file id change, does not open.
 */
function clearFields(purpose: WrapPurpose, entry: Entry): Uint8Array {
  return concat(labelled(PART_LABEL[purpose]), sha256(encodeEntry({ ...entry, sealedList: NOTHING, sealedRead: NOTHING })));
}

function invalid(why: string): CommitError {
  return new CommitError('COMMIT_ENTRY_INVALID', `an entry contradicts itself: ${why}`);
}
