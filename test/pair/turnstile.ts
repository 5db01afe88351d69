import type { SendingPace } from '../../agent/src/uplink/session-parts.ts';

/** A pace that lets nothing pass until it is opened, and notices who waits. */
export class Turnstile implements SendingPace {
  sentBytes = 0;
  waiting = 0;
  #open = Promise.withResolvers<void>();
  #entered = Promise.withResolvers<void>();

  async beforeSending(signal: AbortSignal): Promise<void> {
    this.waiting += 1;
    this.#entered.resolve();
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    await Promise.race([this.#open.promise, aborted]);
    this.waiting -= 1;
  }

  sent(bytes: number): void {
    this.sentBytes += bytes;
  }

  get entered(): Promise<void> {
    return this.#entered.promise;
  }

  open(): void {
    this.#open.resolve();
  }
}
