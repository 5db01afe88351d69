import type { Duplex } from 'node:stream';
import { release } from '@aliquot/shared/crypto/bytes';
import type { WebSocket } from 'ws';

/** A message connection as a session sees it: no sockets in tests. */
export interface Channel {
  /**
   * Sends one message. Resolves when the network took it (this is the backpressure), rejects when
   * the connection is gone.
   */
  send(message: Uint8Array): Promise<void>;
  /** Stops, and starts again, taking bytes from the network: TCP then holds the sender back. */
  pause(): void;
  resume(): void;
  /**
   * Bytes that arrived of a message that is not whole yet: memory that only the connection's end
   * frees.
   */
  unfinishedBytes(): number;
  /** Bytes that arrived so far. */
  receivedBytes(): number;
  /** Says goodbye with a WebSocket close code and a short reason. Repeating it does nothing. */
  close(code: number, reason: string): void;
  /** Drops the connection without waiting for the other side. */
  terminate(): void;
}

/** WebSocket close codes in use (RFC 6455 section 7.4). */
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_POLICY = 1008;
export const CLOSE_INTERNAL = 1011;
export const CLOSE_TRY_AGAIN = 1013;

/** RFC 6455 allows 123 bytes of reason. */
const MAX_REASON_BYTES = 123;

/** What a read from the network brings at most, when there is much to read (libuv). */
const LARGE_PIECE_BYTES = 64 * 1024;
/** A message that is surely longer than one piece. */
const LARGE_MESSAGE_BYTES = 4 * LARGE_PIECE_BYTES;

/** `ws` says of a socket that is closed already only that it is not open. */
function gone(cause: Error): Error {
  return Object.assign(new Error('the connection is gone', { cause }), { code: 'EPIPE' });
}

/** A session's channel over a `ws` socket and the stream below it. */
export function socketChannel(socket: WebSocket, stream: Duplex): Channel {
  let unfinished = 0;
  let received = 0;
  let pieces: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => {
    unfinished += bytes.length;
    received += bytes.length;
    if (bytes.length >= LARGE_PIECE_BYTES) pieces.push(bytes);
  });
  socket.on('message', (message: Buffer) => {
    unfinished = 0;
    // `ws` has copied a message of several pieces. The first may hold the end of earlier messages,
    // the last the beginning of the next.
    if (message.length >= LARGE_MESSAGE_BYTES)
      for (const piece of pieces.slice(1, -1)) release(piece);
    pieces = [];
  });
  return {
    unfinishedBytes: () => unfinished,
    receivedBytes: () => received,
    send: (message) =>
      new Promise((resolve, reject) => {
        socket.send(message, { binary: true, compress: false }, (error) =>
          error instanceof Error ? reject(gone(error)) : resolve(),
        );
      }),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: (code, reason) => {
      // A paused socket would never see the other side's answer to the goodbye.
      socket.resume();
      socket.close(code, Buffer.from(reason).subarray(0, MAX_REASON_BYTES).toString('latin1'));
    },
    terminate: () => socket.terminate(),
  };
}
