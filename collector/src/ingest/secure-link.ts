import {
  type ClientFrame,
  checkClientBody,
  decodeClientFrame,
  encodeFrameHead,
  encodeServerFrame,
  type ServerFrame,
  splitFrame,
} from '@aliquot/proto';
import { release } from '@aliquot/shared/crypto/bytes';
import { FrameOpener, FrameSealer, type SessionKeys } from '@aliquot/shared/session/frames';
import type { Channel } from './channel.ts';

/** A frame as it came out of its seal. */
export interface Received {
  readonly frame: ClientFrame;
  readonly body: Uint8Array;
}

/** Frames under the session's keys, over a channel of messages. */
export class SecureLink {
  readonly #channel: Channel;
  readonly #sealer: FrameSealer;
  readonly #opener: FrameOpener;

  constructor(channel: Channel, keys: SessionKeys) {
    this.#channel = channel;
    this.#sealer = new FrameSealer(keys, 'server');
    this.#opener = new FrameOpener(keys, 'server');
  }

  /**
   * Sealing and queueing happen at once, so frames leave in the order of the calls; resolves when
   * the network took the frame.
   */
  send(frame: ServerFrame, ...body: readonly Uint8Array[]): Promise<void> {
    const bytes = body.reduce((sum, part) => sum + part.length, 0);
    return this.#channel.send(
      this.#sealer.seal(encodeFrameHead(encodeServerFrame(frame), bytes), ...body),
    );
  }

  /**
   * Takes the message over. Throws SessionError when it is not the next one of the other side,
   * FormatError when the frame in it is malformed.
   */
  open(message: Uint8Array): Received {
    const plain = this.#opener.open(message);
    release(message);
    const { header, body } = splitFrame(plain);
    const frame = decodeClientFrame(header);
    checkClientBody(frame, body);
    return { frame, body };
  }
}
