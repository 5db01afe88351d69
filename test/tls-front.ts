import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { TlsPair } from './certificates.ts';
import { freePort } from './ports.ts';

/**
 * Ends TLS in front of a collector that listens in clear on loopback, as a proxy does: one
 * collector under several names and certificates.
 */
export class TlsFront {
  readonly url: string;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** How many came, whether they believed its certificate or not. */
  connections = 0;

  private constructor(server: Server, port: number, behind: number) {
    this.#server = server;
    this.url = `https://localhost:${port}`;
    server.on('connection', () => {
      this.connections += 1;
    });
    server.on('secureConnection', (front) => this.#join(front, behind));
  }

  /**
   * Listens on a port of loopback with this certificate, a free one by default; `behind` is the
   * collector's.
   */
  static async open({ cert, key }: TlsPair, behind: number, at?: number): Promise<TlsFront> {
    const server = createServer({ cert: await readFile(cert), key: await readFile(key) });
    const port = at ?? (await freePort());
    const front = new TlsFront(server, port, behind);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return front;
  }

  #join(front: TLSSocket, behind: number): void {
    const back = connect(behind, '127.0.0.1');
    for (const [one, other] of [
      [front, back],
      [back, front],
    ] as const) {
      this.#open.add(one);
      one.on('error', () => other.destroy());
      one.once('close', () => {
        this.#open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }

  /** Breaks every connection, and takes new ones. */
  drop(): void {
    for (const socket of this.#open) socket.destroy();
  }

  /** Ends every connection too; again is harmless. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.drop();
    await closed;
  }
}
