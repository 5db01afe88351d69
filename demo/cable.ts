import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';

/** Sees, and may replace, what passes in one direction of one connection. */
export type Tap = (bytes: Buffer, direction: 'to-collector' | 'to-agent') => Buffer;

/**
 * A network cable between agents and collector that can be pulled and put back: a plain TCP relay
 * on loopback.
 *
 * @param target where the collector listens
 * @param newTap makes the tap of each new connection; without it bytes pass untouched
 */
export class Cable {
  readonly #target: { host: string; port: number };
  readonly #newTap: (() => Tap) | undefined;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #sentBytes = 0;

  constructor(target: { host: string; port: number }, newTap?: () => Tap) {
    this.#target = target;
    this.#newTap = newTap;
  }

  /** The base address that stays the same however often the cable is pulled. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Bytes that agents have sent through it so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /**
   * Connects both ends, on a port that stays (0 at first: any); resolves when connections are
   * accepted.
   */
  async plug(port = this.#port): Promise<void> {
    const server = createServer((near) => {
      const far = createConnection(this.#target);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
        socket.on('error', () => {
          near.destroy();
          far.destroy();
        });
      }
      near.on('data', (bytes: Buffer) => {
        this.#sentBytes += bytes.length;
      });
      const tap = this.#newTap?.();
      if (tap) {
        near.pipe(through((bytes) => tap(bytes, 'to-collector'))).pipe(far);
        far.pipe(through((bytes) => tap(bytes, 'to-agent'))).pipe(near);
      } else {
        near.pipe(far);
        far.pipe(near);
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve());
    });
    const address = server.address();
    if (address === null || typeof address === 'string')
      throw new Error('the relay has no TCP address');
    this.#port = address.port;
    this.#server = server;
  }

  /** Cuts every connection at once and refuses new ones. */
  async pull(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

function through(change: (bytes: Buffer) => Buffer): Transform {
  return new Transform({
    transform: (bytes: Buffer, _encoding, done) => done(null, change(bytes)),
  });
}
