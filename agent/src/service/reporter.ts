import { AliquotError } from '@aliquot/proto';
import type { Logger } from 'pino';
import type { Agent } from '../folder/agent.ts';
import { tellCentral } from '../status/heartbeat.ts';
import type { ServiceView } from '../status/stock.ts';

/**
 * Sends the service's heartbeats: one at the end of every scan, one when a problem has come or
 * gone, and, when one could not be sent, one as soon as there is a session again. One at a time;
 * what happens meanwhile is in the next.
 */
export class Reporter {
  readonly #agent: Agent;
  readonly #view: () => ServiceView;
  readonly #log: Logger;
  #isOwed = false;
  #sending: Promise<void> | undefined;
  #toldChanges = 0;

  constructor(agent: Agent, view: () => ServiceView, log: Logger) {
    this.#agent = agent;
    this.#view = view;
    this.#log = log;
    this.#toldChanges = agent.problems.changes;
  }

  /** Central IT should hear how things are now. */
  tell(): void {
    this.#isOwed = true;
    if (this.#agent.uplink.status().state !== 'ready' || this.#sending !== undefined) return;
    this.#sending = this.#send();
  }

  /** Something was looked at: reports it if problems came or went. */
  tellChanges(): void {
    if (this.#agent.problems.changes !== this.#toldChanges) this.tell();
  }

  /** There is a session: what could not be reported before is reported now. */
  connected(): void {
    if (this.#isOwed) this.tell();
  }

  /** Resolves when nothing is on its way any more. */
  async stop(): Promise<void> {
    this.#isOwed = false;
    await this.#sending;
  }

  async #send(): Promise<void> {
    for (;;) {
      this.#isOwed = false;
      const { changes } = this.#agent.problems;
      if (!(await this.#attempt())) {
        this.#isOwed = true;
        break;
      }
      this.#toldChanges = changes;
      if (!this.#isOwed) break;
    }
    this.#sending = undefined;
  }

  async #attempt(): Promise<boolean> {
    try {
      return await tellCentral(this.#agent, this.#view(), undefined);
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#log.debug({ code: error.code, error: error.message }, 'heartbeat not sent');
      return false;
    }
  }
}
