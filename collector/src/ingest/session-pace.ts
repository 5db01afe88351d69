import type { Timers } from '@aliquot/shared/ports';
import { MAX_CONNECTED_CHAINS } from '../limits.ts';

/**
 * Sessions that one agent may begin as fast as it likes: more than any fault of a network brings.
 */
const FREE_SESSIONS = 20;
/** From then on one begins in so long; each time that passes without one gives a free one back. */
const INTERVAL_MS = 250;

interface Agent {
  free: number;
  /** Those whose turn comes, the one that is next first: true when it may begin. */
  readonly waiting: ((begins: boolean) => void)[];
}

/**
 * When sessions of one agent begin: whoever holds its key can have them made without end, and each
 * costs proofs, signatures and reads. An agent that comes again because its network broke is never
 * so fast that it would notice. Agents that have been quiet for some seconds are forgotten.
 */
export class SessionPace {
  readonly #timers: Timers;
  readonly #agents = new Map<string, Agent>();
  #isDue = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /**
   * Resolves when a session of this agent may begin; false where newer ones took its place: as many
   * wait as may be open. `onWait` is called first where it has to wait.
   */
  async begin(agent: string, onWait: () => void): Promise<boolean> {
    const known = this.#agents.get(agent) ?? { free: FREE_SESSIONS, waiting: [] };
    this.#agents.set(agent, known);
    this.#later();
    if (known.free > 0) {
      known.free -= 1;
      return true;
    }
    onWait();
    return new Promise((resolve) => {
      known.waiting.push(resolve);
      if (known.waiting.length > MAX_CONNECTED_CHAINS) known.waiting.shift()?.(false);
    });
  }

  /** Lets go of all that wait. */
  stop(): void {
    for (const { waiting } of this.#agents.values()) for (const go of waiting.splice(0)) go(false);
  }

  #later(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#timers.after(INTERVAL_MS, () => this.#turn());
  }

  #turn(): void {
    for (const [name, agent] of this.#agents) {
      const next = agent.waiting.shift();
      if (next !== undefined) next(true);
      else agent.free += 1;
      if (agent.free === FREE_SESSIONS) this.#agents.delete(name);
    }
    this.#isDue = false;
    if (this.#agents.size > 0) this.#later();
  }
}
