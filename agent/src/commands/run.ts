import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { checkDataFolder } from '@aliquot/shared/durable/data-folder';
import { FolderError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { pino } from 'pino';
import { pathBytes } from '../capture/paths.ts';
import { lowerPriority } from '../courtesy/priority.ts';
import { socketSurroundings } from '../environment.ts';
import type { Agent } from '../service/agent.ts';
import type { AgentConfig } from '../service/config.ts';
import { Service } from '../service/service.ts';
import { serviceRuns } from '../service/socket-client.ts';
import { scanAt } from '../watch/scan-schedule.ts';
import { nativeEvents } from '../watch/watcher.ts';
import { defaultConfigPath, loadConfig, openRealAgent, untilInterrupted } from './open.ts';

/** A command in one shot may take minutes; half a minute is what a start may wait for it. */
const OPEN_TRIES = 60;
const OPEN_PAUSE_MS = 500;

/**
 * `run`: the service, until SIGTERM or SIGINT. Prints one line `{"event":"running",…}` on standard output when it is ready;
 * its log goes to standard error as JSON lines and names no content.
 */
export async function run(dataOption: string, configOption: string | undefined, output: Output): Promise<void> {
  const dataDir = resolve(dataOption);
  await checkDataFolder(nodeFiles, dataDir, 'aliquot-agent');
  const configPath = resolve(configOption ?? defaultConfigPath(dataDir));
  const config = await loadConfig(configPath, output);
  if (config === undefined) {
    const example = 'sources: [{path: /data/instrument}]';
    throw new UsageError(
      'USAGE_CONFIG',
      `nothing to watch: ${configPath} is not there; write it with at least one line such as  ${example}`,
    );
  }
  const stopped = untilInterrupted();
  const notLowered = config.courtesy.priority === 'normal' ? undefined : lowerPriority();
  if (notLowered !== undefined) output.note(`this process keeps its priority: ${notLowered}`);
  const agent = await openWhenFree(dataDir, config, stopped, output);
  try {
    const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
    const { scanIntervalSeconds, scanSchedule } = config;
    const service = await Service.start({ agent, events: nativeEvents, scanIntervalSeconds, place: socketSurroundings(), log });
    const schedule = scanSchedule === undefined ? undefined : scanAt(scanSchedule, () => service.scanSoon());
    const sources = agent.sources.map(({ root }) => pathText(pathBytes(root)));
    // A line of JSON in any case: what starts the service waits for it.
    process.stdout.write(`${JSON.stringify({ event: 'running', pid: process.pid, data: dataDir, socket: service.socketPath, sources })}\n`);
    await aborted(stopped);
    log.info('stopping');
    await schedule?.stop();
    await service.stop();
  } finally {
    await agent.close();
  }
}

/**
 * Opens the folder. Another command may have it open just now, such as a `status` at the moment when the machine starts: a service
 * waits for that one to end, for nobody would start it again. Another service is an error at once.
 */
async function openWhenFree(dataDir: string, config: AgentConfig, stopped: AbortSignal, output: Output): Promise<Agent> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await openRealAgent(dataDir, config);
    } catch (error) {
      const inUse = error instanceof FolderError && error.code === 'FOLDER_IN_USE';
      if (!inUse || tries === OPEN_TRIES || stopped.aborted || (await serviceRuns(dataDir, socketSurroundings()))) throw error;
      if (tries === 1) output.note(`another command has ${dataDir} open; waiting for it to end`);
      await setTimeout(OPEN_PAUSE_MS);
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
