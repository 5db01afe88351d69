import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { AliquotError } from '@aliquot/proto';
import { exitCodeOf } from '@aliquot/shared/cli/run-main';
import { ensureDirectory } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { endWith } from '@aliquot/shared/durable/unexpected';
import { jsonOf } from '@aliquot/shared/json';
import { AgentError } from './errors.ts';
import { linesOf, sendLine } from './lines.ts';
import {
  type AskRequest,
  askSchema,
  type Emit,
  type End,
  endsWithItsCommand,
  type Operation,
  requestSchema,
  stopSchema,
} from './protocol.ts';
import { refuseForeign, socketName } from './socket-owner.ts';
import { type SocketPlace, socketPlace } from './socket-path.ts';

/** The service's ear for the agent's other commands. */
export interface LocalSocket {
  readonly path: string;
  /** Resolves when no request is being served. */
  idle(): Promise<void>;
  /** Takes no more requests, tells the running ones to end, and waits for them. */
  close(): Promise<void>;
}

/**
 * Listens for commands of the same user. One connection carries one request line and the lines of
 * its answer. Only the owner can connect: the socket lies in a folder of mode 0700 (a Windows pipe
 * is writable by its creator and administrators only). The caller holds the data folder's lock, so
 * a socket that is there already is a dead service's and is replaced.
 *
 * `signal` ends an operation: when its command asks for that, when the service stops, and for those
 * that `endsWithItsCommand` when the connection closes. Errors: `AGENT_SOCKET_FOLDER`.
 */
export async function listenLocally(
  port: FilePort,
  dataDir: string,
  place: SocketPlace,
  run: Operation,
): Promise<LocalSocket> {
  const { path, folder } = socketPlace(dataDir, place);
  if (folder !== undefined) await prepare(port, folder, path, dataDir);
  const name = await socketName(port, folder, path);
  try {
    const read = (line: unknown) => requestSchema.safeParse(line).data;
    const socket = await listenAt({ path: name.path }, read, run);
    return { ...socket, path, close: () => socket.close().finally(() => name.close()) };
  } catch (error) {
    await name.close();
    throw error;
  }
}

/**
 * The same for every user of this PC: only what `askSchema` allows, one question at a time, and few
 * that wait. The caller made the folder, and holds the data folder's lock.
 */
export async function listenForAll(
  path: string,
  run: (request: AskRequest, emit: Emit, signal: AbortSignal) => Promise<void>,
): Promise<LocalSocket> {
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (request: AskRequest, emit: Emit, signal: AbortSignal): Promise<void> => {
    const mine = turn.then(() => (signal.aborted ? undefined : run(request, emit, signal)));
    // its caller hears of the error; the next question is answered anyway
    turn = mine.catch(() => undefined);
    return mine;
  };
  return listenAt(
    { path, readableAll: true, writableAll: true },
    (line) => askSchema.safeParse(line).data,
    inTurn,
    MOST_ASKING,
  );
}

/** Users of one PC that ask at the same moment. */
const MOST_ASKING = 16;

async function listenAt<R extends { readonly op: string }>(
  options: ListenOptions & { readonly path: string },
  read: (line: unknown) => R | undefined,
  run: (request: R, emit: Emit, signal: AbortSignal) => Promise<void>,
  mostConnections?: number,
): Promise<LocalSocket> {
  const running = new Set<Promise<void>>();
  const stop = new AbortController();
  const server = createServer((socket) => {
    const serving = serve(socket, read, run, stop.signal).finally(() => running.delete(serving));
    running.add(serving);
  });
  if (mostConnections !== undefined) server.maxConnections = mostConnections;
  const { path } = options;
  await listening(server, options);
  return {
    path,
    async idle() {
      while (running.size > 0) await Promise.race(running);
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      stop.abort();
      await Promise.all(running);
      await closed;
    },
  };
}

async function prepare(
  port: FilePort,
  folder: string,
  path: string,
  dataDir: string,
): Promise<void> {
  await ensureDirectory(port, folder, 0o700);
  const [facts, data] = [await port.lstat(folder), await port.lstat(dataDir)];
  // Before its mode: root may change that of anybody's folder.
  const isOurs = [process.geteuid?.(), data.owner].includes(facts.owner);
  if (facts.kind !== 'directory' || !isOurs) return refuseForeign(port, folder, dataDir);
  await port.chmod(folder, 0o700);
  // Mostly it is not there, which is what is wanted.
  await port.unlink(path).catch(endWith);
}

function listening(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function serve<R extends { readonly op: string }>(
  socket: Socket,
  read: (line: unknown) => R | undefined,
  run: (request: R, emit: Emit, signal: AbortSignal) => Promise<void>,
  stop: AbortSignal,
): Promise<void> {
  const unwanted = new AbortController();
  const signal = AbortSignal.any([unwanted.signal, stop]);
  socket.on('error', () => undefined); // the connection closes after it
  try {
    const lines = linesOf(socket);
    const first = await lines.next();
    if (first.done === true) return;
    const request = read(jsonOf(first.value));
    // Reading on is what notices that the command has gone.
    void hear(lines, () => unwanted.abort(), request !== undefined && endsWithItsCommand(request));
    const end = await outcome(async () => {
      if (request === undefined)
        throw new AgentError(
          'AGENT_SERVICE_PROTOCOL',
          'the service does not know this request; restart it after an update',
        );
      await run(request, (event) => sendLine(socket, event), signal);
    });
    await sendLine(socket, end);
  } catch (error) {
    endWith(error); // else the connection broke: nobody is there to be told
  } finally {
    socket.end();
    socket.destroySoon();
  }
}

/**
 * Reads on after the request, to the end of the connection: a wish to stop, and if it matters the
 * end itself, is a `stop`.
 */
async function hear(
  lines: AsyncGenerator<string, void, void>,
  stop: () => void,
  whenClosed: boolean,
): Promise<void> {
  try {
    for await (const line of lines) if (stopSchema.safeParse(jsonOf(line)).success) stop();
  } catch (error) {
    endWith(error); // else the connection broke, which ends it like one that was closed
  }
  if (whenClosed) stop();
}

async function outcome(work: () => Promise<void>): Promise<End> {
  try {
    await work();
    return { end: { exit: 0, code: '', message: '' } };
  } catch (error) {
    // The caller hears of it, and the service ends: it does not know in what state it is.
    endWith(error);
    const code = error instanceof AliquotError ? error.code : 'UNEXPECTED';
    return {
      end: {
        exit: exitCodeOf(error),
        code,
        message: error instanceof Error ? error.message : String(error),
      },
    };
  }
}
