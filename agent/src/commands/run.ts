import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { checkDataFolder } from '@aliquot/shared/durable/data-folder';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { pino } from 'pino';
import { pathBytes } from '../capture/paths.ts';
import { socketSurroundings } from '../environment.ts';
import { Service } from '../service/service.ts';
import { scanAt } from '../watch/scan-schedule.ts';
import { nativeEvents } from '../watch/watcher.ts';
import { defaultConfigPath, loadConfig, openRealAgent, untilInterrupted } from './open.ts';

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
  const agent = await openRealAgent(dataDir, config);
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
