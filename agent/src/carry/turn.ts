import { Serial } from '@aliquot/shared/serial';
import { AgentError } from '../socket/errors.ts';
import type { Uplink } from '../uplink/uplink.ts';

/**
 * Carrying by hand and the session work on the same chain, head and receipts, so only one of them
 * does at a time: carrying commands come one after the other, the session rests meanwhile, and
 * whoever wants a session waits until they are done.
 */
class CarryTurn {
  readonly #uplink: Uplink;
  readonly #serial = new Serial();
  #ended = false;

  constructor(uplink: Uplink) {
    this.#uplink = uplink;
  }

  /**
   * Runs one carrying command alone. A session that was running goes on afterwards, unless all of
   * it was ended meanwhile.
   */
  carry<T>(step: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#serial.run(async () => {
      if (signal?.aborted === true)
        throw new AgentError(
          'AGENT_INTERRUPTED',
          'ended before its turn came; nothing was carried',
        );
      const wasRunning = this.#uplink.status().state !== 'stopped';
      if (wasRunning) await this.#uplink.stop();
      try {
        return await step();
      } finally {
        if (wasRunning && !this.#ended) this.#uplink.start();
      }
    });
  }

  /**
   * Starts the session once nothing is carried; resolves when that is done, or will not be done any
   * more.
   */
  start(): Promise<void> {
    return this.#serial.run(async () => {
      if (!this.#ended) this.#uplink.start();
    });
  }

  /** From now on no session is started here. */
  end(): void {
    this.#ended = true;
  }
}

const turns = new WeakMap<Uplink, CarryTurn>();

/** The one turn of an uplink. */
export function carryTurn(uplink: Uplink): CarryTurn {
  const turn = turns.get(uplink) ?? new CarryTurn(uplink);
  turns.set(uplink, turn);
  return turn;
}
