import {
  type Content,
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
/**
 * Stands for a sealed part while the clear fields are hashed: the shortest that the format allows.
 */
const PLACEHOLDER = new Uint8Array(17);
const keyLabel: Record<WrapPurpose, string> = {
  list: 'aliquot/v1/entry-list-key',
  read: 'aliquot/v1/entry-read-key',
};
const partLabel: Record<WrapPurpose, string> = {
  list: 'aliquot/v1/entry-list-part',
  read: 'aliquot/v1/entry-read-part',
};

/**
 * The key of one part of one entry, from the commit's key for that purpose: what a grant hands out.
 * It opens this entry and leads neither back to the commit's key nor to any other entry's. Seam:
 * for grants.
 */
export function entryKey(
  purpose: WrapPurpose,
  commitKey: Uint8Array,
  entry: Pick<Entry, 'salt' | 'fileId'>,
): Uint8Array {
  return hkdf(commitKey, entry.salt, keyLabel[purpose], KEY_BYTES, entry.fileId);
}

/**
 * Seals a draft into the entry of a commit: names and times under the commit's list key, hash and
 * content keys under its read key, each by way of the entry's own key; both bound to the entry's
 * clear fields.
 *
 * The zero nonce is safe: commit keys are random for each commit and the salt for each entry, so a
 * key seals one message.
 *
 * @returns The encoded `Entry`: what is hashed, signed and stored verbatim.
 * @throws CommitError `COMMIT_ENTRY_KEYS`, `COMMIT_ENTRY_HASH`; FormatError when kind, size and
 * content do not fit together.
 */
export function sealEntry(
  draft: EntryDraft,
  listKey: Uint8Array,
  readKey: Uint8Array,
  random: Random,
): Uint8Array {
  const { list, read, ...fields } = draft;
  if (read !== undefined) {
    checkKeyCount(read, draft.content);
    checkHash(read, draft);
  }
  const clear: Entry = {
    version: 1,
    salt: random.bytes(SALT_BYTES),
    ...fields,
    sealedList: PLACEHOLDER,
    sealedRead: read === undefined ? NOTHING : PLACEHOLDER,
  };
  const bound = clearHash(clear);
  return encodeEntry({
    ...clear,
    sealedList: aeadSeal(
      entryKey('list', listKey, clear),
      ZERO_NONCE,
      encodeListPart(list),
      associated('list', bound),
    ),
    sealedRead:
      read === undefined
        ? NOTHING
        : aeadSeal(
            entryKey('read', readKey, clear),
            ZERO_NONCE,
            encodeReadPart(read),
            associated('read', bound),
          ),
  });
}

/** Names and times of an entry. @throws CommitError `COMMIT_ENTRY_SEALED`. */
export function openList(entry: Entry, listKey: Uint8Array): ListPart {
  return openListWith(entry, entryKey('list', listKey, entry));
}

/**
 * The same, by the entry's own key, as a grant holds it. Seam: for grants. @throws CommitError
 * `COMMIT_ENTRY_SEALED`.
 */
export function openListWith(entry: Entry, key: Uint8Array): ListPart {
  return decodeListPart(open('list', entry, key, entry.sealedList));
}

/**
 * Hash and content keys of a file's entry. @throws CommitError `COMMIT_ENTRY_SEALED`,
 * `COMMIT_ENTRY_KEYS`, `COMMIT_ENTRY_HASH`.
 */
export function openRead(entry: Entry, readKey: Uint8Array): ReadPart {
  return openReadWith(entry, entryKey('read', readKey, entry));
}

/**
 * The same, by the entry's own key, as a grant holds it. Seam: for grants. @throws CommitError
 * `COMMIT_ENTRY_SEALED`, `COMMIT_ENTRY_KEYS`, `COMMIT_ENTRY_HASH`.
 */
export function openReadWith(entry: Entry, key: Uint8Array): ReadPart {
  const read = decodeReadPart(open('read', entry, key, entry.sealedRead));
  checkKeyCount(read, entry.content);
  checkHash(read, entry);
  return read;
}

function checkKeyCount(read: ReadPart, content: Content): void {
  if (read.keys.length !== content.refs.length) {
    throw new CommitError(
      'COMMIT_ENTRY_KEYS',
      `an entry has ${read.keys.length} keys for ${content.refs.length} references`,
    );
  }
}

/**
 * A version without the hash of its whole says so where everybody sees it, and no other goes
 * without.
 */
function checkHash(read: ReadPart, { completion }: Pick<Entry, 'completion'>): void {
  if ((read.sha256.length === 0) !== (completion === 'growing')) {
    throw new CommitError(
      'COMMIT_ENTRY_HASH',
      `an entry that is ${completion} has ${read.sha256.length === 0 ? 'no hash' : 'a hash'} of its whole`,
    );
  }
}

function open(purpose: WrapPurpose, entry: Entry, key: Uint8Array, sealed: Uint8Array): Uint8Array {
  try {
    return aeadOpen(key, ZERO_NONCE, sealed, associated(purpose, clearHash(entry)));
  } catch (cause) {
    throw new CommitError(
      'COMMIT_ENTRY_SEALED',
      `the ${purpose} part of an entry does not open with this key`,
      { cause },
    );
  }
}

/** What a sealed part authenticates: which part it is, and all that the entry says in clear. */
function associated(purpose: WrapPurpose, bound: Uint8Array): Uint8Array {
  return concat(labelled(partLabel[purpose]), bound);
}

/**
 * SHA-256 of the entry's encoding with a placeholder (17 zero bytes) for each sealed part that it
 * has. Because both parts authenticate it, a part taken from another entry, or left in place while
 * size, content or file id change, does not open.
 */
function clearHash(entry: Entry): Uint8Array {
  return sha256(
    encodeEntry({
      ...entry,
      sealedList: PLACEHOLDER,
      sealedRead: entry.sealedRead.length === 0 ? NOTHING : PLACEHOLDER,
    }),
  );
}
