import { tmpdir } from 'node:os';
import { join, win32 } from 'node:path';
import type { AskPlace } from './socket/ask-place.ts';
import type { SocketPlace } from './socket/socket-path.ts';

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

/** Where the socket for every user of this PC may lie. */
export function askSurroundings(): AskPlace {
  return {
    platform: process.platform,
    serviceRuntimeDir: process.env['RUNTIME_DIRECTORY'] || undefined,
    runtimeDir: process.env['XDG_RUNTIME_DIR'] || undefined,
  };
}

/**
 * Whether our own host runs this service (`ALIQUOT_HOST=1`), which asks it to end by closing its
 * standard input.
 */
export function hostRuns(): boolean {
  return process.env['ALIQUOT_HOST'] === '1';
}

/**
 * Where our own host keeps the versions of this program (`ALIQUOT_ROOT`); undefined when it does
 * not run us.
 */
export function hostRoot(): string | undefined {
  return hostRuns() ? process.env['ALIQUOT_ROOT'] || undefined : undefined;
}

/**
 * A tool of Windows by its whole path: looked for by name, it would first be found in the folder
 * that somebody stands in.
 */
export function windowsTool(name: string): string {
  return win32.join(process.env['SystemRoot'] ?? 'C:\\Windows', 'System32', name);
}

/** Where an agent keeps its data unless somebody chose another folder. */
export function defaultDataFolder(): string {
  if (process.platform === 'win32')
    return join(process.env['ProgramData'] ?? 'C:\\ProgramData', 'Aliquot', 'agent');
  return process.platform === 'darwin'
    ? '/Library/Application Support/Aliquot/agent'
    : '/var/lib/aliquot-agent';
}
