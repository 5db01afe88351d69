import type { AgentId, LineageId } from '@aliquot/proto';
import { release } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../catalog/catalog-keys.ts';
import { speakerOf } from '../catalog/refusal.ts';
import { values } from '../catalog/row-codec.ts';
import {
  type GateContext,
  judgeCommit,
  judgeHeartbeat,
  Submission,
  verifySubmission,
} from '../vault/commit-gate.ts';
import type { VaultCore } from '../vault/core.ts';
import { batches, checkedItems, checkItems, storeItems } from '../vault/put-items.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { PutItem } from '../vault-records.ts';
import type { VaultIntake } from '../vault-store.ts';

export function intakeOf({ vault, keeper, limits, hasher }: VaultParts): VaultIntake {
  const gateOf = (core: VaultCore): GateContext => ({
    core,
    uploads: keeper.uploads,
    vaultId: vault.descriptor.vaultId,
    collectorId: vault.certificate.collectorId,
    identity: vault.identity,
    limits,
  });

  const put = async (lineageId: LineageId, items: readonly PutItem[]): Promise<void> => {
    for (const batch of batches(items)) {
      await keeper.do(async (core) => {
        await storeItems(core, keeper.uploads, lineageId, batch);
        await keeper.syncWhenFull(core);
      });
      if (!keeper.uploads.isFull(lineageId)) continue;
      await keeper.settleUploads(lineageId);
      await keeper.do((core) => keeper.uploads.appendTo(core, lineageId));
    }
  };

  return {
    async has(lineageId, ids) {
      const rows = await keeper.ask(({ items }) => items.owned(lineageId, ids));
      return rows.map((row, index) => {
        const id = ids[index];
        return row !== undefined || (id !== undefined && keeper.uploads.has(lineageId, id));
      });
    },

    async putChunks(lineageId, items) {
      await checkItems(items);
      await put(lineageId, items);
    },

    async putBodies(lineageId, bodies) {
      const checked = await checkedItems(hasher, bodies);
      await put(lineageId, checked.items);
      for (const bytes of checked.bytes) release(bytes);
    },

    sync: () => keeper.sync(),

    async commit(agentId, commitBytes, nowMs, options = {}) {
      const { registry } = await keeper.ready();
      const speaker = speakerOf(registry, agentId, options);
      if ('type' in speaker) return speaker;
      const verified = verifySubmission(commitBytes, vault.descriptor, speaker.certificate);
      if ('type' in verified) return verified;
      await keeper.settleUploads(speaker.row.lineageId);
      const submission = new Submission(verified, commitBytes);
      const judge = async (core: VaultCore) => {
        const judged = await judgeCommit(gateOf(core), submission, nowMs, options);
        if (judged.type === 'accepted') noteSeen(core, agentId, nowMs);
        else if (judged.type === 'unfinished') await keeper.syncWhenFull(core);
        return judged;
      };
      for (;;) {
        const judged = await keeper.doDurably(judge, (outcome) =>
          outcome.type === 'accepted' ? outcome.leafIndex : undefined,
        );
        if (judged.type !== 'unfinished') return judged;
      }
    },

    async heartbeat(agentId, signed, nowMs) {
      const core = keeper.live();
      const speaker = speakerOf(core.registry, agentId);
      if ('type' in speaker) return speaker;
      const { vaultId } = vault.descriptor;
      const judged = judgeHeartbeat(signed, { vaultId, agent: speaker.certificate });
      if ('code' in judged) return judged;
      noteSeen(core, agentId, nowMs);
      core.registry.setHeartbeat(agentId, judged, nowMs);
      core.catalog.note(keys.heartbeat(agentId), values.heartbeat(nowMs, signed));
      return undefined;
    },

    seen: (agentId, nowMs) => noteSeen(keeper.live(), agentId, nowMs),

    branchOf(agentId, chainId) {
      const { registry } = keeper.live();
      const branchId = registry.lines(agentId)?.chainHead(chainId)?.branchId;
      if (branchId === undefined) return undefined;
      return registry
        .record(agentId)
        ?.histories.find((history) => equalBytes(history.branchId, branchId));
    },

    async chainHead(agentId, chainId) {
      const { registry } = await keeper.settled();
      return registry.lines(agentId)?.chainHead(chainId)?.head;
    },
  };
}

function noteSeen(core: VaultCore, agentId: AgentId, nowMs: number): void {
  const { registry, catalog, bytes: size } = core;
  const rhythm = registry.learnRhythm(agentId, nowMs);
  if (rhythm !== undefined) catalog.note(keys.rhythm(agentId), values.rhythm(rhythm));
  registry.seen(agentId, nowMs);
  catalog.note(keys.seen(agentId), values.u64(nowMs));
  for (const { day, bytes } of registry.growth.note(nowMs, size))
    catalog.note(keys.packBytes(day), bytes === undefined ? undefined : values.u64(bytes));
}
