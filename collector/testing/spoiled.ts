import {
  type CommitHash,
  decodeCommitHeader,
  decodeEntry,
  decodeSignedCommit,
  encodeCommitHeader,
  encodeEntry,
  encodeSignedCommit,
  encodeWrap,
  type SignedCommit,
} from '@aliquot/proto';
import { commitHash } from '@aliquot/shared/commit/commit';
import { lengthPrefixed } from '@aliquot/shared/crypto/bytes';
import { labelled, sha256 } from '@aliquot/shared/crypto/primitives';
import { type SigningKey, sign } from '@aliquot/shared/crypto/sign';
import { leafHash, rootOfHashes } from '@aliquot/shared/log/hashing';

/**
 * What of a commit does not open: everything, the names of its entries, or the content keys of its
 * files.
 */
export type Spoilt = 'wraps' | 'names' | 'keys';

/** A commit whose sealed parts do not open, under a signature that holds. */
export function spoiled(
  bytes: Uint8Array,
  what: Spoilt,
  signKey: SigningKey,
): { readonly bytes: Uint8Array; readonly hash: CommitHash } {
  const commit = decodeSignedCommit(bytes);
  const slots = commit.slots.map((slot) => {
    if (slot.type !== 'entry' || what === 'wraps') return slot;
    const entry = decodeEntry(slot.bytes);
    const { sealedList, sealedRead } = entry;
    const parts =
      what === 'names'
        ? { sealedList: bent(sealedList) }
        : { sealedRead: sealedRead.length === 0 ? sealedRead : bent(sealedRead) };
    return { ...slot, bytes: encodeEntry({ ...entry, ...parts }) };
  });
  const wraps =
    what === 'wraps'
      ? commit.wraps.map((wrap) => ({ ...wrap, box: bent(wrap.box) }))
      : commit.wraps;
  return signedAnew({ ...commit, slots, wraps }, signKey);
}

function signedAnew(
  commit: SignedCommit,
  signKey: SigningKey,
): { readonly bytes: Uint8Array; readonly hash: CommitHash } {
  const entries = commit.slots.flatMap((slot) =>
    slot.type === 'entry' ? [leafHash(slot.bytes)] : [],
  );
  const wrapsHash = sha256(
    labelled('aliquot/v1/commit-wraps'),
    lengthPrefixed(...commit.wraps.map(encodeWrap)),
  );
  const header = encodeCommitHeader({
    ...decodeCommitHeader(commit.header),
    entriesRoot: rootOfHashes(entries),
    wrapsHash,
  });
  const { signature } = sign(signKey, 'aliquot/v1/commit', header);
  return { bytes: encodeSignedCommit({ ...commit, header, signature }), hash: commitHash(header) };
}

/** The same bytes with one bit turned over. */
function bent(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const last = copy.length - 1;
  copy[last] = (copy[last] ?? 0) ^ 1;
  return copy;
}
