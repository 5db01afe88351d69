import { once } from 'node:events';
import type { Server } from 'node:net';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { CommandError } from '../cli/command-error.ts';
import type { ListenAddress } from './listen.ts';

/** `localhost` is both of them, where this machine has both. */
const loopback = ['127.0.0.1', '::1'];
const absent: ReadonlySet<string | undefined> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** The sockets on which the collector listens. */
export class Doors {
  readonly #front: () => Server;
  readonly #open: Server[] = [];

  /** @param front makes a server for one address */
  constructor(front: () => Server) {
    this.#front = front;
  }

  /** Listens; answers with the port. Errors: `SERVE_PORT`, `SERVE_LISTEN`. */
  async listen({ host, port }: ListenAddress): Promise<number> {
    if (host !== 'localhost') return this.#listen(host, port);
    const [first = host, second = host] = loopback;
    const bound = await this.#listen(first, port);
    try {
      await this.#listen(second, bound);
    } catch (error) {
      if (!(error instanceof CommandError && absent.has(errnoOf(error.cause)))) throw error;
    }
    return bound;
  }

  /** Takes no new connections. */
  close(): void {
    for (const server of this.#open) server.close();
  }

  async #listen(host: string, port: number): Promise<number> {
    const server = this.#front();
    try {
      server.listen({ host, port });
      await once(server, 'listening');
    } catch (cause) {
      throw refused(cause, `${host}:${port}`);
    }
    this.#open.push(server);
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : port;
  }
}

function refused(cause: unknown, where: string): unknown {
  switch (errnoOf(cause)) {
    case 'EADDRINUSE':
      return new CommandError(
        'SERVE_PORT',
        `cannot listen on ${where}: another program uses that port; end it, or choose another with --listen`,
        { cause },
      );
    case 'EACCES':
      return new CommandError(
        'SERVE_LISTEN',
        `cannot listen on ${where}: this user may not; choose a port above 1023`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'ENOTFOUND':
      return new CommandError(
        'SERVE_LISTEN',
        `cannot listen on ${where}: this machine has no such address; check --listen`,
        { cause },
      );
    default:
      return cause;
  }
}
