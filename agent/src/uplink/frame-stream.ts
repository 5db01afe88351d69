import type { UplinkError } from './errors.ts';
import type { Received } from './session.ts';

/** Frames that wait unread before the network is held back; what is on its way then still arrives. */
const PAUSE_AT = 4;

/** The answers to one streaming request, between the network and a reader that may be slower. */
export class FrameStream {
  readonly #pause: () => void;
  readonly #resume: () => void;
  #frames: Received[] = [];
  #wake: (() => void) | undefined;
  #failure: UplinkError | undefined;
  #paused = false;

  constructor(pause: () => void, resume: () => void) {
    this.#pause = pause;
    this.#resume = resume;
  }

  push(received: Received): void {
    this.#frames.push(received);
    if (!this.#paused && this.#frames.length >= PAUSE_AT) {
      this.#paused = true;
      this.#pause();
    }
    this.#wake?.();
  }

  fail(error: UplinkError): void {
    this.#failure = error;
    this.#wake?.();
  }

  /** The next frame; what arrived before a failure is still given. */
  async next(): Promise<Received> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        if (this.#frames.length === 0) this.#letFlow();
        return frame;
      }
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** The reader wants no more. */
  stop(): void {
    this.#frames = [];
    this.#letFlow();
  }

  #letFlow(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#resume();
  }
}
