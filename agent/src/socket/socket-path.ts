import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { canHold } from '@aliquot/shared/durable/held-name';
import { LONGEST_SOCKET_PATH } from './socket-owner.ts';

/** What decides where a service's socket lies. */
export interface SocketPlace {
  readonly platform: NodeJS.Platform;
  /** The user's own runtime folder (`XDG_RUNTIME_DIR`), if there is one. */
  readonly runtimeDir: string | undefined;
  readonly tmpDir: string;
  /** The user's number; undefined on Windows. */
  readonly uid: number | undefined;
}

/**
 * Where the service of a data folder listens: `DATA/run/agent.sock`, which only who may write to
 * the data folder can have made. Where that path is too long for a socket, and folders cannot be
 * held (`socketName`), a name made from it in the user's runtime or temporary folder; on Windows a
 * named pipe. `folder` must be a folder of mode 0700 that belongs to the user (undefined for a
 * pipe).
 */
export function socketPlace(
  dataDir: string,
  place: SocketPlace,
): { readonly path: string; readonly folder: string | undefined } {
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 24);
  if (place.platform === 'win32')
    return { path: `\\\\.\\pipe\\aliquot-agent-${name}`, folder: undefined };
  const folder = join(dataDir, 'run');
  const path = join(folder, 'agent.sock');
  const isLong = Buffer.byteLength(path) > LONGEST_SOCKET_PATH;
  if (!isLong || (place.platform === 'linux' && canHold)) return { path, folder };
  for (const base of [place.runtimeDir, place.tmpDir]) {
    if (base === undefined) continue;
    const short = join(base, `aliquot-${place.uid ?? 0}`);
    const path = join(short, `${name}.sock`);
    if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return { path, folder: short };
  }
  return {
    path: join('/tmp', `aliquot-${place.uid ?? 0}`, `${name}.sock`),
    folder: join('/tmp', `aliquot-${place.uid ?? 0}`),
  };
}
