import type { WebSocket } from 'ws';
import type { Channel } from '../src/ingest/channel.ts';

/** The agent's end of a connection in tests: what it sends, what comes back, and how it ended. */
export interface Wire {
  send(message: Uint8Array): void;
  /** The next message, or undefined when the other side has closed. */
  next(): Promise<Uint8Array | undefined>;
  close(): void;
  /** Close code and reason, once closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** Messages in order, for one reader. */
class Mailbox {
  readonly #messages: (Uint8Array | undefined)[] = [];
  #wake: (() => void) | undefined;

  put(message: Uint8Array | undefined): void {
    this.#messages.push(message);
    this.#wake?.();
  }

  async take(): Promise<Uint8Array | undefined> {
    while (this.#messages.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#messages.shift();
  }
}

/**
 * A connection without sockets: the collector's channel, the agent's wire, and what the channel was
 * told.
 */
export interface WirePair {
  readonly channel: Channel;
  readonly wire: Wire;
  readonly told: string[];
  /** Set to make the network refuse what the collector sends. */
  broken: boolean;
  /** Bytes of a message that the network never finished. */
  unfinished: number;
  /** Set where more arrives each time that somebody looks. */
  arriving: number;
}

export function wirePair(deliver: (message: Uint8Array) => void, gone: () => void): WirePair {
  const mailbox = new Mailbox();
  const told: string[] = [];
  let received = 0;
  let close: (end: { code: number; reason: string }) => void = () => undefined;
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    close = resolve;
  });
  const end = (code: number, reason: string) => {
    close({ code, reason });
    mailbox.put(undefined);
    gone();
  };
  const pair: WirePair = {
    told,
    broken: false,
    unfinished: 0,
    arriving: 0,
    channel: {
      async send(message) {
        if (pair.broken) throw new Error('connection is gone');
        mailbox.put(message);
      },
      unfinishedBytes: () => pair.unfinished,
      receivedBytes: () => {
        received += pair.arriving;
        return received;
      },
      pause: () => void told.push('pause'),
      resume: () => void told.push('resume'),
      close: (code, reason) => end(code, reason),
      terminate: () => end(1006, 'terminated'),
    },
    wire: {
      send: deliver,
      next: () => mailbox.take(),
      close: () => end(1000, 'closed by the agent'),
      closed,
    },
  };
  return pair;
}

/** The same over a real WebSocket; resolves when it is open. */
export async function socketWire(socket: WebSocket): Promise<Wire> {
  const mailbox = new Mailbox();
  socket.on('message', (data: Buffer) => mailbox.put(new Uint8Array(data)));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => {
      mailbox.put(undefined);
      resolve({ code, reason: reason.toString() });
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', () => resolve());
    socket.on('error', reject);
  });
  return {
    send: (message) => socket.send(message),
    next: () => mailbox.take(),
    close: () => socket.close(),
    closed,
  };
}
