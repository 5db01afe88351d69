import { connect, type Socket } from 'node:net';
import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { jsonOf } from '@aliquot/shared/json';
import { AgentError, RelayedError } from './errors.ts';
import { linesOf, sendLine } from './lines.ts';
import { type AgentEvent, type Emit, endSchema, type Request } from './protocol.ts';
import { refuseForeign, type SocketName, socketName } from './socket-owner.ts';
import { type SocketPlace, socketPlace } from './socket-path.ts';

/**
 * Asks the running service of a data folder. `false`: no service is running there, so the caller
 * opens the folder itself. Errors are the service's own, as the same command without a service
 * would raise them; `AGENT_SERVICE_GONE` when it ended before it had answered. When `interrupted`
 * aborts, the service is asked to end the operation, and its answer is still waited for.
 */
export async function askService(
  dataDir: string,
  place: SocketPlace,
  request: Request,
  emit: Emit,
  interrupted?: AbortSignal,
): Promise<boolean> {
  const name = await ownSocket(dataDir, place);
  try {
    return name !== undefined && (await askAt(name.path, request, emit, interrupted));
  } finally {
    await name?.close();
  }
}

/** The socket of a data folder's service, where nobody else can be it; undefined: there is none. */
async function ownSocket(dataDir: string, place: SocketPlace): Promise<SocketName | undefined> {
  const { path, folder } = socketPlace(dataDir, place);
  if (folder !== undefined) await refuseForeign(nodeFiles, folder, dataDir);
  try {
    return await socketName(nodeFiles, folder, path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EACCES' || errno === 'EPERM') throw notAllowed(error as Error);
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw error;
    return undefined;
  }
}

/** The same for anyone who listens at a path. */
export async function askAt(
  path: string,
  request: object,
  emit: Emit,
  interrupted?: AbortSignal,
): Promise<boolean> {
  const socket = await dial(path);
  if (socket === undefined) return false;
  const stop = () => void sendLine(socket, { stop: true });
  try {
    await sendLine(socket, request);
    if (interrupted?.aborted === true) stop();
    interrupted?.addEventListener('abort', stop);
    for await (const line of linesOf(socket)) {
      const message = jsonOf(line);
      const end = endSchema.safeParse(message);
      if (end.success) {
        finish(end.data.end);
        return true;
      }
      if (!isEvent(message))
        throw new AgentError(
          'AGENT_SERVICE_PROTOCOL',
          'the service answered what this release does not know; restart it after an update',
        );
      await emit(message);
    }
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw gone(error);
    throw error;
  } finally {
    interrupted?.removeEventListener('abort', stop);
    socket.destroy();
  }
  throw gone(undefined);
}

/** Whether a service of this data folder runs. */
export async function serviceRuns(dataDir: string, place: SocketPlace): Promise<boolean> {
  const name = await ownSocket(dataDir, place);
  const socket = name === undefined ? undefined : await dial(name.path);
  socket?.destroy();
  await name?.close();
  return socket !== undefined;
}

/** A connection, or undefined when nobody listens. */
function dial(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EPERM') reject(notAllowed(error));
      else if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR')
        resolve(undefined);
      else reject(error);
    });
  });
}

/** What is said to a user who is neither the agent's own nor an administrator. */
export function notAllowed(cause: Error): AgentError {
  const owner =
    process.platform === 'win32' ? 'an administrator' : 'the user that the agent runs as, or root,';
  const says = `only ${owner} may do this; every user of this PC may ask for: aliquot-agent status`;
  return new AgentError('AGENT_NOT_ALLOWED', says, { cause });
}

function finish({ exit, code, message }: { exit: number; code: string; message: string }): void {
  if (exit === 3) throw new PartialError('PARTIAL', message);
  if (exit === 2) throw new UsageError('USAGE_INVALID', message);
  if (exit !== 0) throw new RelayedError(code, message);
}

function gone(cause: unknown): AgentError {
  return new AgentError(
    'AGENT_SERVICE_GONE',
    'the service ended before it had answered; look at its log, and try again',
    { cause },
  );
}

function isEvent(message: unknown): message is AgentEvent {
  return (
    typeof message === 'object' &&
    message !== null &&
    'event' in message &&
    typeof message.event === 'string'
  );
}
