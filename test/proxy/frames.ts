/**
 * Where WebSocket frames begin and end in one direction of a connection (RFC 6455 section 5.2).
 * Frame 0 is the HTTP message that opens it.
 */

export type Direction = 'to-collector' | 'to-agent';

/** Bytes of one frame, as far as they came. */
export interface Piece {
  readonly direction: Direction;
  readonly frame: number;
  /** Of the whole frame, header and all. */
  readonly frameBytes: number;
  /** Where in the frame these bytes begin. */
  readonly offset: number;
  readonly bytes: Buffer;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * Cuts a stream into pieces that lie in one frame each. A few bytes wait where a frame's length is
 * not known yet.
 */
export class FrameCutter {
  readonly #direction: Direction;
  #held: Buffer = Buffer.alloc(0);
  #frame = 0;
  #frameBytes: number | undefined;
  #offset = 0;

  constructor(direction: Direction) {
    this.#direction = direction;
  }

  *push(bytes: Buffer): Generator<Piece> {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    for (;;) {
      this.#frameBytes ??= this.#frame === 0 ? httpBytes(this.#held) : frameBytes(this.#held);
      if (this.#frameBytes === undefined || this.#held.length === 0) return;
      const part = this.#held.subarray(0, this.#frameBytes - this.#offset);
      this.#held = this.#held.subarray(part.length);
      const piece = {
        direction: this.#direction,
        frame: this.#frame,
        frameBytes: this.#frameBytes,
        offset: this.#offset,
        bytes: part,
      };
      this.#offset += part.length;
      if (this.#offset === this.#frameBytes) {
        this.#frame += 1;
        this.#frameBytes = undefined;
        this.#offset = 0;
      }
      yield piece;
    }
  }
}

function httpBytes(held: Buffer): number | undefined {
  const end = held.indexOf(HEAD_END);
  return end < 0 ? undefined : end + HEAD_END.length;
}

function frameBytes(held: Buffer): number | undefined {
  if (held.length < 2) return undefined;
  const masked = (held.readUInt8(1) & 0x80) === 0 ? 0 : 4;
  const short = held.readUInt8(1) & 0x7f;
  if (short < 126) return 2 + masked + short;
  const lengthBytes = short === 126 ? 2 : 8;
  if (held.length < 2 + lengthBytes) return undefined;
  const length = short === 126 ? held.readUInt16BE(2) : Number(held.readBigUInt64BE(2));
  return 2 + lengthBytes + masked + length;
}
