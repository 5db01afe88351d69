import type { ChainId, ServerFrame } from '@aliquot/proto';
import type { AgentRecord, VaultStore } from '../store/vault-store.ts';

/** What an agent is told after every `ready` while its chain is in a history beside its trunk. */
export function noticeFor(vault: VaultStore, agent: AgentRecord, chainId: ChainId): ServerFrame | undefined {
  const history = vault.historyOf(agent.agentId, chainId);
  if (history === undefined) return undefined;
  if (history.state === 'clone') {
    const message = `this PC uses the identity of ${agent.name} and is kept apart as ${history.name}; ask central IT to enrol it anew`;
    return { type: 'notice', code: 'chain-clone', message };
  }
  const message = `two histories of agent ${agent.name}: this PC was put back or copied, and is kept apart as ${history.name} until central IT decides`;
  return { type: 'notice', code: 'chain-held', message };
}
