import { type HandshakeLimits, handshakeLimits } from '../limits.ts';

interface Place {
  readonly end: () => void;
}

/**
 * Counts connections that have proved nothing, by address and in all. When all places are taken,
 * the oldest one of the most crowded address makes room: so a flood from a few addresses never
 * keeps the others out, and one from many only as long as it holds more addresses than there are
 * places.
 */
export class HandshakeGate {
  readonly #limits: HandshakeLimits;
  readonly #byAddress = new Map<string, Set<Place>>();
  #total = 0;

  constructor(limits: HandshakeLimits = handshakeLimits) {
    this.#limits = limits;
  }

  /** Places that are taken. */
  get size(): number {
    return this.#total;
  }

  /**
   * A place for one more connection, or undefined when there is none. Calling the answer (once or
   * more) frees the place; `end` is called when somebody else needs it.
   */
  enter(address: string, end: () => void): (() => void) | undefined {
    const own = this.#byAddress.get(address)?.size ?? 0;
    if (own >= this.#limits.perAddress) return undefined;
    if (this.#total >= this.#limits.total && !this.#makeRoom(own)) return undefined;
    const place: Place = { end };
    const places = this.#byAddress.get(address) ?? new Set<Place>();
    this.#byAddress.set(address, places.add(place));
    this.#total++;
    return () => this.#leave(address, place);
  }

  #leave(address: string, place: Place): void {
    const places = this.#byAddress.get(address);
    if (places?.delete(place) !== true) return;
    this.#total--;
    if (places.size === 0) this.#byAddress.delete(address);
  }

  /**
   * Ends the oldest place of the most crowded address, if that has more than one beyond `own`: else
   * two floods would end each other.
   */
  #makeRoom(own: number): boolean {
    let crowded: readonly [string, Set<Place>] | undefined;
    for (const candidate of this.#byAddress)
      if (candidate[1].size > (crowded?.[1].size ?? own + 1)) crowded = candidate;
    const [oldest] = crowded?.[1] ?? [];
    if (crowded === undefined || oldest === undefined) return false;
    this.#leave(crowded[0], oldest);
    oldest.end();
    return true;
  }
}
