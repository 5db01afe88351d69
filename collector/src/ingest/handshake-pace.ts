import type { Timers } from '@aliquot/shared/ports';

/**
 * While others are served, keys and signatures of strangers rest so many times as long as they
 * took.
 */
const REST = 5;
/** So much rest may be owed before there is one: agents that come back together need not wait. */
const MOST_OWED_MS = 60;
/** What took longer was held up by something else than keys. */
const LONGEST_MS = 2;
/** Then whatever else has come is seen. */
const TURN_MS = 1;

interface Waiter {
  readonly owner: object;
  readonly go: () => void;
  readonly drop: () => void;
}

/**
 * When asymmetric cryptography is done for whoever has proved nothing: it is what a stranger can
 * make this process spend most on, with a few bytes. One after the other, networks in turn, and of
 * one network the newest first, as at the gate. While those are served who have proved themselves,
 * it takes a sixth of the time at most.
 */
export class HandshakePace {
  readonly #timers: Timers;
  readonly #elapsedMs: () => number;
  /** By network, the one whose turn is next first. */
  readonly #waiting = new Map<string, Waiter[]>();
  #isDue = false;
  #owedMs = 0;
  /** Until when what is owed was paid off. */
  #paidMs = 0;
  #hasServed = false;

  /**
   * @param elapsedMs milliseconds, with fractions, since some moment; without it there is no rest
   */
  constructor(timers: Timers, elapsedMs: () => number = () => 0) {
    this.#timers = timers;
    this.#elapsedMs = elapsedMs;
  }

  /** Something was done for somebody who has proved himself. */
  served(): void {
    this.#hasServed = true;
  }

  /**
   * Does `work` in its turn; undefined where its owner left before. Rejects with what it throws.
   */
  turn<T>(network: string, owner: object, work: () => T): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      };
      const line = this.#waiting.get(network) ?? [];
      line.push({ owner, go, drop: () => resolve(undefined) });
      this.#waiting.set(network, line);
      this.#next();
    });
  }

  /** The owner is gone: what it waits for is not done. */
  leave(network: string, owner: object): void {
    const line = this.#waiting.get(network) ?? [];
    const stay = line.filter((waiter) => waiter.owner !== owner);
    if (stay.length === line.length) return;
    if (stay.length > 0) this.#waiting.set(network, stay);
    else this.#waiting.delete(network);
    for (const { owner: whose, drop } of line) if (whose === owner) drop();
  }

  #next(): void {
    if (this.#isDue || this.#waiting.size === 0) return;
    this.#isDue = true;
    const restMs = this.#restMs();
    if (restMs > 0) this.#timers.after(restMs, () => this.#turn());
    else setImmediate(() => this.#turn());
  }

  /** None, or half of what is owed: a timer for each of them would cost as much as they do. */
  #restMs(): number {
    const nowMs = this.#elapsedMs();
    this.#owedMs = Math.max(0, this.#owedMs - (nowMs - this.#paidMs));
    this.#paidMs = nowMs;
    return this.#owedMs > MOST_OWED_MS ? Math.ceil(this.#owedMs / 2) : 0;
  }

  #turn(): void {
    const beganMs = this.#elapsedMs();
    let nowMs = beganMs;
    while (this.#waiting.size > 0 && nowMs - beganMs < TURN_MS) {
      this.#one();
      const spentMs = Math.min(LONGEST_MS, this.#elapsedMs() - nowMs);
      // What it took has passed by then.
      if (this.#hasServed) this.#owedMs += (REST + 1) * spentMs;
      nowMs = this.#elapsedMs();
    }
    this.#hasServed = false;
    this.#isDue = false;
    this.#next();
  }

  #one(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const [network, line] = first;
    const newest = line.pop();
    // Behind all others.
    this.#waiting.delete(network);
    if (line.length > 0) this.#waiting.set(network, line);
    newest?.go();
  }
}
