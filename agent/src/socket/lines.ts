import type { Socket } from 'node:net';
import { LONGEST_LINE_BYTES } from './protocol.ts';

/**
 * The lines that come in over a socket, as text; ends with the socket. Throws on a line that is too
 * long.
 */
export async function* linesOf(socket: Socket): AsyncGenerator<string, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const data of socket as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    for (let at = rest.indexOf(0x0a); at >= 0; at = rest.indexOf(0x0a)) {
      yield rest.toString('utf8', 0, at);
      rest = rest.subarray(at + 1);
    }
    if (rest.length > LONGEST_LINE_BYTES)
      throw new Error('a line is longer than this release sends');
  }
}

/** Sends one value as a line of JSON; resolves when the socket can take more, or has closed. */
export function sendLine(socket: Socket, value: object): Promise<void> {
  if (socket.destroyed || !socket.writable) return Promise.resolve();
  if (socket.write(`${JSON.stringify(value)}\n`)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}
