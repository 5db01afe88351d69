import type { Socket } from 'node:net';
import type { AgentId, Signed, VaultId } from '@aliquot/proto';
import { asAgentId, asVaultId } from '@aliquot/proto';
import { fromHex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import { RestError } from '../api/rest-error.ts';
import type { Health } from '../health/health.ts';
import type { Question } from '../ingest/questions.ts';
import type { Timers } from '../ingest/timers.ts';
import type { CollectorStore } from '../store/collector-store.ts';
import type { AgentRecord, VaultStore } from '../store/vault-store.ts';

/** What an agent answered to a question: sealed, or the code of a refusal. */
export interface DiagnosisReply {
  readonly code: string;
  readonly ephemeralKey: Uint8Array | undefined;
  readonly sealed: Uint8Array | undefined;
}

/** A question under way. */
export interface Asking {
  /** Undefined when the session ends, or nobody waits any more. */
  readonly reply: Promise<DiagnosisReply | undefined>;
  forget(): void;
}

/** What the REST interface asks of the running ingest. */
export interface LiveSessions {
  isConnected(vaultId: VaultId, agentId: AgentId): boolean;
  /** How often in the last minutes a new connection of this agent ended an open one. */
  takeovers(vaultId: VaultId, agentId: AgentId): number;
  /** What an agent did, since the collector started, that none of our programs does. */
  misconduct(
    vaultId: VaultId,
    agentId: AgentId,
  ): readonly { readonly code: string; readonly sinceMs: number; readonly message: string }[];
  /** Ends one agent's session; it learns why when it comes back. */
  endAgent(vaultId: VaultId, agentId: AgentId, reason: string): void;
  /** Hands newer addresses of the collector to every agent that is connected. */
  tellAddresses(vaultId: VaultId, addresses: Signed): void;
  /** How many agents are connected, by the `Host` by which each came. */
  connectedBy(vaultId: VaultId): ReadonlyMap<string, number>;
  /** Hands their settings to every agent that is connected and lacks them. */
  tellSettings(vaultId: VaultId): void;
  /** Hands an operator's question to the newest session of an agent; undefined when it has none. */
  diagnose(vaultId: VaultId, agentId: AgentId, question: Question): Asking | undefined;
  /** Ends every session of a vault, so that its agents come back and see what changed. */
  endVault(vaultId: VaultId, reason: string): void;
}

/** Everything that the REST handlers work with. */
export interface RestContext {
  /** Told of each connection that showed the operator's token: from then on it counts as known. */
  readonly known?: (end: Socket) => void;
  readonly store: CollectorStore;
  readonly sessions: LiveSessions;
  readonly health: Health;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timers: Timers;
  /** Name and version of this program, as operators see it. */
  readonly software: string;
}

/** The vault that a path names, or a refusal that says what to do. */
export function vaultOf(context: RestContext, idHex: string): VaultStore {
  const bytes = fromHex(idHex);
  const vault = bytes?.length === 16 ? context.store.vault(asVaultId(bytes)) : undefined;
  if (vault === undefined)
    throw new RestError(
      'REST_VAULT_UNKNOWN',
      'this collector does not hold that vault; add it with `aliquot vault add --kit KIT`',
    );
  return vault;
}

/** The agent that a path names. */
export function agentOf(vault: VaultStore, idHex: string): AgentRecord {
  const bytes = fromHex(idHex);
  const agent = bytes?.length === 16 ? vault.agentById(asAgentId(bytes)) : undefined;
  if (agent === undefined)
    throw new RestError(
      'REST_AGENT_UNKNOWN',
      'this vault has no such agent; `aliquot agents` lists them',
    );
  return agent;
}
