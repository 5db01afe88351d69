import {
  decodeSignedCommit,
  decodeStoredPurged,
  encodeSignedCommit,
  type PurgeId,
  type StoredPurged,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../catalog/catalog-keys.ts';
import { decodePurgedCommit } from '../catalog/purge-row.ts';
import { passedOver } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { sealedAnew } from './purged-record.ts';

/**
 * What a purge has left of a commit, once more: of the commit as it is here, or has come, which its
 * agent may have declared lost in parts meanwhile. Undefined where nothing of it is left that could
 * be purged.
 */
export function purgedAgain(
  bytes: Uint8Array,
  { purgeId, part, slots, commit: form }: StoredPurged,
): Omit<StoredPurged, 'leafIndex'> | undefined {
  const commit = decodeSignedCommit(bytes);
  if (commit.headerOnly) return undefined;
  const replaced = sealedAnew(bytes, form);
  const blocks = commit.blocks.map((block, at) => replaced.get(at) ?? block);
  return { purgeId, part, slots, commit: encodeSignedCommit({ ...commit, blocks }) };
}

/** Whether the history has, and can read, what a purge has left of the commit at a leaf. */
export async function isTakenAt(
  core: VaultCore,
  leafIndex: number,
  purgeId: PurgeId,
  approvedLeaf: number,
): Promise<boolean> {
  const row = await core.catalog.get(keys.purged(leafIndex, approvedLeaf));
  if (row === undefined) {
    const { commit } = (await core.storedCommit(leafIndex).catch(passedOver)) ?? {};
    return commit !== undefined && decodeSignedCommit(commit).headerOnly;
  }
  const { place } = decodePurgedCommit(row);
  const record = await core.history.read(place).catch(passedOver);
  if (record?.kind !== 'purged') return false;
  const purged = decodeStoredPurged(record.payload);
  return purged.leafIndex === leafIndex && equalBytes(purged.purgeId, purgeId);
}
