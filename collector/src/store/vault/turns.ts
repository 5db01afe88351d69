import { setImmediate as turn } from 'node:timers/promises';
import type { LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock, Timers } from '@aliquot/shared/ports';

/** While others are served, long work rests so many times as long as its last step took. */
const REST = 10;
const LONGEST_REST_MS = 1000;
/** While a call of others is always under way, a step is due after so many of them. */
const CALLS_FOR_A_STEP = 16;

interface Waiter {
  readonly lineage: string;
  readonly go: () => void;
}

/**
 * Who goes on when. What an agent asks is served as it comes; long work, whose length an agent's
 * claims decide, is done in steps that give way: one step at a time, lineages in turn, and with a
 * rest behind each while others are served. So neither one commit nor many of one agent take more
 * than an eleventh of the time from others, and nobody waits for ever.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #timers: Timers | undefined;
  /** Calls under way, by lineage. */
  readonly #serving = new Map<string, number>();
  #calls = 0;
  /** Calls that have ended since the last step began. */
  #ended: string[] = [];
  #isTaken = false;
  #waiting: Waiter[] = [];
  /** Whose step was the last one. */
  #last = '';

  /** Without timers there is no rest behind a step. */
  constructor(clock: Clock, timers: Timers | undefined) {
    this.#clock = clock;
    this.#timers = timers;
  }

  /** Serves one call of a lineage, without waiting for anything. */
  async serve<T>(lineageId: LineageId, call: () => Promise<T>): Promise<T> {
    const lineage = hex(lineageId);
    this.#count(lineage, 1);
    try {
      return await call();
    } finally {
      this.#count(lineage, -1);
      if (this.#ended.length < 2 * CALLS_FOR_A_STEP) this.#ended.push(lineage);
      this.#next();
    }
  }

  /** Does the next step of long work, when it is its turn. Not within `serve`. */
  async step<T>(lineageId: LineageId, work: () => Promise<T>): Promise<T> {
    const lineage = hex(lineageId);
    await new Promise<void>((go) => {
      this.#waiting.push({ lineage, go });
      this.#next();
    });
    this.#ended = [];
    const beganMs = this.#clock.nowMs();
    try {
      // What has come from the network meanwhile is seen first.
      await turn();
      return await work();
    } finally {
      this.#rest(lineage, this.#clock.nowMs() - beganMs);
    }
  }

  #rest(lineage: string, spentMs: number): void {
    const over = (): void => {
      this.#isTaken = false;
      this.#next();
    };
    const restMs = this.#othersCame(lineage) ? Math.min(LONGEST_REST_MS, REST * spentMs) : 0;
    if (restMs > 0 && this.#timers !== undefined) this.#timers.after(restMs, over);
    else over();
  }

  #othersCame(lineage: string): boolean {
    return this.#isServingOthers(lineage) || this.#ended.some((one) => one !== lineage);
  }

  #isServingOthers(lineage: string): boolean {
    return this.#calls > (this.#serving.get(lineage) ?? 0);
  }

  #count(lineage: string, by: number): void {
    this.#calls += by;
    const left = (this.#serving.get(lineage) ?? 0) + by;
    if (left === 0) this.#serving.delete(lineage);
    else this.#serving.set(lineage, left);
  }

  #next(): void {
    if (this.#isTaken) return;
    const able = this.#waiting.filter(
      ({ lineage }) => this.#ended.length >= CALLS_FOR_A_STEP || !this.#isServingOthers(lineage),
    );
    const waiter = able.find(({ lineage }) => lineage !== this.#last) ?? able[0];
    if (waiter === undefined) return;
    this.#waiting = this.#waiting.filter((other) => other !== waiter);
    this.#isTaken = true;
    this.#last = waiter.lineage;
    waiter.go();
  }
}
