import type { LineageId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import type { BrokenRow } from '../catalog/catalog-rows.ts';
import { read } from '../catalog/row-codec.ts';
import { isDamaged, StoreError } from '../errors.ts';
import type { LostCommit, OnLost } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

/**
 * What is read of a commit; `undefined` where its record is damaged and that was told. Error:
 * `STORE_DAMAGED`, where nobody listens.
 */
export async function unlessLost<T>(
  core: VaultCore,
  leafIndex: number,
  { versions, onLost }: { readonly versions: number; readonly onLost: OnLost | undefined },
  reading: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await reading();
  } catch (error) {
    if (!isDamaged(error)) throw error;
    const row = core.broken.get(leafIndex) ?? (await linkedAt(core, leafIndex));
    if (row === undefined) throw error;
    core.noteBroken(leafIndex, row);
    if (onLost === undefined) throw error;
    onLost(lostCommit(core, leafIndex, row, versions));
    return undefined;
  }
}

/**
 * Tells of a history's commits that a replay met damaged: nobody knows what was in them. Error:
 * `STORE_DAMAGED`, where nobody listens.
 */
export function tellUnentered(
  core: VaultCore,
  branchId: LineageId,
  onLost: OnLost | undefined,
): void {
  for (const [leafIndex, row] of core.broken) {
    if (row.isEntered || !equalBytes(row.branchId, branchId)) continue;
    if (onLost === undefined)
      throw new StoreError(
        'STORE_DAMAGED',
        `commit ${row.sequence} cannot be read any more: its agent sends it again when it comes`,
      );
    onLost(lostCommit(core, leafIndex, row, undefined));
  }
}

/** What is told of a commit that cannot be read. */
export function lostCommit(
  { registry }: VaultCore,
  leafIndex: number,
  row: BrokenRow,
  versions: number | undefined,
): LostCommit {
  return { ...row, versions, receivedAtMs: registry.times.of(leafIndex, row.receivedAtMs) };
}

/** What the links of all agents say of the commit at a leaf. Only after damage. */
export async function linkedAt(core: VaultCore, leafIndex: number): Promise<BrokenRow | undefined> {
  for (const { agentId } of core.registry.rows())
    for await (const [key, value] of core.catalog.scan(ranges.linksOf(agentId))) {
      const link = read.link(value);
      if (link.leafIndex !== leafIndex) continue;
      const { branchId, receivedAtMs } = link;
      const [sequence, hash] = [readKey.linkSequence(key), readKey.linkHash(key)];
      return { agentId, branchId, sequence, hash, receivedAtMs, isEntered: true };
    }
  return undefined;
}
