import type { ChainId } from '@aliquot/proto';
import type { VaultCore } from './core.ts';
import { heldName } from './history-id.ts';
import type { SweepWait } from './vault-store.ts';

/**
 * The next epoch of the sweep. The clock's milliseconds, so that an epoch which went with a log's lost tail is not announced
 * again: an agent may have answered that one.
 */
export function nextGcEpoch(core: VaultCore, nowMs: number): number {
  return Math.max(core.registry.gcEpoch + 1, Math.floor(nowMs));
}

/**
 * Every line of commits that may still refer to what `epoch` drops (I-C11): its newest chain has not answered. Answers given
 * before the log was reopened say nothing about commits that were lost with its tail, so they do not count. An agent that
 * holds a head which the log has lost waits whatever it answered.
 */
export function sweepWaitsFor(core: VaultCore, epoch: number): SweepWait[] {
  const waits: SweepWait[] = [];
  const { registry } = core;
  const { logEpoch } = core.sums;
  const rolledBack = new Set(registry.reported().map(([, { agentId }]) => Buffer.from(agentId).toString('hex')));
  for (const { agentId, name, lineageId, state } of registry.rows()) {
    const lines = registry.lines(agentId);
    if (lines === undefined || state === 'revoked' || state === 'replaced') continue;
    const behind = rolledBack.has(Buffer.from(agentId).toString('hex'));
    const reasonFor = (chainId: ChainId): string | undefined => {
      if (behind) return 'holds a head that the log has lost: aliquot log reopen';
      const answered = registry.learned(agentId, chainId, logEpoch);
      if (answered >= epoch) return undefined;
      return answered === 0 ? 'has answered no epoch of this log yet' : `has answered epoch ${answered}`;
    };
    const wait = (history: string, chainId: ChainId): void => {
      const reason = reasonFor(chainId);
      if (reason !== undefined) waits.push({ agent: name, history, chainId, reason });
    };
    const trunk = lines.line(lineageId);
    if (trunk !== undefined) wait(name, trunk.head.chainId);
    for (const apart of lines.apart()) {
      wait(apart.state === 'clone' ? apart.name : heldName(name, apart.historyId), apart.line.head.chainId);
    }
  }
  return waits;
}
