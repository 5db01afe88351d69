import type { AgentId, Signed, VaultId } from '@aliquot/proto';
import type { DiagnosisRequest } from '@aliquot/shared/diagnosis/sealed';

/** An operator's question on its way to one agent. */
export interface Question extends DiagnosisRequest {
  readonly askId: Uint8Array;
}

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

/** What others may ask of the sessions that are open now: operators over REST, and monitoring. */
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
