import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Wire } from '../../collector/testing/wire.ts';

/**
 * A client that can break every rule of HTTP, WebSocket and frames, because it writes the bytes
 * itself.
 */

export interface FrameShape {
  /** 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly opcode?: number;
  readonly fin?: boolean;
  /** The three reserved bits; 4 is the one of permessage-deflate. */
  readonly reserved?: number;
  readonly masked?: boolean;
  /** What the header says the length is; the payload's own unless given. */
  readonly claims?: bigint;
}

/** RFC 6455 section 5.2, with lies where asked. */
export function webSocketFrame(payload: Uint8Array, shape: FrameShape = {}): Buffer {
  const claims = shape.claims ?? BigInt(payload.length);
  const masked = shape.masked !== false;
  const head = [
    ((shape.fin === false ? 0 : 0x80) | ((shape.reserved ?? 0) << 4) | (shape.opcode ?? 2)) & 0xff,
  ];
  const bit = masked ? 0x80 : 0;
  if (claims < 126n) head.push(bit | Number(claims));
  else if (claims < 65_536n) head.push(bit | 126, Number(claims >> 8n), Number(claims & 255n));
  else {
    head.push(bit | 127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((claims >> shift) & 255n));
  }
  // A mask of zeros masks nothing, and is allowed.
  return Buffer.concat([Buffer.from(head), Buffer.alloc(masked ? 4 : 0), payload]);
}

export class RawPeer {
  readonly socket: Socket;
  /** Everything that the collector sent and nobody took. */
  #received = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Connects, from another address of loopback when one is given. */
  static async connect(port: number, localAddress = '127.0.0.1'): Promise<RawPeer> {
    const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    await once(socket, 'connect');
    return new RawPeer(socket);
  }

  /** Connects and becomes a WebSocket. Throws with the status line when that is refused. */
  static async upgraded(
    port: number,
    localAddress?: string,
    headers: readonly string[] = [],
  ): Promise<RawPeer> {
    const peer = await RawPeer.connect(port, localAddress);
    peer.write(upgradeRequest(headers));
    const answer = await peer.head();
    if (!answer.startsWith('HTTP/1.1 101')) throw new Error(answer.split('\r\n')[0] || 'closed');
    return peer;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** False when the network is full; the bytes are queued anyway. */
  write(bytes: Uint8Array | string): boolean {
    return this.socket.write(bytes);
  }

  /** Writes and waits until the network took it; false when the other side has gone. */
  async give(bytes: Uint8Array): Promise<boolean> {
    if (this.#closed) return false;
    if (!this.socket.write(bytes))
      await Promise.race([once(this.socket, 'drain').catch(() => undefined), this.gone()]);
    return !this.#closed;
  }

  /** Stops taking what the collector sends. */
  deafen(): void {
    this.socket.pause();
  }

  async gone(): Promise<void> {
    // A deaf peer would not hear the end either.
    this.socket.resume();
    while (!this.#closed) await this.#more();
  }

  /** Waits for the collector's goodbye, or for the end without one, and hangs up. */
  async goodbye(): Promise<void> {
    for (
      let frame = await this.frame();
      frame !== undefined && frame.opcode !== 8;
      frame = await this.frame()
    );
    this.end();
  }

  end(): void {
    this.socket.destroy();
  }

  /** The head of an HTTP answer, or what came before the end. */
  async head(): Promise<string> {
    for (;;) {
      const at = this.#received.indexOf('\r\n\r\n');
      if (at >= 0) return this.#take(at + 4).toString('latin1');
      if (this.#closed) return this.#take(this.#received.length).toString('latin1');
      await this.#more();
    }
  }

  /** The next WebSocket frame from the collector; undefined at the end. */
  async frame(): Promise<{ readonly opcode: number; readonly payload: Buffer } | undefined> {
    for (;;) {
      const size = this.#received.length;
      const short = size >= 2 ? (this.#received[1] ?? 0) & 0x7f : 0;
      const headBytes = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (size >= headBytes) {
        const length =
          short === 127
            ? Number(this.#received.readBigUInt64BE(2))
            : short === 126
              ? this.#received.readUInt16BE(2)
              : short;
        if (size >= headBytes + length) {
          const opcode = (this.#received[0] ?? 0) & 0x0f;
          return { opcode, payload: this.#take(headBytes + length).subarray(headBytes) };
        }
      }
      if (this.#closed) return undefined;
      await this.#more();
    }
  }

  /** As the wire of a `TestAgent`, over this connection. */
  wire(): Wire {
    const peer = this;
    return {
      send: (message) => void peer.write(webSocketFrame(message)),
      async next() {
        for (;;) {
          const frame = await peer.frame();
          if (frame === undefined || frame.opcode === 8) return undefined;
          if (frame.opcode === 2) return new Uint8Array(frame.payload);
        }
      },
      close: () => peer.end(),
      closed: peer.gone().then(() => ({ code: 1006, reason: '' })),
    };
  }

  #take(length: number): Buffer {
    const taken = Buffer.from(this.#received.subarray(0, length));
    this.#received = this.#received.subarray(length);
    return taken;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

export function upgradeRequest(headers: readonly string[] = []): string {
  const lines = [
    'GET /v1/agent HTTP/1.1',
    'Host: collector',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
