import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** What decides where a service's socket lies. */
export interface SocketPlace {
  readonly platform: NodeJS.Platform;
  /** The user's own runtime folder (`XDG_RUNTIME_DIR`), if there is one. */
  readonly runtimeDir: string | undefined;
  readonly tmpDir: string;
  /** The user's number; undefined on Windows. */
  readonly uid: number | undefined;
}

/** `sun_path` holds 108 bytes on Linux and 104 on macOS and the BSDs, the closing zero included. */
const LONGEST_SOCKET_PATH = 100;

/**
 * Where the service of a data folder listens: `DATA/run/agent.sock`, or, where that path is too
 * long for a socket, a name made from it in the user's runtime or temporary folder; on Windows a
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
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return { path, folder };
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
