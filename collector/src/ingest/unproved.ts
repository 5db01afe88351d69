import type { Server as HttpServer, IncomingMessage } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Timers } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import {
  FAIR_UNPROVED_BYTES,
  type GateLimits,
  HANDSHAKE_MS,
  MAX_ALL_UNPROVED_BYTES,
  MAX_UNPROVED_BYTES,
  UNPROVED_IDLE_MS,
} from '../limits.ts';
import type { IngestErrorCode } from './errors.ts';
import { Gate } from './gate.ts';
import { HandshakePace } from './handshake-pace.ts';
import { networkOf, TrustedProxies } from './network.ts';
import { readProxyHead } from './proxy-head.ts';

const LOOK_MS = 1_000;
/** Who works so much of the time keeps somebody waiting. */
const MOST_UTILIZATION = 0.7;
/** Where so many of those that came in have proved themselves, it is agents that come back. */
const HONEST_PART = 0.5;
/** How fast it is forgotten who came in, each time that the gate asks. */
const FORGET = 0.98;

/**
 * Until an agent has proved itself, its connection may send only a little, whatever message length
 * it announces. Test only: the door has one.
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

  /** Counts the body of a request, however much of it has come; the answer ends that. */
  reserve(bytes: number): () => void {
    let reserved = bytes;
    this.#all += reserved;
    return () => {
      this.#all -= reserved;
      reserved = 0;
    };
  }
}

/** A connection by its ends: over TLS the raw and the encrypted stream have them in common. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>;

interface Place {
  readonly socket: Socket;
  readonly network: string;
  /** What it had sent before it came to this place, in bytes. */
  readonly before: number;
  readonly leave: () => void;
  /** Whether it waits for us, not we for it. */
  working: () => boolean;
  heard: number;
  quietMs: number;
  ageMs: number;
}

interface DoorParts {
  readonly log: Logger;
  readonly timers: Timers;
  readonly proxies?: TrustedProxies;
  readonly limits?: GateLimits;
  /** Milliseconds, with fractions, since some moment: see `HandshakePace`. */
  readonly elapsedMs?: () => number;
  /** Which part of the time since the last call this process worked, 0 to 1. */
  readonly utilization?: () => number;
}

/**
 * Where connections of any kind arrive. Until they prove whose they are, each has a place at the
 * gate, sends little, and goes when it says nothing for some seconds. Of a connection of a trusted
 * proxy each request has a place, by the address that the proxy tells.
 */
export class FrontDoor {
  readonly bytes = new UnprovedBytes();
  readonly #gate: Gate;
  readonly #pace: HandshakePace;
  readonly #log: Logger;
  readonly #timers: Timers;
  readonly #proxies: TrustedProxies;
  readonly #places = new Map<string, Place>();
  /** Addresses behind the connections that proxies passed on, as these said. */
  readonly #passedOn = new Map<string, string>();
  /** Those that are not let in yet, and for how long, in milliseconds. */
  readonly #waiting = new Map<Socket, number>();
  #cancel: (() => void) | undefined;
  /** Whether something was done for who has proved himself since the gate asked. */
  #hasServed = false;
  /** Lately. */
  #admitted = 0;
  #proved = 0;

