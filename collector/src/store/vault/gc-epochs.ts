import type { AgentId, ChainId } from '@aliquot/proto';
import { heldName } from '../branch-id.ts';
import type { Line } from '../catalog/agent-lines.ts';
import { keys } from '../catalog/catalog-keys.ts';
import { hasEnded } from '../catalog/refusal.ts';
import { values } from '../catalog/row-codec.ts';
import type { SweepWait } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

/**
 * The next epoch of the sweep. The clock's milliseconds, so that an epoch which went with a log's
 * lost tail is not announced again: an agent may have answered that one.
 */
export function nextGcEpoch(core: VaultCore, nowMs: number): number {
  return Math.max(core.registry.gcEpoch + 1, Math.floor(nowMs));
}

/**
 * Notes that a chain has answered `epoch`, if it is some line's newest. Any other has nothing to
 * say: an answer before the first commit of a chain is given again with that commit, and made-up
 * chain ids leave nothing here.
 */
export function noteLearned(
  { registry, sums, catalog }: VaultCore,
  agentId: AgentId,
  chainId: ChainId,
  epoch: number,
): void {
  const lines = registry.lines(agentId);
  const line = lines?.all().find((one) => lines.speaksFor(chainId, one));
  if (
    line === undefined ||
    epoch > registry.gcEpoch ||
    epoch <= registry.learned(agentId, line, sums.logEpoch)
  )
    return;
  const learned = { epoch, logEpoch: sums.logEpoch, branchId: line.branchId };
  registry.setLearned(agentId, chainId, learned);
  catalog.note(keys.gcLearned(agentId, chainId), values.learned(learned));
}

/**
 * Every line of commits that may still refer to what `epoch` drops (I-C11): its newest chain has
 * not answered. Answers given before the log was reopened say nothing about commits that were lost
 * with its tail, so they do not count. An agent that holds a head which the log has lost waits
 * whatever it answered.
 */
export function sweepWaitsFor(core: VaultCore, epoch: number): SweepWait[] {
  const waits: SweepWait[] = [];
  const { registry } = core;
  const { logEpoch } = core.sums;
  const newestOpening = core.openings.at(-1)?.leafIndex ?? 0;
  const rolledBack = new Set(
    registry.reported().map(([, { agentId }]) => Buffer.from(agentId).toString('hex')),
  );
  for (const { agentId, name, lineageId, state, expectedLeaf } of registry.rows()) {
    const lines = registry.lines(agentId);
    if (lines === undefined || hasEnded(state)) continue;
    const behind = rolledBack.has(Buffer.from(agentId).toString('hex'));
    const reasonFor = (line: Line): string | undefined => {
      if (behind) return 'holds a head that the log has lost: aliquot log reopen';
      if (!lines.speaksFor(line.row.head.chainId, line))
        return 'shares its chain with another line until it goes on under its own';
      const answered = registry.learned(agentId, line, logEpoch);
      if (answered >= epoch) return undefined;
      return answered === 0
        ? 'has answered no epoch of this log yet'
        : `has answered epoch ${answered}`;
    };
    const wait = (history: string, line: Line): void => {
      const reason = reasonFor(line);
      if (reason !== undefined)
        waits.push({ agent: name, history, chainId: line.row.head.chainId, reason });
    };
    const trunk = lines.line(lineageId);
    // It may have committed in the tail that the log lost, and have these commits yet: unless it is
    // known only since.
    if (trunk === undefined && logEpoch > 1 && expectedLeaf < newestOpening) {
      waits.push({
        agent: name,
        history: name,
        chainId: undefined,
        reason: 'was known when the log lost its tail, and has committed nothing since',
      });
    }
    // It may have taken over a queue whose versions rely on what its predecessor had uploaded.
    if (
      trunk === undefined &&
      state === 'enrolled' &&
      registry.certificate(agentId)?.enrolment.replaces !== undefined
    ) {
      waits.push({
        agent: name,
        history: name,
        chainId: undefined,
        reason: 'took the place of another agent, and has committed nothing yet',
      });
    }
    if (trunk !== undefined) wait(name, { branchId: lineageId, row: trunk });
    for (const { branchId, line, ...apart } of lines.apart()) {
      wait(apart.state === 'clone' ? apart.name : heldName(name, branchId), {
        branchId,
        row: line,
      });
    }
  }
  return waits;
}
