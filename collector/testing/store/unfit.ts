/**
 * Puts into a vault's history what its gate would never let in. Nothing outside tests imports this
 * file.
 */
import { encodeStoredCommit } from '@aliquot/proto';
import type { BuiltCommit } from '@aliquot/shared/commit/commit';
import { signReceipt } from '@aliquot/shared/log/receipt';
import { applyLeafOnly } from '../../src/store/vault/apply.ts';
import type { VaultCore } from '../../src/store/vault/core.ts';
import type { StoreWorld } from './world.ts';

/** A commit with a genuine receipt, of which nothing but the leaf is applied. */
export async function appendStranger(
  core: VaultCore,
  { header, hash, bytes }: BuiltCommit,
  leaf: Uint8Array,
  world: StoreWorld,
): Promise<void> {
  const receiptFor = (leafIndex: number, root: Uint8Array) =>
    signReceipt(world.collector, {
      version: 1,
      vaultId: header.vaultId,
      collectorId: world.identity.certificate.collectorId,
      agentId: header.agentId,
      chainId: header.chainId,
      sequence: header.sequence,
      commitHash: hash,
      receivedAtMs: core.leafTime(world.clock.now),
      leafIndex,
      head: { logEpoch: core.sums.logEpoch, size: leafIndex + 1, root },
      copies: 1,
      lossHash: undefined,
    });
  const recordsOf = (leafIndex: number, root: Uint8Array) => {
    const stored = { commit: bytes, leaf, receipt: receiptFor(leafIndex, root) };
    return { own: { kind: 'commit', payload: encodeStoredCommit(stored) } } as const;
  };
  await core.appendLeaf(leaf, recordsOf, async (change, place) => {
    await applyLeafOnly(change, 'commit', place);
    return () => undefined;
  });
  await core.history.sync();
}
