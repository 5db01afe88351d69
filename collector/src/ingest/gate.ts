import type { Timers } from '@aliquot/shared/ports';
import { type GateLimits, gateLimits } from '../limits.ts';

/** How often newcomers that wait are let in. */
const TURN_MS = 20;
const TURNS_A_SECOND = 1_000 / TURN_MS;
/** While others would wait for it, each turn lets in so much less, and so much more afterwards. */
const LESS = 0.95;
const MORE = 1.05;

/** A connection that has proved nothing, as the gate sees it. */
export interface Newcomer {
  /** It may come in. Called once at most, perhaps at once. */
  admit(): void;
  /** Its place is needed: it must go. */
  end(): void;
}

/** All that have proved nothing of one network, each list the oldest first. */
interface Crowd {
  readonly waiting: Set<Newcomer>;
  readonly inside: Set<Newcomer>;
}

/**
 * The gate for whoever has proved nothing: how many may be inside, and how many are let in in a
 * second, so that a flood costs memory and time within bounds. Those of the least crowded network
 * come in first, and of one network the newest: who comes again when he is ended only takes the
 * turn of others like him, and who holds what he has waits. Where there is no room the oldest of
 * the same network, or of the most crowded one, makes it: a newcomer is never turned away. While
 * this process has no time left for those who have proved themselves, fewer come in: what a
 * connection costs depends on the machine, on what else it does, and on the key of its certificate.
 */
export class Gate {
  readonly #limits: GateLimits;
  readonly #timers: Timers;
  readonly #isShort: () => boolean;
  readonly #crowds = new Map<string, Crowd>();
  #inside = 0;
  #waiting = 0;
  /** How many may come in at once. It fills up again turn by turn; late turns let fewer in. */
  #allowed: number;
  /** How many are let in in a second, as things are. */
  #rate: number;
  #cancel: (() => void) | undefined;

  /** @param isShort whether time was lacking for others since the last call */
  constructor(
    timers: Timers,
    limits: GateLimits = gateLimits,
    isShort: () => boolean = () => false,
  ) {
    this.#timers = timers;
    this.#limits = limits;
    this.#isShort = isShort;
    this.#rate = limits.aSecond;
    this.#allowed = this.#most;
  }

  /** Takes a newcomer. */
  enter(network: string, newcomer: Newcomer): void {
    const crowd = this.#crowds.get(network) ?? { waiting: new Set(), inside: new Set() };
    this.#crowds.set(network, crowd);
    crowd.waiting.add(newcomer);
    this.#waiting++;
    if (this.#waiting > this.#limits.waiting) this.#drop('waiting');
    this.#admit();
  }

  /** It has proved itself, or is gone. Repeating it does nothing. */
  leave(network: string, newcomer: Newcomer): void {
    const crowd = this.#crowds.get(network);
    if (crowd?.waiting.delete(newcomer) === true) this.#waiting--;
    if (crowd?.inside.delete(newcomer) === true) this.#inside--;
    if (crowd?.waiting.size === 0 && crowd.inside.size === 0) this.#crowds.delete(network);
  }

  /** Lets nobody in any more. */
  stop(): void {
    this.#cancel?.();
    this.#allowed = 0;
  }

  get #most(): number {
    return Math.ceil(this.#rate / 4);
  }

  #admit(): void {
    while (this.#allowed > 0 && this.#waiting > 0) {
      const [network, newcomer] = this.#next();
      this.leave(network, newcomer);
      this.#allowed--;
      const crowd = this.#crowds.get(network) ?? { waiting: new Set(), inside: new Set() };
      this.#crowds.set(network, crowd);
      crowd.inside.add(newcomer);
      this.#inside++;
      if (crowd.inside.size > this.#limits.perNetwork) this.#end(network, crowd, 'inside');
      else if (this.#inside > this.#limits.inside) this.#drop('inside');
      newcomer.admit();
    }
    if (this.#allowed < this.#most)
      this.#cancel ??= this.#timers.after(TURN_MS, () => this.#turn());
  }

  #turn(): void {
    this.#cancel = undefined;
    const { aSecond, leastASecond } = this.#limits;
    const rate = this.#rate * (this.#isShort() ? LESS : MORE);
    this.#rate = Math.min(aSecond, Math.max(leastASecond ?? aSecond, rate));
    this.#allowed = Math.min(this.#most, this.#allowed + this.#rate / TURNS_A_SECOND);
    this.#admit();
  }

  /** The newest of the network that has the fewest inside. */
  #next(): readonly [string, Newcomer] {
    let best: readonly [string, Crowd] | undefined;
    for (const each of this.#crowds)
      if (each[1].waiting.size > 0 && each[1].inside.size < (best?.[1].inside.size ?? Infinity))
        best = each;
    const newcomer = [...(best?.[1].waiting ?? [])].at(-1);
    if (best === undefined || newcomer === undefined) throw new Error('nobody waits');
    return [best[0], newcomer];
  }

  /** The oldest of the network with the most of them goes. */
  #drop(place: keyof Crowd): void {
    let most: readonly [string, Crowd] | undefined;
    for (const each of this.#crowds)
      if (each[1][place].size > (most?.[1][place].size ?? 0)) most = each;
    if (most !== undefined) this.#end(...most, place);
  }

  #end(network: string, crowd: Crowd, place: keyof Crowd): void {
    const [oldest] = crowd[place];
    if (oldest === undefined) return;
    this.leave(network, oldest);
    oldest.end();
  }
}
