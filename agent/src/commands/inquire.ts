import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { exists } from '@aliquot/shared/durable/durable';
import { FolderError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { askSurroundings, defaultDataFolder, socketSurroundings } from '../environment.ts';
import { askFolders, askPath, isAskName } from '../socket/ask-place.ts';
import { AgentError } from '../socket/errors.ts';
import type { AskRequest, Emit } from '../socket/protocol.ts';
import { askAt, askService } from '../socket/socket-client.ts';
import { isTrusted } from '../socket/socket-owner.ts';
import { presenter } from './present.ts';

/** A command that has the folder open begins to answer within a moment. */
const ASK_TRIES = 25;
const ASK_PAUSE_MS = 200;

/**
 * `status` and `versions`: answered by whatever has the agent's folder open (the service, for its
 * owner and for every other user of this PC; or another command), else by opening the folder here.
 * Without `data` the one agent of this PC is asked.
 *
 * Errors: `USAGE_MISSING` when it is not clear which agent is meant, `AGENT_NO_ANSWER` for a user
 * who may not open the folder while nothing runs.
 */
export async function inquire(
  data: string | undefined,
  request: AskRequest,
  output: Output,
): Promise<void> {
  const { emit, done } = presenter(output);
  try {
    if (data !== undefined) await askOf(resolve(data), request, emit, output);
    else if (!(await askTheOne(request, emit))) {
      const folder = defaultDataFolder();
      if (!(await isThere(folder)))
        throw new UsageError(
          'USAGE_MISSING',
          `no backup service answers on this PC, and none is installed in ${folder}; tell IT, or name its folder with --data`,
        );
      await askOf(folder, request, emit, output);
    }
  } finally {
    done();
  }
}

async function askOf(
  dataDir: string,
  request: AskRequest,
  emit: Emit,
  output: Output,
): Promise<void> {
  if (await unlessDenied(() => askService(dataDir, socketSurroundings(), request, emit))) return;
  if (await askForAll(dataDir, request, emit)) return;
  if (await isDenied(dataDir)) {
    const says = `no service answers for ${dataDir}, and this user may not open it; ask IT to start the service`;
    throw new AgentError('AGENT_NO_ANSWER', says);
  }
  for (let tries = 1; ; tries += 1) {
    try {
      // Loaded here: a service that answers spares us all that captures, queues and sends.
      return await (await import('./open.ts')).perform(dataDir, request, output);
    } catch (error) {
      if (!(error instanceof FolderError) || error.code !== 'FOLDER_IN_USE' || tries === ASK_TRIES)
        throw error;
    }
    await setTimeout(ASK_PAUSE_MS);
    if (await askForAll(dataDir, request, emit)) return;
  }
}

async function askForAll(dataDir: string, request: AskRequest, emit: Emit): Promise<boolean> {
  for (const folder of await trustedFolders(dataDir))
    if (await unlessDenied(() => askAt(askPath(folder, dataDir), request, emit))) return true;
  return false;
}

/** Those where nobody else can pose as an agent: `sudo` may hand on another user's folder. */
async function trustedFolders(dataDir?: string): Promise<string[]> {
  const { platform } = askSurroundings();
  const trusted: string[] = [];
  for (const folder of askFolders(askSurroundings()))
    if (platform === 'win32' || (await isTrusted(nodeFiles, folder, dataDir))) trusted.push(folder);
  return trusted;
}

/** Asks the one agent that answers on this PC; false when none does. */
async function askTheOne(request: AskRequest, emit: Emit): Promise<boolean> {
  const alive: string[] = [];
  for (const folder of await trustedFolders()) {
    for (const name of await namesIn(folder)) {
      const path = folder.endsWith('\\') ? folder + name : join(folder, name);
      if (isAskName(folder, name) && (await answers(path))) alive.push(path);
    }
  }
  const [first, ...others] = alive;
  if (first === undefined) return false;
  if (others.length > 0) {
    const folders = await Promise.all(alive.map(dataOf));
    throw new UsageError(
      'USAGE_MISSING',
      `${alive.length} agents run on this PC; say which with --data: ${folders.join(', ')}`,
    );
  }
  return askAt(first, request, emit);
}

/** Which data folder an agent says it has. */
async function dataOf(path: string): Promise<string> {
  let data = 'one that says no folder';
  await askAt(path, { op: 'status', results: false }, async (event) => {
    if (event.event === 'status' && typeof event['data'] === 'string') data = event['data'];
  });
  return data;
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of nodeFiles.list(folder)) names.push(name.toString());
  } catch (error) {
    if (errnoOf(error) === undefined) throw error; // not there, or not ours: nobody to be asked
  }
  return names;
}

async function answers(path: string): Promise<boolean> {
  return unlessDenied(() => askAt(path, { op: 'status', results: false }, async () => undefined));
}

async function unlessDenied(ask: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ask();
  } catch (error) {
    if (isDenial(error)) return false;
    throw error;
  }
}

/** Whether this user may not look into a folder. */
async function isDenied(dataDir: string): Promise<boolean> {
  try {
    await exists(nodeFiles, join(dataDir, 'format.json'));
    return false;
  } catch (error) {
    if (isDenial(error)) return true;
    throw error;
  }
}

async function isThere(folder: string): Promise<boolean> {
  return (await isDenied(folder)) || (await exists(nodeFiles, folder));
}

function isDenial(error: unknown): boolean {
  if (error instanceof AgentError) return error.code === 'AGENT_NOT_ALLOWED';
  return ['EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
}
