import { createServer } from 'node:net';

/**
 * Below the range from which the system takes ports for outgoing connections: what is free here
 * stays free while a server restarts.
 */
const FIRST = 20_000;
const COUNT = 12_000;
/** Test files run beside each other: each begins to look at another place. */
let next = (process.pid * 37) % COUNT;

/** A port of loopback that nobody listens on now, and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries += 1) {
    next = (next + 1) % COUNT;
    const port = FIRST + next;
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
  throw new Error('no free port');
}
