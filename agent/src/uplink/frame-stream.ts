import type { ServerFrame } from '@aliquot/proto';
import { UplinkError } from './errors.ts';

/** A frame that answers, with the bytes behind it. */
export interface ReceivedAnswer {
  readonly frame: ServerFrame;
  readonly body: Uint8Array;
}

/**
 * Frames that wait unread before the network is held back; what is on its way then still arrives.
 */
const FULL_AT = 4;
/** What may wait unread while the session reads on for the sake of others. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;

/** The answers to one streaming request, between the network and a reader that may be slower. */
export class FrameStream {
  readonly #onChange: () => void;
  #frames: ReceivedAnswer[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  #failure: UplinkError | undefined;
  #full = false;

  /** `onChange` is called whenever `full` may have changed. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /**
   * Whether the reader should catch up before more comes: from a few frames on until it has read
   * them all.
   */
  get full(): boolean {
    return this.#full;
  }

  push(received: ReceivedAnswer): void {
    if (this.#failure !== undefined) return;
    this.#frames.push(received);
    this.#bytes += received.body.length;
    if (this.#bytes > MAX_UNREAD_BYTES) {
      this.stop();
      this.fail(
        new UplinkError(
          'UPLINK_CLOSED',
          'an answer of the collector was left unread for too long; ask again',
        ),
      );
      return;
    }
    this.#full ||= this.#frames.length >= FULL_AT;
    this.#wake?.();
    this.#onChange();
  }

  fail(error: UplinkError): void {
    this.#failure = error;
    this.#wake?.();
  }

  /** The next frame; what arrived before a failure is still given. */
  async next(): Promise<ReceivedAnswer> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        this.#bytes -= frame.body.length;
        if (this.#frames.length === 0) this.#emptied();
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
    this.#bytes = 0;
    this.#emptied();
  }

  #emptied(): void {
    this.#full = false;
    this.#onChange();
  }
}
