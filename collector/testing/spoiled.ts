import {
  type CommitHash,
  type CommitHeader,
  decodeBlock,
  decodeCommitHeader,
  decodeSignedCommit,
  encodeCommitHeader,
  encodeSignedCommit,
  encodeWrap,
  FormatError,
  type SignedCommit,
} from '@aliquot/proto';
import { blockRowsHash } from '@aliquot/shared/commit/block-open';
import { commitHash } from '@aliquot/shared/commit/commit';
import { blockMarks, summaryHash, summaryOf } from '@aliquot/shared/commit/summary';
import { lengthPrefixed } from '@aliquot/shared/crypto/bytes';
import { labelled, sha256 } from '@aliquot/shared/crypto/primitives';
import { type SigningKey, sign } from '@aliquot/shared/crypto/sign';
import { rootOfHashes } from '@aliquot/shared/log/hashing';

/**
 * What of a commit does not open: everything, the names of its entries, or the content keys of its
 * files. All of it opens where only the root of its block is another.
 */
export type Spoilt = 'wraps' | 'names' | 'keys' | 'root';

/** A commit whose sealed parts do not open, under a signature that holds. */
export function spoiled(
  bytes: Uint8Array,
  what: Spoilt,
  signKey: SigningKey,
): { readonly bytes: Uint8Array; readonly hash: CommitHash } {
  const commit = decodeSignedCommit(bytes);
  const blocks = commit.blocks.map((one) => {
    if (what === 'wraps') return one;
    if (what === 'root') return { ...one, root: bent(one.root, 0) };
    const { clear, list } = decodeBlock(one.block);
    // The last byte of the segment: of its tag.
    const end = what === 'names' ? clear.length + list.length : one.block.length;
    return { ...one, block: bent(one.block, end - 1) };
  });
  const wraps =
    what === 'wraps'
      ? commit.wraps.map((wrap) => ({ ...wrap, box: bent(wrap.box, wrap.box.length - 1) }))
      : commit.wraps;
  const entriesRoot = rootOfHashes(blocks.map(({ root }) => root));
  return signedAnew({ ...commit, blocks, wraps }, signKey, { entriesRoot });
}

/** A commit as it is, blocks, rows and wraps hashed anew, with what else its header shall say. */
export function signedAnew(
  commit: SignedCommit,
  signKey: SigningKey,
  says: Partial<CommitHeader> = {},
): { readonly bytes: Uint8Array; readonly hash: CommitHash } {
  const digests = commit.blocks.flatMap(({ block, listBox, readBox }) => [
    sha256(labelled('aliquot/v1/commit-block'), listBox, readBox, block),
    sha256(marksIn(block)),
  ]);
  const wrapsHash = sha256(
    labelled('aliquot/v1/commit-wraps'),
    lengthPrefixed(...commit.wraps.map(encodeWrap)),
  );
  const header = encodeCommitHeader({
    ...decodeCommitHeader(commit.header),
    ...rowsHashOf(commit),
    blocksHash: sha256(labelled('aliquot/v1/commit-blocks'), ...digests),
    wrapsHash,
    ...says,
  });
  const { signature } = sign(signKey, 'aliquot/v1/commit', header);
  return { bytes: encodeSignedCommit({ ...commit, header, signature }), hash: commitHash(header) };
}

/** What its rows are about; nothing where it does not even read. */
function marksIn(block: Uint8Array): Uint8Array {
  try {
    return blockMarks(decodeBlock(block));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return new Uint8Array(0);
  }
}

/** The hashes over the rows of its blocks; none where one of them does not even read. */
function rowsHashOf({
  blocks,
}: SignedCommit): Pick<CommitHeader, 'rowsHash' | 'summaryHash'> | undefined {
  try {
    const rows = blocks.map(({ block }) => decodeBlock(block));
    return {
      rowsHash: sha256(labelled('aliquot/v1/commit-rows'), ...rows.map(blockRowsHash)),
      summaryHash: summaryHash(summaryOf(rows.map(blockMarks))),
    };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

/** The same bytes with one bit turned over. */
function bent(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
