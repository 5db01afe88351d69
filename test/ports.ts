import { createServer, type ListenOptions, type Server } from 'node:net';

/**
 * Below the range from which the system takes ports for outgoing connections: what is free here
 * stays free while a server restarts.
 */
const FIRST = 20_000;
const COUNT = 12_000;
/** Test files run beside each other: each begins to look at another place. */
let next = (process.pid * 37) % COUNT;

/**
 * A port of loopback that nobody listens on now, and that no process of these tests was given
 * before, as long as that one lives.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries += 1) {
    next = (next + 1) % COUNT;
    const port = FIRST + next;
    if (!(await claim(port))) continue;
    const server = await listen({ port, host: '127.0.0.1' });
    if (server === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error('no free port');
}

/**
 * Between our look and the moment when a program listens, others look too. A socket with a name
 * and no file belongs to one process, and ends with it; only Linux has them.
 */
async function claim(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  const server = await listen({ path: `\0aliquot-test-port-${port}` });
  server?.unref();
  return server !== undefined;
}

function listen(at: ListenOptions): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(at, () => resolve(server));
  });
}
