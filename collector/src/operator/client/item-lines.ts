import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { AliquotError, type ChunkId } from '@aliquot/proto';
import { cut, decodeItem, type ReceivedItem, RecordSplitter } from '../../api/record-stream.ts';
import { type Endpoint, networkError, refusal, SILENCE_MS } from '../http-client.ts';
import { AnswerBody } from './answer-body.ts';
import type { VaultPath } from './ask.ts';

/** What is read at once. */
const READ_BYTES = 256 * 1024;
/** What is read of a refusal. */
const MAX_REFUSAL_BYTES = 64 * 1024;

/**
 * Sealed items of a vault, read into memory that is used over and over: what comes by `send` is a
 * new buffer for each 64 KiB, and makes the collector of garbage look at all of them every few MiB.
 */
export class ItemLines {
  readonly #path: VaultPath;
  /** Connections that wait for the next question. */
  readonly #idle: Line[] = [];

  constructor(path: VaultPath) {
    this.#path = path;
  }

  /**
   * Sealed items in the order of `ids`; whoever opens them proves them against their ids. The bytes
   * of one last until the next is asked for. `doubted`: they did not prove when they came, and the
   * collector shall look what it has. Several calls may be under way.
   */
  async *items(ids: readonly ChunkId[], doubted = false): AsyncGenerator<ReceivedItem> {
    const { line, first } = await this.#ask(this.#requestOf(ids, doubted));
    const body = new AnswerBody();
    const records = new RecordSplitter(true);
    const refused: Buffer[] = [];
    let refusedBytes = 0;
    try {
      for (let bytes = first; ; bytes = await line.read()) {
        for (const span of body.push(bytes)) {
          if (body.status === 200) {
            for (const record of records.push(span)) yield decodeItem(record);
          } else if (refusedBytes < MAX_REFUSAL_BYTES) {
            refused.push(Buffer.from(span));
            refusedBytes += span.length;
          }
        }
        if (body.isDone) break;
      }
      if (body.status !== 200)
        throw refusal(this.#path.endpoint, body.status, Buffer.concat(refused));
      if (!records.hasEnded) throw cut();
    } finally {
      if (body.isDone && body.isKept) this.#idle.push(line.rest());
      else line.close();
    }
  }

  async #ask(request: Buffer): Promise<{ readonly line: Line; readonly first: Buffer }> {
    const idle = this.#idle.pop();
    const first = await idle?.ask(request).catch((error: unknown) => {
      // The collector ends a connection that rests too long; a new one will do.
      if (!(error instanceof AliquotError) || !error.retryable) throw error;
      idle.close();
      return undefined;
    });
    if (idle !== undefined && first !== undefined) return { line: idle, first };
    const line = await Line.open(this.#path.endpoint);
    try {
      return { line, first: await line.ask(request) };
    } catch (error) {
      line.close();
      throw error;
    }
  }

  #requestOf(ids: readonly ChunkId[], doubted: boolean): Buffer {
    const { endpoint, base } = this.#path;
    const url = new URL(`${endpoint.url}${base}/items${doubted ? '?doubted=yes' : ''}`);
    const body = Buffer.concat(ids);
    const head = [
      `POST ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      `Authorization: Bearer ${endpoint.token}`,
      'Content-Type: application/octet-stream',
      `Content-Length: ${body.length}`,
    ];
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
  }
}

/** One connection: what comes is read into one buffer, and read on when that was taken. */
class Line {
  readonly #endpoint: Endpoint;
  readonly #socket: Socket;
  readonly #isTls: boolean;
  #came: Buffer | undefined;
  /** For TLS: the one that is filled, and the one that is read. */
  readonly #stores: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];
  #failure: Error | undefined;
  #waiting: PromiseWithResolvers<Buffer> | undefined;

  private constructor(endpoint: Endpoint, socket: Socket, isTls: boolean) {
    this.#endpoint = endpoint;
    this.#socket = socket;
    this.#isTls = isTls;
  }

  /** Errors: `COMMAND_UNREACHABLE`, `COMMAND_TLS`. */
  static async open(endpoint: Endpoint): Promise<Line> {
    const url = new URL(endpoint.url);
    const isTls = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    let line: Line | undefined;
    const options = {
      host,
      port: Number(url.port || (isTls ? 443 : 80)),
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (length: number, buffer: Uint8Array) => {
          line?.take(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return false; // nothing more before this was taken
        },
      },
    };
    const socket = isTls
      ? process.getBuiltinModule('node:tls').connect({
          ...options,
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(endpoint.tlsCa === undefined ? {} : { ca: endpoint.tlsCa }),
        })
      : connectPlain(options);
    const opened = new Line(endpoint, socket, isTls);
    line = opened;
    socket.setNoDelay(true);
    socket.on('error', (error) => opened.fail(networkError(endpoint, error)));
    socket.on('close', () => opened.fail(cut()));
    socket.on('timeout', () => opened.silent());
    socket.setTimeout(SILENCE_MS);
    const connected = Promise.withResolvers<void>();
    socket.once(isTls ? 'secureConnect' : 'connect', () => connected.resolve());
    socket.once('close', () => connected.reject(opened.#failure ?? cut()));
    await connected.promise;
    return opened;
  }

  /** Sends a request, and gives the first bytes of its answer. */
  ask(request: Buffer): Promise<Buffer> {
    this.#socket.ref();
    this.#socket.write(request);
    return this.read();
  }

  /** What comes next; those that came before are gone then. */
  read(): Promise<Buffer> {
    if (this.#came !== undefined) return Promise.resolve(this.#given());
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting = Promise.withResolvers();
    this.#socket.setTimeout(SILENCE_MS);
    this.#socket.resume();
    return this.#waiting.promise;
  }

  /** Nothing is asked for now: the connection keeps no program running. */
  rest(): this {
    this.#socket.resume();
    this.#socket.unref();
    return this;
  }

  close(): void {
    this.#socket.destroy();
  }

  take(bytes: Buffer): void {
    this.#came = this.#isTls ? this.#store(bytes) : bytes;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) waiting.resolve(this.#given());
  }

  /**
   * What TLS has opened comes in several calls, also after one that said "no more", and each writes
   * over the one before.
   */
  #store(bytes: Buffer): Buffer {
    const before = this.#came?.length ?? 0;
    const [store] = this.#stores;
    const isRoom = store.length >= before + bytes.length;
    const roomy = isRoom ? store : Buffer.allocUnsafeSlow(2 * (before + bytes.length));
    if (!isRoom) this.#came?.copy(roomy);
    bytes.copy(roomy, before);
    this.#stores[0] = roomy;
    return roomy.subarray(0, before + bytes.length);
  }

  /** What came, for who reads it now; what comes next goes elsewhere meanwhile. */
  #given(): Buffer {
    const came = this.#came ?? Buffer.alloc(0);
    this.#came = undefined;
    this.#stores.reverse();
    return came;
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }

  /** It matters only to who waits. */
  silent(): void {
    if (this.#waiting === undefined) return;
    this.fail(networkError(this.#endpoint, Object.assign(new Error(), { code: 'ETIMEDOUT' })));
    this.close();
  }
}