  constructor(parts: DoorParts) {
    const { log, timers, proxies = new TrustedProxies(), limits, elapsedMs } = parts;
    const { utilization = () => 0 } = parts;
    this.#gate = new Gate(timers, limits, () => {
      const isBusy = utilization() > MOST_UTILIZATION && this.#hasServed;
      const areStrangers = this.#proved < HONEST_PART * this.#admitted;
      this.#hasServed = false;
      this.#admitted *= FORGET;
      this.#proved *= FORGET;
      return isBusy && areStrangers;
    });
    this.#pace = new HandshakePace(timers, elapsedMs);
    this.#log = log;
    this.#timers = timers;
    this.#proxies = proxies;
  }

  /** A server that listens in the place of `server`, and hands on to it whoever may come in. */
  front(server: HttpServer): Server {
    const front = createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
      (socket) => {
        socket.on('error', () => socket.destroy());
        const serve = (): void => {
          server.emit('connection', socket);
          socket.resume();
        };
        if (this.#proxies.trusts(socket.remoteAddress)) this.#hearProxy(socket, serve);
        else this.#enter(socket, socket.remoteAddress, serve);
      },
    );
    // Node judges how long heads and requests take from this event on.
    server.emit('listening');
    return front;
  }

  /**
   * Calls `go` when a request may be worked on. One that came directly has its place already; one
   * that a proxy handed on gets it here, until its connection ends.
   */
  turn({ socket, headers }: IncomingMessage, go: () => void): void {
    const address = this.#passedOn.get(keyOf(socket)) ?? socket.remoteAddress;
    if (address === undefined || !this.#proxies.trusts(address)) {
      go();
      return;
    }
    const said = headers['x-forwarded-for'];
    const client = this.#proxies.clientOf(address, Array.isArray(said) ? said.join() : said);
    this.#enter(socket, client, go);
  }

  /**
   * Does `work`, which costs keys or signatures, in its turn among all that have proved nothing;
   * undefined where the connection ended before. Rejects with what it throws.
   */
  async atTurn<T>(end: Ends, work: () => T): Promise<T | undefined> {
    const place = this.#places.get(keyOf(end));
    return place === undefined ? work() : this.#pace.turn(place.network, place, work);
  }

  /** Something was done for somebody who has proved himself. */
  served(): void {
    this.#hasServed = true;
    this.#pace.served();
  }

  /** As long as `working` says so, the connection waits for us, and its silence means nothing. */
  worksOn(end: Ends, working: () => boolean): void {
    const place = this.#places.get(keyOf(end));
    if (place !== undefined) place.working = working;
  }

  /**
   * The connection was answered and is done with: it stays until the other side closes it, or has
   * said nothing for the usual time.
   */
  dismiss(socket: Socket): void {
    if (this.#places.has(keyOf(socket))) socket.destroySoon = () => undefined;
  }

  /** The connection has proved itself: it no longer counts. */
  proved(end: Ends): void {
    if (this.#places.has(keyOf(end))) this.#proved += 1;
    this.#leave(keyOf(end));
    this.served();
  }

  /** Ends everybody who still waits to be let in. */
  stop(): void {
    this.#gate.stop();
    this.#cancel?.();
    for (const socket of this.#waiting.keys()) socket.destroy();
  }

  /**
   * A connection of a trusted proxy: where it says at once for whom it passes bytes on, that one
   * has a place; else each request has one.
   */
  #hearProxy(socket: Socket, serve: () => void): void {
    const heard: Buffer[] = [];
    const late = this.#timers.after(UNPROVED_IDLE_MS, () => socket.destroy());
    socket.once('close', late);
    const go = (client: string | undefined): void => {
      if (socket.destroyed) return;
      if (client !== undefined) {
        const key = keyOf(socket);
        this.#passedOn.set(key, client);
        socket.once('close', () => this.#passedOn.delete(key));
      }
      if (client === undefined || this.#proxies.trusts(client)) serve();
      else this.#enter(socket, client, serve);
    };
    const hear = (): void => {
      const bytes: Buffer | null = socket.read();
      if (bytes !== null) heard.push(bytes);
      const all = Buffer.concat(heard);
      const head = readProxyHead(all);
      if (head.type === 'unfinished') return;
      late();
      socket.off('readable', hear);
      if (head.type === 'malformed') {
        this.#log.warn(
          { code: 'INGEST_PROTOCOL' satisfies IngestErrorCode, from: socket.remoteAddress },
          'a proxy begins a connection with a head that cannot be read',
        );
        socket.destroy();
        return;
      }
      const [from, client] = head.type === 'said' ? [head.bytes, head.client] : [0, undefined];
      if (from < all.length) socket.unshift(all.subarray(from));
      // By then the socket knows that nobody reads it this way any more.
      process.nextTick(() => go(client));
    };
    socket.on('readable', hear);
  }

  #enter(socket: Socket, address: string | undefined, admitted: () => void): void {
    if (address === undefined) {
      // It is gone already.
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    const network = networkOf(address);
    const newcomer = {
      admit: () => {
        this.#waiting.delete(socket);
        this.#places.set(key, place);
        this.#admitted += 1;
        admitted();
      },
      end: () => {
        this.#log.warn(
          { code: 'INGEST_LIMIT' satisfies IngestErrorCode, from: network },
          'too many connections that have not proved themselves',
        );
        socket.destroy();
      },
    };
    const leave = (): void => {
      this.#gate.leave(network, newcomer);
      this.#pace.leave(network, place);
    };
    const place: Place = {
      ...{ socket, network, before: socket.bytesRead, leave },
      ...{ working: () => false, heard: 0, quietMs: 0, ageMs: 0 },
    };
    socket.once('close', () => {
      this.#waiting.delete(socket);
      if (this.#places.get(key) === place) this.#places.delete(key);
      leave();
    });
    this.#waiting.set(socket, 0);
    this.#cancel ??= this.#timers.after(LOOK_MS, () => this.#look());
    this.#gate.enter(network, newcomer);
  }

  #leave(key: string): void {
    this.#places.get(key)?.leave();
    this.#places.delete(key);
  }

  /** Ends who has said nothing for long, takes too long in all, or says too much. */
  #look(): void {
    for (const place of this.#places.values()) {
      if (place.working()) continue;
      const heard = place.socket.bytesRead - place.before;
      place.quietMs = heard === place.heard ? place.quietMs + LOOK_MS : 0;
      place.heard = heard;
      place.ageMs += LOOK_MS;
      const late = place.quietMs >= UNPROVED_IDLE_MS || place.ageMs >= HANDSHAKE_MS;
      if (late || heard > MAX_UNPROVED_BYTES) place.socket.destroy();
    }
    for (const [socket, waitedMs] of this.#waiting) {
      this.#waiting.set(socket, waitedMs + LOOK_MS);
      if (waitedMs >= HANDSHAKE_MS) socket.destroy();
    }
    const empty = this.#places.size === 0 && this.#waiting.size === 0;
    this.#cancel = empty ? undefined : this.#timers.after(LOOK_MS, () => this.#look());
  }
}

function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Ends): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
