import { INBOX_HIGH_BYTES, INBOX_LOW_BYTES, MESSAGE_OVERHEAD_BYTES } from '../limits.ts';

/** What an inbox tells the connection that fills it. */
export interface InboxFlow {
  pause(): void;
  resume(): void;
}

/**
 * Messages that arrived and were not yet worked on, in order. It never refuses one; it pauses the
 * connection instead, so that what a connection can make the collector hold is the high mark and
 * one message more.
 */
export class Inbox {
  readonly #flow: InboxFlow;
  readonly #highBytes: number;
  readonly #lowBytes: number;
  #messages: Uint8Array[] = [];
  #bytes = 0;
  #paused = false;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(
    flow: InboxFlow,
    highBytes: number = INBOX_HIGH_BYTES,
    lowBytes: number = Math.min(INBOX_LOW_BYTES, highBytes / 2),
  ) {
    this.#flow = flow;
    this.#highBytes = highBytes;
    this.#lowBytes = lowBytes;
  }

  /** Messages that wait. */
  get size(): number {
    return this.#messages.length;
  }

  /** Takes one message from the network. After `close` it is dropped. */
  push(message: Uint8Array): void {
    if (this.#closed) return;
    this.#messages.push(message);
    this.#bytes += message.length + MESSAGE_OVERHEAD_BYTES;
    if (!this.#paused && this.#bytes > this.#highBytes) {
      this.#paused = true;
      this.#flow.pause();
    }
    this.#wake?.();
  }

  /** No more messages: what waits is dropped, and `next` answers undefined. */
  close(): void {
    this.#closed = true;
    this.#messages = [];
    this.#bytes = 0;
    this.#wake?.();
  }

  /** The next message, in order; undefined once closed. One reader only. */
  async next(): Promise<Uint8Array | undefined> {
    while (!this.#closed) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        this.#bytes -= message.length + MESSAGE_OVERHEAD_BYTES;
        if (this.#paused && this.#bytes <= this.#lowBytes) {
          this.#paused = false;
          this.#flow.resume();
        }
        return message;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    return undefined;
  }
}
