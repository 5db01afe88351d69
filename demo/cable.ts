import { createConnection, createServer, type Server, type Socket } from 'node:net';

/**
 * A network cable between agents and collector that can be pulled and put back: a plain TCP relay on loopback.
 *
 * @param target where the collector listens
 */
export class Cable {
  readonly #target: { host: string; port: number };
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  /** The base address that stays the same however often the cable is pulled. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Connects both ends; resolves when connections are accepted. */
  async plug(): Promise<void> {
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
      near.pipe(far);
      far.pipe(near);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', () => resolve());
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the relay has no TCP address');
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
