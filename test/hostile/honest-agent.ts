import { systemRandom } from '@aliquot/shared/ports';
import { WebSocket } from 'ws';
import type { SessionTestAgent } from '../../collector/testing/agent.ts';
import { socketWire, type Wire } from '../../collector/testing/wire.ts';
import type { HostileTarget } from './target.ts';

/**
 * An agent that backs up one small file after the other, whatever happens to its collector
 * meanwhile.
 */
export class HonestAgent {
  received = 0;
  readonly #target: HostileTarget;
  readonly #agent: SessionTestAgent;
  #wire: Wire | undefined;
  #stopped = false;
  #working: Promise<void> = Promise.resolve();
  #failure: unknown;
  #wake: () => void = () => undefined;

  private constructor(target: HostileTarget, agent: SessionTestAgent) {
    this.#target = target;
    this.#agent = agent;
  }

  static async start(target: HostileTarget, name: string): Promise<HonestAgent> {
    const honest = new HonestAgent(target, await target.agent(name));
    await honest.#connect();
    honest.#working = honest.#work();
    return honest;
  }

  /** Resolves when so many more receipts have come. Rejects when the session broke. */
  async receipts(more: number): Promise<void> {
    const wanted = this.received + more;
    while (this.received < wanted) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends the session and comes back, as after a cut line. */
  async arriveAnew(): Promise<void> {
    await this.stop();
    this.#stopped = false;
    await this.#connect();
    this.#working = this.#work();
    await this.receipts(1);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
    this.#wire?.close();
    await this.#wire?.closed;
  }

  async #connect(): Promise<void> {
    this.#wire = await socketWire(
      new WebSocket(`${this.#target.world.url.replace('http', 'ws')}/v1/agent`),
    );
    await this.#agent.open(this.#wire);
  }

  async #work(): Promise<void> {
    try {
      while (!this.#stopped) {
        await this.#agent.backUp([
          { path: `/data/${this.received}`, bytes: systemRandom.bytes(20_000) },
        ]);
        this.received += 1;
        this.#wake();
      }
    } catch (error) {
      this.#failure = error;
      this.#wake();
    }
  }
}
