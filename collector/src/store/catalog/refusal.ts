import type { AgentId, RefusalCode } from '@aliquot/proto';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import type { AgentRecord, AgentState, CommitOptions } from '../vault-records.ts';
import type { AgentRow } from './catalog-rows.ts';
import type { Registry } from './registry.ts';

/** Why something of an agent is not taken: a value, for it is the agent's doing. */
export type Refused = {
  readonly type: 'refused';
  readonly code: RefusalCode;
  readonly message: string;
};

export function refused(code: RefusalCode, message: string): Refused {
  return { type: 'refused', code, message };
}

/**
 * Whether an agent in this state, or refused with this code, was ended for good: nothing new of it
 * is taken.
 */
export function hasEnded(state: AgentState | RefusalCode): boolean {
  return state === 'revoked' || state === 'replaced';
}

/**
 * Why an agent may not speak; `undefined` when it may. This alone decides it, for sessions, queues
 * that are carried by hand, commits and heartbeats. `acceptEnded` is an operator's word for what
 * one that was ended had signed.
 */
export function refusalOf(
  agent: Pick<AgentRecord, 'name' | 'state' | 'endReason' | 'approval'>,
  { acceptEnded = false }: CommitOptions = {},
): Refused | undefined {
  const { name, state, endReason } = agent;
  if (acceptEnded && hasEnded(state)) return undefined;
  switch (state) {
    case 'enrolled':
      return undefined;
    case 'expected':
      return refused('not-enrolled', `agent ${name} has not enrolled; enrol it with its bundle`);
    case 'pending':
      return refused(
        'pending',
        `agent ${name} waits for approval; central IT runs: aliquot agents approve ${name}`,
      );
    case 'revoked':
      return refused('revoked', `agent ${name} was revoked; ask central IT for a new bundle`);
    case 'replaced':
      // Of a PC that was approved in the place of another: it hears of that where it enrolled.
      return agent.approval !== undefined
        ? refused('pending', `agent ${name} was ${endReason}, and takes that over now`)
        : refused(
            'replaced',
            `agent ${name} was replaced by another PC; ask central IT for a new bundle`,
          );
  }
}

/** An agent that may speak. */
export interface Speaker {
  readonly row: AgentRow;
  readonly certificate: AgentCertificate;
}

/** The agent of that id, or why it may not speak. */
export function speakerOf(
  registry: Registry,
  agentId: AgentId,
  options?: CommitOptions,
): Speaker | Refused {
  const row = registry.row(agentId);
  if (row === undefined)
    return refused('not-enrolled', 'this vault knows no such agent; enrol it with a bundle');
  const certificate = registry.certificate(agentId);
  const refusal = refusalOf(row, options);
  if (refusal !== undefined) return refusal;
  // Of one that was ended before it enrolled there is nothing to let in.
  return certificate === undefined
    ? refused('not-enrolled', `agent ${row.name} has not enrolled; enrol it with its bundle`)
    : { row, certificate };
}
