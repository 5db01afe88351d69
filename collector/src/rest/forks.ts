import type { LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { type BranchInfo, decideForkRequest } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { AgentRecord, BranchRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { agentOf, type RestContext } from './context.ts';

/**
 * An agent's own history, or one beside it: what paths and requests name as `AGENT` or
 * `AGENT~HISTORY`, both ids in hexadecimal.
 */
export interface BranchOf {
  readonly agent: AgentRecord;
  readonly branchId: LineageId;
  /** As operators name it. */
  readonly name: string;
}

/** The history that a path names. One that was merged into the trunk is not found any more. */
export function branchOf(vault: VaultWith<'register'>, id: string): BranchOf {
  const [agentHex = '', branchHex] = id.split('~');
  const agent = agentOf(vault, agentHex);
  if (branchHex === undefined) return { agent, branchId: agent.lineageId, name: agent.name };
  const found = agent.histories.find(({ branchId }) => hex(branchId) === branchHex);
  if (found === undefined)
    throw new RestError(
      'REST_AGENT_UNKNOWN',
      `agent ${agent.name} has no such history; \`aliquot fork list\` shows them`,
    );
  return { agent, branchId: found.branchId, name: found.name };
}

export function branchInfoOf(history: BranchRecord): BranchInfo {
  const { name, state, openedAtMs, lastCommitMs, files, bytes } = history;
  return { branchId: hex(history.branchId), name, state, openedAtMs, lastCommitMs, files, bytes };
}

/**
 * The operator's word about a branch held apart. The agent's sessions end, so that it comes back
 * and hears of it.
 */
export async function decideFork(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  id: string,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const request = decideForkRequest.parse(body);
  const [agentHex = '', branchHex = ''] = id.split('~');
  const agent = agentOf(vault, agentHex);
  // Decided ones too, though they are no history of their own any more: saying the same again is
  // answered.
  const [branchId, ...more] = vault.register
    .branchIds(agent.agentId)
    .filter((known) => hex(known).startsWith(branchHex) && branchHex.length >= 8);
  if (branchId === undefined || more.length > 0)
    throw new RestError(
      'REST_AGENT_UNKNOWN',
      `agent ${agent.name} has no such history; \`aliquot fork list\` shows them`,
    );
  const { decision } = request;
  const decided = {
    agentId: agent.agentId,
    branchId,
    decision,
    name: request.decision === 'clone' ? request.name : '',
  };
  const answer = await vault.events.append({
    type: 'forkDecided',
    timeMs: context.clock.nowMs(),
    ...decided,
  });
  context.sessions.endAgent(vault.descriptor.vaultId, agent.agentId, 'fork decided');
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), agent: agent.name, decision: request.decision },
    'fork decided',
  );
  return answer;
}
