import {
  type CommitBlock,
  decodeSignedCommit,
  type SignedCommit,
  type StoredCommit,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { thinned } from './thin-commit.ts';

/** A commit's record with the blocks that purges have sealed anew in the place of its own. */
export function purgedRecord(stored: StoredCommit, form: Uint8Array): StoredCommit {
  const replaced = sealedAnew(stored.commit, form);
  return thinned(stored, { gone: new Set(), replaced }, () => true);
}

/** The blocks that a purge has sealed anew and that a commit has otherwise; not what is gone. */
export function sealedAnew(commit: Uint8Array, form: Uint8Array): ReadonlyMap<number, CommitBlock> {
  const replaced = new Map<number, CommitBlock>();
  const { blocks }: SignedCommit = decodeSignedCommit(commit);
  for (const [at, block] of decodeSignedCommit(form).blocks.entries()) {
    const old = blocks[at];
    if (old === undefined || old.gone !== undefined || block.formerDigest === undefined) continue;
    if (!equalBytes(old.block, block.block)) replaced.set(at, block);
  }
  return replaced;
}
