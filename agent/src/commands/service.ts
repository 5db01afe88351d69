import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { exists, readFileIfThere } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { checkDataFolder } from '@aliquot/shared/folder/data-folder';
import { z } from 'zod';
import { defaultDataFolder, socketSurroundings, windowsTool } from '../environment.ts';
import { identityPaths } from '../identity/identity-file.ts';
import { MachineError } from '../machine/errors.ts';
import { installRoot } from '../machine/install-root.ts';
import { launchdService } from '../machine/launchd-service.ts';
import { runTool, type ServiceManager } from '../machine/service-manager.ts';
import { systemdService } from '../machine/systemd-service.ts';
import { windowsService } from '../machine/windows-service.ts';
import { AgentError } from '../socket/errors.ts';
import { askService } from '../socket/socket-client.ts';

/** A slow PC that just started takes its time to open the folder; after that something is wrong. */
const ANSWER_TRIES = 120;
/** A collector that is there is reached within this; then the agent waits for it by itself. */
const CONNECT_TRIES = 40;
const PAUSE_MS = 500;
/** How often in a row the same end must be seen. */
const DEAD_LOOKS = 4;
const MAX_LAST_OUTPUT = 1 << 20;

/** What the collector answers to a PC that it does not take: no waiting helps. */
const refusals = new Set(['UPLINK_NOT_ENROLLED', 'UPLINK_REVOKED', 'UPLINK_REFUSED']);

export interface ServiceCommand {
  readonly data?: string;
  readonly account?: string;
}

export type ServiceAction = 'install' | 'uninstall' | 'start' | 'stop' | 'status';

/**
 * `service ACTION`: the agent as a service of this machine, through its own service manager.
 * `install` and `start` end when the agent in it answers, with how its connection stands. Errors:
 * those of `ServiceManager`, `MACHINE_NO_ANSWER`; `PARTIAL` when the service runs and the collector
 * does not take this PC.
 */
export async function service(
  action: ServiceAction,
  { data, account }: ServiceCommand,
  output: Output,
): Promise<void> {
  const manager = managerOf(process.platform);
  if (action === 'install') {
    const dataDir = resolve(data ?? (await manager.state()).data ?? defaultDataFolder());
    await manager.install({ data: dataDir, ...(account === undefined ? {} : { account }) });
    if (await exists(nodeFiles, identityPaths(dataDir).identity))
      return start(manager, dataDir, output);
    await told(
      output,
      { state: 'stopped', data: dataDir },
      'installed; it starts with the machine, or with: aliquot-agent service start',
    );
    output.note(`this PC is not enrolled yet; run: aliquot-agent enroll BUNDLE --data ${dataDir}`);
    return;
  }
  if (action === 'uninstall') {
    await manager.uninstall();
    return told(
      output,
      { state: 'absent' },
      'the service is removed; the data folder stays as it is',
    );
  }
  if (action === 'stop') {
    await manager.stop();
    return told(
      output,
      { state: 'stopped' },
      'the service is stopped; new results are not noticed until it starts again',
    );
  }
  const { state, data: given } = await manager.state();
  if (action === 'start')
    return start(manager, resolve(data ?? given ?? defaultDataFolder()), output);
  const words = {
    running: 'runs',
    stopped: 'is stopped',
    changing: 'is starting or stopping',
    absent: 'is not installed',
  };
  const remedies = {
    running: '',
    changing: '',
    stopped: '; start it: aliquot-agent service start',
    absent: '; aliquot-agent service install',
  };
  const folder = given === undefined ? '' : ` with the data folder ${printable(given)}`;
  await told(
    output,
    { state, ...(given === undefined ? {} : { data: given }) },
    `the service ${words[state]}${folder}${remedies[state]}`,
  );
}

function managerOf(platform: NodeJS.Platform): ServiceManager {
  const root = installRoot(fileURLToPath(new URL('.', import.meta.url)).replace(/[\\/]$/, ''));
  if (platform === 'darwin') return launchdService(root, nodeFiles, runTool);
  if (platform !== 'win32') return systemdService(root, nodeFiles, runTool);
  if (root !== undefined) return windowsService(root, windowsTool('icacls.exe'), runTool);
  throw new MachineError(
    'MACHINE_NO_MANAGER',
    'this is no installed package; run the setup, or: aliquot-agent run --data DIR',
  );
}

