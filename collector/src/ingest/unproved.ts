import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import {
  connectionLimits,
  FAIR_UNPROVED_BYTES,
  type HandshakeLimits,
  MAX_ALL_UNPROVED_BYTES,
  MAX_UNPROVED_BYTES,
} from '../limits.ts';
import type { IngestErrorCode } from './errors.ts';
import { HandshakeGate } from './handshake-gate.ts';

/**
 * Until an agent has proved itself, its connection may send only a little, whatever message length
 * it announces.
 */
export class UnprovedBytes {
  #all = 0;

  /** Watches a connection; calling the answer (once or more) ends that. */
  watch(socket: WebSocket, stream: Duplex): () => void {
    let received = 0;
    const count = (data: Buffer): void => {
      received += data.length;
      this.#all += data.length;
      const tooMuch =
        received > MAX_UNPROVED_BYTES ||
        (received > FAIR_UNPROVED_BYTES && this.#all > MAX_ALL_UNPROVED_BYTES);
      if (tooMuch) socket.terminate();
    };
    stream.on('data', count);
    return () => {
      stream.off('data', count);
      this.#all -= received;
      received = 0;
    };
  }
}

/** A connection by its other end: over TLS the raw and the encrypted stream have it in common. */
type OtherEnd = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Limits connections of any kind from the moment that they are open until they prove whose they
 * are.
 */
export class ConnectionGate {
  readonly #gate: HandshakeGate;
  readonly #places = new Map<string, () => void>();
  readonly #log: Logger;

  constructor(log: Logger, limits: HandshakeLimits = connectionLimits) {
    this.#gate = new HandshakeGate(limits);
    this.#log = log;
  }

  guard(server: Server): void {
    server.on('connection', (socket: Socket) => {
      const key = keyOf(socket);
      const leave = this.#gate.enter(socket.remoteAddress ?? '', () => {
        this.#places.delete(key);
        socket.destroy();
      });
      if (leave === undefined) {
        this.#log.warn(
          { code: 'INGEST_LIMIT' satisfies IngestErrorCode },
          'too many connections that have not proved themselves',
        );
        socket.destroy();
        return;
      }
      this.#places.set(key, leave);
      socket.once('close', () => this.proved(socket));
    });
  }

  /** The connection has proved itself, or is gone: it no longer counts. */
  proved(end: OtherEnd): void {
    const key = keyOf(end);
    this.#places.get(key)?.();
    this.#places.delete(key);
  }
}

function keyOf({ remoteAddress, remotePort }: OtherEnd): string {
  return `${remoteAddress} ${remotePort}`;
}
