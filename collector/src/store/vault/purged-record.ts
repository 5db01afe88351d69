import {
  type CommitBlock,
  decodeSignedCommit,
  encodeStoredCommit,
  type LineageId,
  type SignedCommit,
  type StoredCommit,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { ranges } from '../catalog/catalog-keys.ts';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import { decodePurgedCommit } from '../catalog/purge-row.ts';
import type { Registry } from '../catalog/registry.ts';
import { passedOver } from '../errors.ts';
import type { HistoryRecord } from '../history/history-log.ts';
import { thinned } from './thin-commit.ts';

/** What is known of purges. */
interface PurgedIn {
  readonly catalog: CatalogStore;
  readonly registry: Registry;
  purgedForm(leafIndex: number): Promise<Uint8Array | undefined>;
}

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

/**
 * The record of a commit that its PC sends again where it has rotted: what was purged does not come
 * back by it. Undefined where it is not known what was.
 */
export async function recordToMend(
  core: PurgedIn,
  leafIndex: number,
  stored: StoredCommit,
): Promise<HistoryRecord | undefined> {
  try {
    const form = await core.purgedForm(leafIndex);
    if (form === undefined || (await isLookedAt(core, leafIndex)))
      return { kind: 'commit', payload: encodeStoredCommit(stored) };
    return { kind: 'thinned', payload: encodeStoredCommit(purgedRecord(stored, form)) };
  } catch (error) {
    return passedOver(error);
  }
}

/** Whether a sweep that was told before a purge still looks at what that has taken of a commit. */
export async function isLookedAt(
  { catalog, registry }: PurgedIn,
  leafIndex: number,
): Promise<boolean> {
  const sweptOf = (lineageId: LineageId) => registry.sweep(lineageId).swept;
  for await (const [, value] of catalog.scan(ranges.purgedOf(leafIndex)))
    if (registry.purges.isLookedAt(decodePurgedCommit(value).approvedLeaf, sweptOf)) return true;
  return false;
}
