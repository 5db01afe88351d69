import { lookup } from 'node:dns/promises';
import { createConnection, isIP, type Socket } from 'node:net';
import type { CollectorAddress } from '@aliquot/proto';
import type { Timers } from '@aliquot/shared/ports';

/**
 * Enough for the second SYN, a second after the first; a lost third is what the next look is for.
 */
const LOOK_MS = 1_500;
/**
 * Three SYNs, at 0, 1 and 3 seconds. Waiting for the later ones (7, 15 …) would sleep through the
 * return of the network.
 */
const ATTEMPT_MS = 3_500;

/**
 * Whether the collector's address takes TCP connections now: one that is closed as soon as it
 * stands.
 */
export async function tcpProbe(server: CollectorAddress, timers: Timers): Promise<boolean> {
  const { hostname, port, protocol } = new URL(server.url);
  const name = hostname.replace(/^\[|\]$/g, '');
  let host = name;
  // Awaited to its end however long that takes: an impatient second question would hold a second of
  // the process's few threads.
  if (isIP(name) === 0) {
    try {
      host = (await lookup(name)).address;
    } catch (error) {
      // `getaddrinfo` says EAI_AGAIN and the like, which is no errno.
      if (error instanceof Error && 'syscall' in error) return false;
      throw error;
    }
  }
  const standard = /^(https|wss):$/.test(protocol) ? 443 : 80;
  return new Promise((resolve) => {
    const socket = createConnection({ host, port: port === '' ? standard : Number(port) });
    const end = (reached: boolean): void => {
      cancel();
      socket.destroy();
      resolve(reached);
    };
    const cancel = timers.after(LOOK_MS, () => end(false));
    socket.once('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}

/**
 * Ends a socket that tries to connect for too long, with the error that the system would give, only
 * earlier. TLS and what follows may take their own time.
 */
export function hurry<S extends Socket>(socket: S, late: (error: Error) => void): S {
  const whole = socket.timeout ?? 0;
  socket.on('connectionAttempt', () => socket.setTimeout(ATTEMPT_MS));
  socket.once('connect', () => socket.setTimeout(whole));
  socket.prependListener('timeout', () => {
    if (!socket.connecting) return;
    late(
      Object.assign(new Error('nothing answers (connect ETIMEDOUT)'), {
        code: 'ETIMEDOUT',
        syscall: 'connect',
      }),
    );
    socket.destroy();
  });
  return socket;
}
