import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type CollectorAddress, MAX_FRAME_BYTES } from '@aliquot/proto';
import { certificateTrouble } from '@aliquot/shared/session/certificate-trouble';
import { FRAME_OVERHEAD_BYTES } from '@aliquot/shared/session/frames';
import { WebSocket } from 'ws';
import { IdentityError } from '../identity/errors.ts';
import { serverAddress, tlsOptions } from '../identity/tls.ts';
import { UplinkError } from './errors.ts';
import { hurry } from './tcp.ts';

/** Messages over one connection, in order. */
export interface MessageSocket {
  /** Resolves when the network took the message. */
  send(message: Uint8Array): Promise<void>;
  /** Stops and resumes reading from the network. */
  pause(): void;
  resume(): void;
  /** Ends the connection at once. */
  terminate(): void;
}

export interface SocketListener {
  /** TLS is checked, messages may go. */
  onOpen(): void;
  onMessage(message: Uint8Array): void;
  /** Anything was heard: a part of a message, a ping. */
  onSign(): void;
  /** Once, last. */
  onClose(error: UplinkError): void;
}

export type Connect = (trust: CollectorAddress, listener: SocketListener) => MessageSocket;

const CONNECT_MS = 20_000;
/** RFC 6455 section 5.5 leaves 123 bytes for a reason. */
const MAX_HINT_LENGTH = 123;

/**
 * Connects to `/v1/agent` below the collector's address, by `ws`. Throws `UplinkError` for an
 * address that may not be used.
 */
export const connectWebSocket: Connect = (trust, listener) => {
  const { url, tls } = prepared(trust);
  let failure: UplinkError | undefined;
  let line: Socket | undefined;
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES + FRAME_OVERHEAD_BYTES,
    handshakeTimeout: CONNECT_MS,
    skipUTF8Validation: true,
    followRedirects: false,
    // Masks keep scripts in browsers from choosing the bytes that a proxy sees (RFC 6455 section
    // 10.3). Ours are ciphertext, which nobody chooses, and a mask of zeros spares both sides a
    // pass over all of them.
    generateMask: (mask) => void mask.fill(0),
    createConnection: (options: unknown) =>
      hurry(
        dial(options as TcpNetConnectOpts & ConnectionOptions, url.protocol === 'wss:'),
        (error) => {
          failure ??= connectionError(trust, error);
        },
      ),
    ...(url.protocol === 'wss:' ? { ca: tls.ca, rejectUnauthorized: tls.rejectUnauthorized } : {}),
  });
  // Somebody is there, so it is no matter of the network: a collector with too many at its door, or
  // a proxy without a collector.
  socket.on('unexpected-response', (request: ClientRequest, response: IncomingMessage) => {
    failure ??= new UplinkError(
      'UPLINK_CLOSED',
      `what answers at ${trust.url} opens no session now (HTTP ${response.statusCode})`,
    );
    request.destroy();
    socket.terminate();
  });
  socket.on('upgrade', (response: IncomingMessage) => {
    line = response.socket;
    if (url.protocol !== 'wss:') return;
    const wrong = tls.judge(response.socket as TLSSocket);
    if (wrong === undefined) return;
    failure = new UplinkError('UPLINK_TLS', wrong.message, { cause: wrong });
    socket.terminate();
  });
  socket.on('open', () => {
    // A part of a message is a sign of life too: on a slow network a whole one takes minutes.
    line?.on('data', () => listener.onSign());
    if (failure === undefined) listener.onOpen();
  });
  socket.on('message', (data: Buffer) => listener.onMessage(data));
  socket.on('error', (error: Error) => {
    failure ??= connectionError(trust, error);
  });
  const ended = new Promise<UplinkError>((resolve) => {
    socket.on('close', (_code: number, reason: Buffer) => {
      const error =
        failure ??
        new UplinkError('UPLINK_CLOSED', `the connection to ${trust.url} ended${hint(reason)}`);
      resolve(error);
      listener.onClose(error);
    });
  });
  return {
    send: (message) =>
      new Promise((resolve, reject) => {
        socket.send(message, (error) => {
          if (error === undefined || error === null) resolve();
          // Why it ended is known when it has: the other side may have said so while this was being
          // written.
          else ended.then(reject);
        });
      }),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    terminate: () => socket.terminate(),
  };
};

/** As `ws` does it by itself. */
function dial(options: TcpNetConnectOpts & ConnectionOptions, secure: boolean) {
  const { path: _request, ...address } = options;
  if (!secure) return connectTcp(address);
  const servername = options.servername ?? (isIP(options.host ?? '') === 0 ? options.host : '');
  return connectTls({ ...address, servername });
}

const hints: Readonly<Record<string, string>> = {
  SESSION_UNKNOWN_VAULT: 'it does not hold this vault: is it another collector?',
  SESSION_FRAME: 'what we sent was altered, repeated or lost on the way',
};

/**
 * What the other side gave as its reason for closing: nobody signed it, so it is shown, as a hint,
 * and nothing is decided by it.
 */
function hint(reason: Buffer): string {
  const says = reason
    .toString('utf8')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, MAX_HINT_LENGTH);
  if (says === '') return '';
  const meaning = hints[says];
  return `; what answers there says, unsigned: ${says}${meaning === undefined ? '' : ` (${meaning})`}`;
}

function prepared(trust: CollectorAddress) {
  try {
    return { url: serverAddress(trust, 'ws', '/v1/agent'), tls: tlsOptions(trust) };
  } catch (cause) {
    const says =
      cause instanceof IdentityError
        ? cause.message
        : `${trust.url} is no address of a collector; ask for a new bundle`;
    throw new UplinkError('UPLINK_REFUSED', says, { cause });
  }
}

function connectionError(trust: CollectorAddress, error: Error): UplinkError {
  if (error instanceof IdentityError || certificateTrouble(error) !== undefined) {
    return new UplinkError(
      'UPLINK_TLS',
      `the TLS certificate of ${trust.url} cannot be trusted (${error.message}); ask central IT whether it was replaced`,
      { cause: error },
    );
  }
  return new UplinkError(
    'UPLINK_UNREACHABLE',
    `the collector at ${trust.url} cannot be reached: ${error.message}`,
    { cause: error },
  );
}
