import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { CollectorAddress } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { FileError } from '@aliquot/shared/durable/errors';
import { checkDataFolder } from '@aliquot/shared/folder/data-folder';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import { lowerPriority } from '../courtesy/priority.ts';
import { askSurroundings, defaultDataFolder, socketSurroundings } from '../environment.ts';
import { type Agent, openAgent } from '../folder/agent.ts';
import { listenForQuestions } from '../service/ask-socket.ts';
import { operate } from '../service/operate.ts';
import { becomeSuccessor, waits } from '../service/succession.ts';
import { type Emit, endsWithItsCommand, type Request } from '../socket/protocol.ts';
import { askService, notAllowed } from '../socket/socket-client.ts';
import { TrustStore } from '../uplink/trust.ts';
import { WebSocketUplink } from '../uplink/ws-uplink.ts';
import { presenter } from './present.ts';
import { software } from './software.ts';
import { startConfig } from './start-config.ts';

/**
 * Where a .deb or .rpm keeps the configuration of the agent whose data is in the default folder
 * (deploy/linux/agent).
 */
const PACKAGED_CONFIG = '/etc/aliquot-agent/agent.yaml';

/** Where a data folder's configuration is, unless `--config` says otherwise. */
export function defaultConfigPath(dataDir: string): string {
  const ofPackage =
    process.platform === 'linux' && dataDir === defaultDataFolder() && existsSync(PACKAGED_CONFIG);
  return ofPackage ? PACKAGED_CONFIG : join(dataDir, 'agent.yaml');
}

interface OpenOptions {
  readonly captures?: boolean;
  readonly also?: readonly CollectorAddress[];
  readonly configPath?: string;
}

/**
 * Opens a data folder in this process, with everything real; `also` are addresses to try before
 * those that it knows.
 */
export function openRealAgent(
  dataDir: string,
  config: AgentConfig | undefined,
  { also = [], ...options }: OpenOptions = {},
): Promise<Agent> {
  return openAgent({
    ...options,
    dataDir,
    config,
    port: nodeDisk,
    clock: systemClock,
    random: systemRandom,
    software,
    uplink: async ({ identity, queue, dataDir: folder, courtesy, recover, desk, diagnostics }) => {
      const trust = await TrustStore.open(nodeDisk, folder, identity);
      trust.addresses.also(also);
      return new WebSocketUplink({
        identity,
        queue,
        trust,
        clock: systemClock,
        random: systemRandom,
        software,
        courtesy,
        recover,
        desk,
        diagnostics,
      });
    },
  });
}

/** `performTo`, with the events shown to the person who gave the command. */
export async function perform(dataOption: string, request: Request, output: Output): Promise<void> {
  const { emit, done } = presenter(output);
  try {
    await performTo(dataOption, request, emit, output);
  } finally {
    done();
  }
}

/**
 * Carries out one request and hands on its events: through the running service, or, when none runs,
 * by opening the folder here. A folder that another command has open is an error that says so
 * (`FOLDER_IN_USE`).
 */
export async function performTo(
  dataOption: string,
  request: Request,
  emit: Emit,
  output: Output,
): Promise<void> {
  const dataDir = resolve(dataOption);
  await checkDataFolder(nodeDisk, dataDir, 'aliquot-agent').catch((error: unknown) => {
    throw error instanceof FileError && ['FILE_DENIED', 'FILE_HELD'].includes(error.code)
      ? notAllowed(error)
      : error;
  });
  // A question to a service is broken off as any program is; work is asked to end, and says what it
  // has done.
  const interrupted = endsWithItsCommand(request) ? undefined : untilInterrupted();
  if (await askService(dataDir, socketSurroundings(), request, emit, interrupted)) return;
  let mistaken: UsageError | undefined;
  const config = await startConfig(dataDir, defaultConfigPath(dataDir), output).catch(
    (error: unknown) => {
      // A question is answered anyway, from what is known without it; the command then ends with
      // the mistake.
      if (
        !['status', 'diagnose', 'settings'].includes(request.op) ||
        !(error instanceof UsageError) ||
        error.code !== 'USAGE_CONFIG'
      )
        throw error;
      mistaken = error;
      return undefined;
    },
  );
  if (request.op !== 'status' && config?.courtesy.priority !== 'normal') lowerPriority();
  const open = () => openRealAgent(dataDir, config, { captures: request.op === 'backup' });
  let agent = await open();
  if (
    sends(request) &&
    waits(agent) &&
    (await becomeSuccessor(agent, (error) => output.note(error.message)))
  ) {
    await agent.close();
    agent = await open();
  }
  const stop = interrupted ?? untilInterrupted();
  stop.addEventListener('abort', () => agent.courtesy.end());
  // Who asks meanwhile gets an answer. Without such a place the command does its work anyway.
  const questions = await listenForQuestions(agent, () => undefined, askSurroundings());
  try {
    await operate(agent, undefined, request, emit, stop);
  } finally {
    if (typeof questions !== 'string') await questions.close();
    await agent.close();
  }
  if (mistaken !== undefined) throw mistaken;
}

/** Whether a request reaches for the collector. */
function sends(request: Request): boolean {
  return (
    request.op === 'flush' ||
    request.op === 'restore' ||
    (request.op === 'backup' && !request.offline)
  );
}

/**
 * Aborts at the first SIGINT or SIGTERM, so that a command ends in order; a second one ends the
 * process at once.
 */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}
