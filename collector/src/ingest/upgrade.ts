import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { MAX_FRAME_BYTES } from '@aliquot/proto';
import type { Timers } from '@aliquot/shared/ports';
import { FRAME_OVERHEAD_BYTES } from '@aliquot/shared/session/frames';
import { type WebSocket, WebSocketServer } from 'ws';
import { MAX_STALLED_TURNS, UNPROVED_IDLE_MS } from '../limits.ts';
import { socketChannel } from './channel.ts';
import { Connection } from './connection.ts';
import type { IngestParts } from './connection-parts.ts';
import type { IngestErrorCode } from './errors.ts';
import { Pulse } from './pulse.ts';
import { SessionPace } from './session-pace.ts';
import { FrontDoor } from './unproved.ts';

/**
 * Where agents connect, below the collector's base address. Test only: agents, in their own room,
 * spell it out.
 */
export const AGENT_PATH = '/v1/agent';
/**
 * A connection that says nothing for this long is asked, and dropped when it does not answer until
 * the next turn.
 */
const PING_MS = 30_000;
/**
 * How often an agent that waits for us gets a sign of life; it gives the line up after three times
 * as long without one.
 */
const SIGN_MS = 4_000;
const STOP_MS = 5_000;
/** However slow this machine is, so many handshakes are worked on at once. */
const ALWAYS_TAKEN = 16;

/** The running ingest. */
export interface Ingest {
  /**
   * Takes no new agents, says goodbye to all, and resolves when every session has finished what it
   * was doing.
   */
  stop(): Promise<void>;
}

/**
 * Serves agents on `server`'s upgrade requests. `ws` does the framing; nothing is compressed
 * (sealed bytes do not shrink).
 */
export function attachIngest(
  server: Server,
  parts: IngestParts,
  door: FrontDoor = new FrontDoor(parts),
): Ingest {
  const pulse = new Pulse(parts.clock, parts.timers);
  const sessions = new SessionPace(parts.timers);
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES + FRAME_OVERHEAD_BYTES + 64,
    skipUTF8Validation: true,
    clientTracking: false,
  });
  const open = new Set<{ connection: Connection; socket: WebSocket; done: Promise<void> }>();
  /** Handshakes that have begun. */
  let begun = 0;
  let stopping = false;

  const onUpgrade = (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy());
    door.turn(request, () => {
      if (request.url?.split('?')[0] !== AGENT_PATH) reject(stream, 404, parts.timers);
      // They come again after a wait that is drawn for each of them.
      else if (stopping || (pulse.late && begun >= ALWAYS_TAKEN)) reject(stream, 503, parts.timers);
      else sockets.handleUpgrade(request, stream, head, (socket) => serve(socket, stream, request));
    });
  };

  const serve = (socket: WebSocket, stream: Duplex, request: IncomingMessage): void => {
    const { host } = request.headers;
    const connection = new Connection(parts, socketChannel(socket, stream), {
      ...{ host, sessions },
      atTurn: (work) => door.atTurn(request.socket, work),
      served: () => door.served(),
    });
    const unwatch = door.bytes.watch(socket, stream);
    door.worksOn(request.socket, () => connection.busy);
    let ended = (): void => undefined;
    socket.once('message', () => {
      begun++;
      ended = () => {
        begun--;
        ended = () => undefined;
      };
    });
    const proved = (): void => {
      unwatch();
      ended();
      door.proved(request.socket);
      parts.cameBy?.(host);
    };
    const quiet = keepAlive(socket, stream, connection, parts.timers);
    socket.on('message', (data: Buffer) => connection.receive(data));
    // What `ws` itself refuses (an oversized or malformed message) closes the socket; `close`
    // follows.
    socket.on('error', (error) =>
      parts.log.warn(
        { code: 'INGEST_PROTOCOL' satisfies IngestErrorCode, reason: error.message },
        'connection refused',
      ),
    );
    socket.on('close', () => {
      quiet();
      unwatch();
      ended();
      connection.gone();
    });
    const entry = {
      connection,
      socket,
      done: connection.run(proved).finally(() => open.delete(entry)),
    };
    open.add(entry);
  };

  server.on('upgrade', onUpgrade);
  return {
    async stop() {
      stopping = true;
      pulse.stop();
      sessions.stop();
      const all = [...open];
      for (const { connection } of all) connection.end('the collector is stopping');
      const cancel = parts.timers.after(STOP_MS, () => {
        for (const { socket } of all) socket.terminate();
      });
      await Promise.all(all.map(({ done }) => done));
      cancel();
      server.off('upgrade', onUpgrade);
      sockets.close();
    },
  };
}

/**
 * Finds connections whose other side is gone silently (a pulled cable), and lets the other side
 * find out the same of us: as long as bytes arrive or something is being worked on, an unasked pong
 * (RFC 6455 section 5.5.3) every few seconds says that we live. A message may take minutes to
 * arrive on a slow line, so each part of it counts as heard; and while we ourselves do not read,
 * nothing is held against the agent.
 */
function keepAlive(
  socket: WebSocket,
  stream: Duplex,
  connection: Connection,
  timers: Timers,
): () => void {
  let alive = true;
  let active = false;
  let signing = false;
  let cancelSign = (): void => undefined;
  let taken = 0;
  let stalledTurns = 0;
  const sign = () => {
    signing = active || connection.busy;
    active = false;
    if (!signing) return;
    socket.pong();
    cancelSign = timers.after(SIGN_MS, sign);
  };
  const turn = () => {
    if (!alive && !connection.busy) return socket.terminate();
    // A reader that takes nothing of what it asked for holds memory for ever; a slow one takes a
    // little in every turn.
    const gone = takenBytes(stream);
    stalledTurns = stream.writableLength > 0 && gone === taken ? stalledTurns + 1 : 0;
    taken = gone;
    if (stalledTurns >= MAX_STALLED_TURNS) return socket.terminate();
    alive = false;
    socket.ping();
    cancel = timers.after(PING_MS, turn);
  };
  stream.on('data', () => {
    alive = true;
    active = true;
    if (signing) return;
    signing = true;
    cancelSign = timers.after(SIGN_MS, sign);
  });
  let cancel = timers.after(PING_MS, turn);
  return () => {
    cancel();
    cancelSign();
  };
}

/**
 * Bytes that the network has taken: what was written, signs of life among it, less what still
 * waits.
 */
function takenBytes(stream: Duplex): number {
  return 'bytesWritten' in stream ? Number(stream.bytesWritten) - stream.writableLength : 0;
}

/**
 * Answers, and leaves it to the other side to close, for a while: who comes again as soon as he is
 * turned away comes seldom.
 */
function reject(stream: Duplex, status: 404 | 503, timers: Timers): void {
  const text = status === 404 ? 'Not Found' : 'Service Unavailable';
  stream.write(`HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  stream.once('end', () => stream.destroy());
  stream.once(
    'close',
    timers.after(UNPROVED_IDLE_MS, () => stream.destroy()),
  );
  stream.resume();
}
