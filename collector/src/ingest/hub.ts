import type { AgentId, ChainId, Signed, VaultId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';
import { MAX_CONNECTED_CHAINS, MAX_TAKEOVERS } from '../limits.ts';
import { Conduct, type Misconduct } from './conduct.ts';
import type { Asking, LiveSessions, Question } from './live-sessions.ts';

/** A session as the hub sees it. */
export interface LiveSession {
  /** The `Host` by which it came. */
  readonly host?: string | undefined;
  /** Hands newer addresses of the collector to the agent. */
  tellAddresses(addresses: Signed): void;
  /** Hands an operator's question to the agent. */
  diagnose(question: Question): Asking;
  /** Hands newer settings to the agent, if there are any. */
  tellSettings(): void;
  /** Tells the agent why and closes. */
  end(reason: string): void;
}

/** Take-overs older than this say nothing about two PCs with one identity any more. */
const TAKEOVER_WINDOW_MS = 10 * 60 * 1000;

/**
 * The sessions that are open now: one for each chain of an agent. A second one of the same chain
 * ends the first, because a PC whose network broke comes back before its old connection is noticed
 * dead. If that happens again and again, two PCs announce one chain: the hub counts it, and
 * `aliquot agents` names it. A clone and its original have chains of their own, and let each other
 * be.
 */
export class SessionHub implements LiveSessions {
  readonly #clock: Clock;
  readonly conduct: Conduct;
  /** By vault and agent, then by chain, the longest connected first. */
  readonly #agents = new Map<string, Map<string, LiveSession>>();
  readonly #takeovers = new Map<string, number[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.conduct = new Conduct(clock);
  }

  /** Enters a session that has proved itself; the answer takes it out again. */
  enter(vaultId: VaultId, agentId: AgentId, chainId: ChainId, session: LiveSession): () => void {
    const key = keyOf(vaultId, agentId);
    const chain = hex(chainId);
    const chains = this.#agents.get(key) ?? new Map<string, LiveSession>();
    const [oldest] = chains.keys();
    const rival = chains.has(chain)
      ? chain
      : chains.size >= MAX_CONNECTED_CHAINS
        ? oldest
        : undefined;
    const before = rival === undefined ? undefined : chains.get(rival);
    if (rival !== undefined) chains.delete(rival);
    chains.set(chain, session);
    this.#agents.set(key, chains);
    if (before !== undefined) {
      this.#takeovers.set(key, [...this.#recent(key), this.#clock.nowMs()].slice(-MAX_TAKEOVERS));
      before.end('another connection of this agent took over');
    }
    return () => {
      if (chains.get(chain) === session) chains.delete(chain);
      if (chains.size === 0 && this.#agents.get(key) === chains) this.#agents.delete(key);
    };
  }

  isConnected(vaultId: VaultId, agentId: AgentId): boolean {
    return this.#agents.has(keyOf(vaultId, agentId));
  }

  takeovers(vaultId: VaultId, agentId: AgentId): number {
    return this.#recent(keyOf(vaultId, agentId)).length;
  }

  misconduct(vaultId: VaultId, agentId: AgentId): Misconduct[] {
    return this.conduct.problems(vaultId, agentId);
  }

  endAgent(vaultId: VaultId, agentId: AgentId, reason: string): void {
    end(this.#agents.get(keyOf(vaultId, agentId)), reason);
  }

  endVault(vaultId: VaultId, reason: string): void {
    const prefix = hex(vaultId);
    for (const [key, chains] of [...this.#agents]) if (key.startsWith(prefix)) end(chains, reason);
  }

  tellAddresses(vaultId: VaultId, addresses: Signed): void {
    const prefix = hex(vaultId);
    for (const [key, chains] of this.#agents) {
      if (!key.startsWith(prefix)) continue;
      for (const session of chains.values()) session.tellAddresses(addresses);
    }
  }

  connectedBy(vaultId: VaultId): ReadonlyMap<string, number> {
    const prefix = hex(vaultId);
    const counts = new Map<string, number>();
    for (const [key, chains] of this.#agents) {
      if (!key.startsWith(prefix)) continue;
      const hosts = new Set([...chains.values()].map(({ host = '' }) => host));
      for (const host of hosts) counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    return counts;
  }

  diagnose(vaultId: VaultId, agentId: AgentId, question: Question): Asking | undefined {
    return [...(this.#agents.get(keyOf(vaultId, agentId))?.values() ?? [])]
      .at(-1)
      ?.diagnose(question);
  }

  tellSettings(vaultId: VaultId): void {
    const prefix = hex(vaultId);
    for (const [key, chains] of this.#agents) {
      if (!key.startsWith(prefix)) continue;
      for (const session of chains.values()) session.tellSettings();
    }
  }

  endAll(reason: string): void {
    for (const chains of [...this.#agents.values()]) end(chains, reason);
  }

  get size(): number {
    let size = 0;
    for (const chains of this.#agents.values()) size += chains.size;
    return size;
  }

  #recent(key: string): number[] {
    const since = this.#clock.nowMs() - TAKEOVER_WINDOW_MS;
    const recent = (this.#takeovers.get(key) ?? []).filter((timeMs) => timeMs > since);
    if (recent.length === 0) this.#takeovers.delete(key);
    return recent;
  }
}

function end(chains: ReadonlyMap<string, LiveSession> | undefined, reason: string): void {
  for (const session of [...(chains?.values() ?? [])]) session.end(reason);
}

function keyOf(vaultId: VaultId, agentId: AgentId): string {
  return hex(vaultId) + hex(agentId);
}
