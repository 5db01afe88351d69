import type { AgentId, VaultId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';
import type { LiveSessions } from '../rest/context.ts';

/** A session as the hub sees it. */
export interface LiveSession {
  /** Tells the agent why and closes. */
  end(reason: string): void;
}

/** Take-overs older than this say nothing about two PCs with one identity any more. */
const TAKEOVER_WINDOW_MS = 10 * 60 * 1000;

/**
 * The sessions that are open now: one for each agent. A second one of the same agent ends the first, because a PC whose network
 * broke comes back before its old connection is noticed dead. If that happens again and again, two PCs bear one identity: the hub
 * counts it, and `aliquot agents` names it.
 */
export class SessionHub implements LiveSessions {
  readonly #clock: Clock;
  readonly #sessions = new Map<string, LiveSession>();
  readonly #takeovers = new Map<string, number[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Enters a session that has proved itself; the answer takes it out again. */
  enter(vaultId: VaultId, agentId: AgentId, session: LiveSession): () => void {
    const key = keyOf(vaultId, agentId);
    const before = this.#sessions.get(key);
    this.#sessions.set(key, session);
    if (before !== undefined) {
      this.#takeovers.set(key, [...this.#recent(key), this.#clock.nowMs()]);
      before.end('another connection of this agent took over');
    }
    return () => {
      if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    };
  }

  isConnected(vaultId: VaultId, agentId: AgentId): boolean {
    return this.#sessions.has(keyOf(vaultId, agentId));
  }

  takeovers(vaultId: VaultId, agentId: AgentId): number {
    return this.#recent(keyOf(vaultId, agentId)).length;
  }

  endAgent(vaultId: VaultId, agentId: AgentId, reason: string): void {
    this.#sessions.get(keyOf(vaultId, agentId))?.end(reason);
  }

  endVault(vaultId: VaultId, reason: string): void {
    const prefix = hex(vaultId);
    for (const [key, session] of [...this.#sessions]) if (key.startsWith(prefix)) session.end(reason);
  }

  endAll(reason: string): void {
    for (const session of [...this.#sessions.values()]) session.end(reason);
  }

  get size(): number {
    return this.#sessions.size;
  }

  #recent(key: string): number[] {
    const since = this.#clock.nowMs() - TAKEOVER_WINDOW_MS;
    const recent = (this.#takeovers.get(key) ?? []).filter((timeMs) => timeMs > since);
    if (recent.length === 0) this.#takeovers.delete(key);
    return recent;
  }
}

function keyOf(vaultId: VaultId, agentId: AgentId): string {
  return hex(vaultId) + hex(agentId);
}
