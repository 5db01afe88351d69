import type { ServerFrame } from '@aliquot/proto';
import type { AgentRecord, BranchRecord } from '../store/vault-records.ts';

/**
 * What an agent is told while its chain's history is beside the trunk: in a session, and in carried
 * receipts.
 */
export function branchNotice(
  { name }: AgentRecord,
  history: BranchRecord,
): Extract<ServerFrame, { type: 'notice' }> {
  if (history.state === 'held') {
    const says = `another history of agent ${name} was here first; what this PC sends is kept apart as ${history.name} until central IT decides`;
    return { type: 'notice', code: 'chain-held', message: says };
  }
  const says = `this PC uses the identity of ${name} and is known as its clone ${history.name}; central IT should enroll it anew`;
  return { type: 'notice', code: 'chain-clone', message: says };
}