async function start(manager: ServiceManager, dataDir: string, output: Output): Promise<void> {
  if (!(await exists(nodeFiles, identityPaths(dataDir).identity))) {
    await checkDataFolder(nodeFiles, dataDir, 'aliquot-agent');
    throw new UsageError(
      'USAGE_MISSING',
      `${dataDir} is not enrolled; run: aliquot-agent enroll BUNDLE --data ${dataDir}`,
    );
  }
  await manager.start();
  const { agent, collector, connection, connectionProblem: problem } = await answered(dataDir);
  const record = {
    state: 'running',
    data: dataDir,
    agent,
    collector,
    connection,
    ...(problem === undefined ? {} : { problem }),
  };
  if (connection === 'ready')
    return told(output, record, `runs as ${printable(agent)}, connected to ${collector}`);
  const why = problem === undefined ? '' : ` (${printable(problem.message)} [${problem.code}])`;
  await told(
    output,
    record,
    `runs as ${printable(agent)}, and waits for the collector at ${collector}${why}; results are queued meanwhile`,
  );
  if (problem !== undefined && refusals.has(problem.code))
    throw new PartialError(
      'PARTIAL',
      `the service runs, and the collector does not take this PC: ${problem.message}`,
    );
}

function told(output: Output, record: object, text: string): Promise<void> {
  return output.result({ event: 'service', ...record }, text);
}

const statusSchema = z.object({
  agent: z.string(),
  collector: z.string(),
  connection: z.string(),
  connectionProblem: z.object({ code: z.string(), message: z.string() }).optional(),
});
type Status = z.output<typeof statusSchema>;

/**
 * The agent's own word, once it is connected, or has said why not, or has tried for long enough.
 */
async function answered(dataDir: string): Promise<Status> {
  let status: Status | undefined;
  for (let tries = 1, dead = 0; status === undefined; tries += 1) {
    status = await ask(dataDir);
    if (status !== undefined) break;
    const lastWords = await lastWordsOf(dataDir);
    dead = lastWords === undefined ? 0 : dead + 1;
    // Not at once: what is read first may be of the run before this one.
    if (dead === DEAD_LOOKS)
      throw new MachineError(
        'MACHINE_NO_ANSWER',
        `the agent was started and ended by itself: ${lastWords}`,
      );
    if (tries === ANSWER_TRIES)
      throw new MachineError(
        'MACHINE_NO_ANSWER',
        `the service was started, and the agent does not answer; its log says why: ${resolve(dataDir, 'log')}`,
      );
    await setTimeout(PAUSE_MS);
  }
  for (
    let tries = 1;
    tries < CONNECT_TRIES &&
    status.connection !== 'ready' &&
    status.connectionProblem === undefined;
    tries += 1
  ) {
    await setTimeout(PAUSE_MS);
    status = (await ask(dataDir)) ?? status;
  }
  return status;
}

/**
 * The error line with which an agent under our host ended, for as long as it is not started again.
 */
async function lastWordsOf(dataDir: string): Promise<string | undefined> {
  const written = await readFileIfThere(
    nodeFiles,
    resolve(dataDir, 'log', 'last-output.txt'),
    MAX_LAST_OUTPUT,
  );
  const lines = written?.toString('utf8').split(/\r?\n/) ?? [];
  return lines
    .findLast((line) => /^aliquot-agent: .*\[[A-Z_]+\]$/.test(line))
    ?.slice('aliquot-agent: '.length);
}

/** Undefined while nothing answers, also when the agent ends meanwhile. */
async function ask(dataDir: string): Promise<Status | undefined> {
  let status: Status | undefined;
  try {
    await askService(
      dataDir,
      socketSurroundings(),
      { op: 'status', results: false },
      async (event) => {
        if (event.event === 'status') status = statusSchema.parse(event);
      },
    );
  } catch (error) {
    if (error instanceof AgentError && error.code === 'AGENT_SERVICE_GONE') return undefined;
    throw error;
  }
  return status;
}
