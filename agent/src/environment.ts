import { tmpdir } from 'node:os';
import type { SocketPlace } from './service/socket-path.ts';

/** The one place where the agent reads its environment. `ALIQUOT_DEBUG` is read by shared code. */

/** Where this user's sockets may lie. */
export function socketSurroundings(): SocketPlace {
  return {
    platform: process.platform,
    runtimeDir: process.env['XDG_RUNTIME_DIR'] || undefined,
    tmpDir: tmpdir(),
    uid: process.getuid?.(),
  };
}
