import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { type Direction, FrameCutter, type Piece } from './frames.ts';

/**
 * One connection through the proxy: the agent's end and the collector's, and what may be done to
 * them.
 */
export class RelayLine {
  /** The how-manieth connection that carried anything, from 0. */
  readonly number: number;
  readonly near: Socket;
  readonly far: Socket;
  /** Resolves when both ends are closed. */
  readonly over: Promise<void>;
  /** Bytes that were passed on. */
  readonly passed: Record<Direction, number> = { 'to-collector': 0, 'to-agent': 0 };
  #broken = false;

  constructor(number: number, near: Socket, far: Socket) {
    this.number = number;
    this.near = near;
    this.far = far;
    const closed = (socket: Socket): Promise<void> =>
      new Promise((resolve) => socket.once('close', () => resolve()));
    this.over = Promise.all([closed(near), closed(far)]).then(() => undefined);
  }

  /**
   * Passes bytes on; resolves when the other side takes more. What has no receiver any more is
   * dropped.
   */
  async pass(direction: Direction, bytes: Buffer): Promise<void> {
    const to = direction === 'to-collector' ? this.far : this.near;
    if (this.#broken || to.destroyed || to.writableEnded || bytes.length === 0) return;
    this.passed[direction] += bytes.length;
    if (to.write(bytes)) return;
    await new Promise<void>((resolve) => {
      to.once('drain', resolve);
      to.once('close', resolve);
    });
  }

  /**
   * The cable breaks. What was passed on before still arrives; nothing passes any more, in either
   * direction.
   */
  cut(): void {
    this.#broken = true;
    this.near.end();
    this.far.end();
  }

  /** The same, with a reset: what was passed on may be lost on the way too. */
  reset(): void {
    this.#broken = true;
    this.near.resetAndDestroy();
    this.far.resetAndDestroy();
  }

  get broken(): boolean {
    return this.#broken;
  }
}

/**
 * Decides about each piece: passing it on is its own affair (`line.pass`). Pieces of one direction
 * come one after the other.
 */
export type Handler = (piece: Piece) => void | Promise<void>;

/**
 * A relay between real agents and a real collector, on loopback, that does to each connection what
 * a test says.
 */
export class Relay {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #lines = new Set<RelayLine>();
  #server: Server | undefined;
  #port = 0;
  #count = 0;
  #sentBytes = 0;
  /** What is done to the next connections; without it bytes pass untouched. */
  handle: ((line: RelayLine) => Handler) | undefined;
  /** When one end is closed, the other is too, unless a test wants it half open. */
  closesBoth = true;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
  }

  static async open(url: string): Promise<Relay> {
    const { hostname, port } = new URL(url);
    const relay = new Relay({ host: hostname, port: Number(port) });
    const server = createServer({ allowHalfOpen: true }, (near) => relay.#accept(near));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    relay.#port = typeof address === 'object' && address !== null ? address.port : 0;
    relay.#server = server;
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /**
   * Connections so far that carried anything: looks that only ask whether somebody is there do not
   * count.
   */
  get connections(): number {
    return this.#count;
  }

  /** Bytes passed on to the collector by now. */
  get sentBytes(): number {
    return this.lines.reduce((sum, { passed }) => sum + passed['to-collector'], this.#sentBytes);
  }

  get lines(): readonly RelayLine[] {
    return [...this.#lines];
  }

  async close(): Promise<void> {
    for (const { near, far } of this.#lines) {
      near.destroy();
      far.destroy();
    }
    await new Promise<void>((resolve) => this.#server?.close(() => resolve()));
  }

  #accept(near: Socket): void {
    near.on('error', () => near.destroy());
    // Who only looks whether somebody is there sends nothing.
    near.on('end', () => near.end());
    near.once('data', (first: Buffer) => {
      near.pause();
      near.removeAllListeners('end');
      const far = createConnection({ ...this.#target, allowHalfOpen: true });
      const line = new RelayLine(this.#count, near, far);
      this.#count += 1;
      this.#lines.add(line);
      void line.over.then(() => {
        this.#lines.delete(line);
        this.#sentBytes += line.passed['to-collector'];
      });
      far.on('error', () => far.destroy());
      const handler = this.handle?.(line) ?? ((piece) => line.pass(piece.direction, piece.bytes));
      this.#relay(line, 'to-collector', handler, first);
      this.#relay(line, 'to-agent', handler);
    });
  }

  #relay(line: RelayLine, direction: Direction, handler: Handler, first?: Buffer): void {
    const [from, to] = direction === 'to-collector' ? [line.near, line.far] : [line.far, line.near];
    const cutter = new FrameCutter(direction);
    let turn = Promise.resolve();
    const take = (bytes: Buffer): void => {
      from.pause();
      turn = turn.then(async () => {
        for (const piece of cutter.push(bytes)) await handler(piece);
        from.resume();
      });
    };
    from.on('data', take);
    from.on('end', () => {
      turn = turn.then(() => {
        if (this.closesBoth) to.end();
      });
    });
    from.on('close', () => {
      turn = turn.then(() => {
        if (this.closesBoth) to.destroy();
      });
    });
    if (first !== undefined) take(first);
  }
}
