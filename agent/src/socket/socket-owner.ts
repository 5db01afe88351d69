import { dirname } from 'node:path';
import type { FileFacts, FilePort, OpenFile } from '@aliquot/shared/durable/file-port';
import { canHold } from '@aliquot/shared/durable/held-name';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { AgentError } from './errors.ts';

const ROOT = 0;
/** For group and others. */
const WRITABLE = 0o022;

/** `sun_path` holds 108 bytes on Linux and 104 on macOS and the BSDs, the closing zero included. */
export const LONGEST_SOCKET_PATH = 100;

/**
 * Whether nobody can pose as the service in a folder: it belongs to root, to this user, or to the
 * one whose the data folder is, or root alone can have given it to whoever has it, as below `/run`;
 * and no other may write to it. True where there is no such folder.
 */
export async function isTrusted(
  port: FilePort,
  folder: string,
  dataDir?: string,
): Promise<boolean> {
  const facts = await factsOf(port, folder);
  if (facts === undefined) return true;
  if (facts.kind !== 'directory' || (facts.mode & WRITABLE) !== 0) return false;
  if (facts.owner === ROOT || facts.owner === process.geteuid?.()) return true;
  if (dataDir !== undefined && (await factsOf(port, dataDir))?.owner === facts.owner) return true;
  const above = await factsOf(port, dirname(folder));
  return above?.owner === ROOT && (above.mode & WRITABLE) === 0;
}

/** Error: `AGENT_SOCKET_FOLDER`. */
export async function refuseForeign(
  port: FilePort,
  folder: string,
  dataDir: string,
): Promise<void> {
  if (await isTrusted(port, folder, dataDir)) return;
  const says = `${folder} is not a folder of this agent’s user alone, so whoever listens there may pose as the service; remove it, so that the agent can make its own`;
  throw new AgentError('AGENT_SOCKET_FOLDER', says);
}

/** A path by which a socket can be reached as long as its folder is held. */
export interface SocketName {
  readonly path: string;
  close(): Promise<void>;
}

/**
 * A socket's path, however long: where folders can be held, by what is open, so that no other place
 * is needed.
 */
export async function socketName(
  port: FilePort,
  folder: string | undefined,
  path: string,
): Promise<SocketName> {
  const isShort = Buffer.byteLength(path) <= LONGEST_SOCKET_PATH;
  if (folder === undefined || isShort || !canHold) return { path, close: async () => undefined };
  const held: OpenFile = await port.open(folder, 'held');
  return { path: `${held.below}${path.slice(folder.length)}`, close: () => held.close() };
}

async function factsOf(port: FilePort, path: string): Promise<FileFacts | undefined> {
  try {
    return await port.lstat(path);
  } catch (error) {
    // What may not be looked at is nobody's word.
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
