import { asLineageId, ID_BYTES, type LineageId, type Term } from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import type { VaultCore } from '../vault/core.ts';
import type { DropAsked } from '../vault/drop-expired.ts';
import { droppedById, droppedOf } from '../vault/dropped-versions.ts';
import { Evaluation, evaluate } from '../vault/retention/evaluation.ts';
import type { LongStep } from '../vault/retention/facts-of.ts';
import { factsOfOne } from '../vault/retention/facts-of-one.ts';
import { holdsOver } from '../vault/retention/held-subjects.ts';
import { runRetention } from '../vault/retention/run.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultRetention } from '../vault-retention.ts';

/** In turns it is nobody's work: whatever an agent asks goes before it. */
const NOBODY: LineageId = asLineageId(new Uint8Array(ID_BYTES));
/** Without rules nothing goes that could be had back. */
const usualGrace: Term = { count: 7, unit: 'd' };

/** Long work of the vault's own, step by step. */
export function longStepOf({ turns }: Pick<VaultParts, 'turns'>): LongStep {
  return (work) => turns.step(NOBODY, work);
}

/** What is asked before something is dropped. */
export function letGoAsked({
  vault: { catalogSecretKey },
  turns,
}: VaultParts): (core: VaultCore, nowMs: number) => DropAsked {
  const step: LongStep = (work) => turns.step(NOBODY, work);
  const catalogKey = catalogSecretKey && boxKeyFromSecret(catalogSecretKey);
  return (core, nowMs) => {
    const { policies } = core.registry;
    return { nowMs, policies, holds: holdsOver(core, catalogKey), step };
  };
}

export function retentionOf({ vault, keeper, turns }: VaultParts): VaultRetention {
  const step: LongStep = (work) => turns.step(NOBODY, work);
  const settled = () => keeper.settled();
  const { catalogSecretKey } = vault;
  const catalogKey = catalogSecretKey && boxKeyFromSecret(catalogSecretKey);

  return {
    runs: () => keeper.live().registry.runs.all(),

    run: (nowMs) =>
      runRetention(keeper, (core) => ({
        nowMs,
        policies: core.registry.policies,
        holds: holdsOver(core, catalogKey),
        grace: core.registry.policies.at(-1)?.grace ?? usualGrace,
        step,
      })),

    simulate: ({ nowMs, horizonMs, policies, agent }) =>
      keeper.ask(async (core) => {
        const evaluation = new Evaluation(nowMs, horizonMs, agent);
        const asked = {
          ...{ nowMs, horizonMs, holds: holdsOver(core, catalogKey) },
          policies: policies ?? core.registry.policies,
        };
        await evaluate(core, asked, step, (subject) => evaluation.take(subject));
        return evaluation.figures(core.registry.runs);
      }, settled),

    explain: (subject, nowMs) =>
      keeper.ask((core) => {
        const { policies } = core.registry;
        const holds = holdsOver(core, catalogKey);
        const { branchId } = subject;
        return factsOfOne(core, { branchId, nowMs, horizonMs: Infinity, policies, holds }, subject);
      }, settled),

    dropped: (subject) => keeper.ask((core) => droppedOf(core, subject), settled),

    droppedById: (lineageId, id) => keeper.ask((core) => droppedById(core, lineageId, id), settled),
  };
}
