import {
  type ClientFrame,
  checkClientBody,
  decodeClientFrame,
  encodeFrame,
  encodeServerFrame,
  type ServerFrame,
  splitFrame,
} from '@aliquot/proto';
import { FrameOpener, FrameSealer, type SessionKeys } from '@aliquot/shared/session/frames';
import type { Channel } from './channel.ts';

const EMPTY = new Uint8Array(0);

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

  /** Sealing and queueing happen at once, so frames leave in the order of the calls; resolves when the network took the frame. */
  send(frame: ServerFrame, body: Uint8Array = EMPTY): Promise<void> {
    return this.#channel.send(this.#sealer.seal(encodeFrame(encodeServerFrame(frame), body)));
  }

  /** Throws SessionError when the message is not the next one of the other side, FormatError when the frame in it is malformed. */
  open(message: Uint8Array): Received {
    const { header, body } = splitFrame(this.#opener.open(message));
    const frame = decodeClientFrame(header);
    checkClientBody(frame, body);
    return { frame, body };
  }
}
