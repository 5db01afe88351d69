/** How many connections may be open that have not yet proved who they are. */
export interface HandshakeLimits {
  readonly total: number;
  readonly perAddress: number;
}

/**
 * A lab's agents reconnect together after an outage, so the total is generous; a whole site may sit behind one NAT address, so
 * that limit is not small either. Both only have to keep a flood from holding memory: an unproved connection may buffer one hello.
 */
const DEFAULT_HANDSHAKE_LIMITS: HandshakeLimits = { total: 1024, perAddress: 128 };

/** Counts half-open handshakes, by address and in all. */
export class HandshakeGate {
  readonly #limits: HandshakeLimits;
  readonly #byAddress = new Map<string, number>();
  #total = 0;

  constructor(limits: HandshakeLimits = DEFAULT_HANDSHAKE_LIMITS) {
    this.#limits = limits;
  }

  /** A place for one more half-open connection, or undefined when there is none. Calling the answer (once or more) frees the place. */
  enter(address: string): (() => void) | undefined {
    const already = this.#byAddress.get(address) ?? 0;
    if (this.#total >= this.#limits.total || already >= this.#limits.perAddress) return undefined;
    this.#total++;
    this.#byAddress.set(address, already + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#total--;
      const remaining = (this.#byAddress.get(address) ?? 1) - 1;
      if (remaining === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, remaining);
    };
  }
}
