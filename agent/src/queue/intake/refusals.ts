import type { SpaceLeft } from './intake.ts';

/** What is known of refusals in a class since `space` was last told. */
interface Refused {
  /** The largest need: what the capture had added, and what it was refused. */
  readonly bytes: number;
  /**
   * The space after it had ended. As long as there is no more, nothing has changed and another try
   * would end the same way.
   */
  readonly left: number;
}

/** Remembers who was refused for want of space, so that each is told once when there is more. */
export class Refusals {
  readonly #space: (className: string) => Promise<SpaceLeft>;
  readonly #refused = new Map<string, Refused>();

  constructor(space: (className: string) => Promise<SpaceLeft>) {
    this.#space = space;
  }

  /** A capture was refused and has ended; `wanted` is all that it had wanted until then. */
  async add(className: string, wanted: number): Promise<void> {
    const before = this.#refused.get(className);
    const bytes = Math.max(before?.bytes ?? 0, wanted);
    // Until it is known, no space is more than there was: better told late than without end.
    this.#refused.set(className, { bytes, left: Number.POSITIVE_INFINITY });
    const left = (await this.#space(className)).bytes;
    this.#refused.set(className, { bytes, left: Math.max(before?.left ?? 0, left) });
  }

  /** Whether something was refused, in whatever class, that may fit now. Said once for each. */
  async relieved(): Promise<boolean> {
    let any = false;
    for (const [className, { bytes, left }] of [...this.#refused]) {
      const space = await this.#space(className);
      if (space.bytes < bytes || space.bytes <= left) continue;
      this.#refused.delete(className);
      any = true;
    }
    return any;
  }

  /** Receipts came, or the queue drains: whether any was refused; all may try again. */
  clear(): boolean {
    const any = this.#refused.size > 0;
    this.#refused.clear();
    return any;
  }
}
