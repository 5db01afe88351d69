import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** What decides where the socket for everybody on this PC lies. */
export interface AskPlace {
  readonly platform: NodeJS.Platform;
  /** The folder that the service manager made for the service (`RUNTIME_DIRECTORY`), if it did. */
  readonly serviceRuntimeDir: string | undefined;
  /** The user's own runtime folder (`XDG_RUNTIME_DIR`), if there is one. */
  readonly runtimeDir: string | undefined;
}

const PIPES = '\\\\.\\pipe\\';
const PIPE_PREFIX = 'aliquot-agent-status-';

/**
 * The folders in which the socket of an agent may lie, the first choice first. Below `/run` and in
 * a user's runtime folder nobody else can make anything, so nobody can pose as the service; a
 * folder that all may write to, such as `/tmp`, is none of them.
 */
export function askFolders({
  platform,
  serviceRuntimeDir,
  runtimeDir,
}: AskPlace): readonly string[] {
  if (platform === 'win32') return [PIPES];
  if (serviceRuntimeDir !== undefined) return [serviceRuntimeDir];
  const system = platform === 'darwin' ? '/var/run/aliquot-agent' : '/run/aliquot-agent';
  return [system, ...(runtimeDir === undefined ? [] : [join(runtimeDir, 'aliquot-agent')])];
}

/** The socket's name for a data folder; a pipe's on Windows. */
export function askPath(folder: string, dataDir: string): string {
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 24);
  return folder === PIPES ? `${PIPES}${PIPE_PREFIX}${name}` : join(folder, `${name}.sock`);
}

/** Whether a name in such a folder is an agent's socket. */
export function isAskName(folder: string, name: string): boolean {
  return folder === PIPES ? name.startsWith(PIPE_PREFIX) : name.endsWith('.sock');
}
