import { parse, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { journalStream } from '@aliquot/shared/cli/environment';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { loopbackPlace } from '@aliquot/shared/cli/loopback';
import type { Output } from '@aliquot/shared/cli/output';
import { checkDataFolder } from '@aliquot/shared/durable/data-folder';
import { FolderError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { endOnUnexpected } from '@aliquot/shared/log-lines/last-words';
import { isJournal, standardError } from '@aliquot/shared/log-lines/line-target';
import { openLog } from '@aliquot/shared/log-lines/log';
import { systemClock } from '@aliquot/shared/ports';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import type { Logger } from 'pino';
import { fromText, pathBytes } from '../capture/paths.ts';
import { lowerPriority } from '../courtesy/priority.ts';
import { askSurroundings, socketSurroundings } from '../environment.ts';
import type { Agent } from '../service/agent.ts';
import { ConfigWatch } from '../service/config-watch.ts';
import { Service } from '../service/service.ts';
import { serviceRuns } from '../service/socket-client.ts';
import { systemTimers } from '../uplink/timers.ts';
import { scanAt } from '../watch/scan-schedule.ts';
import { nativeEvents } from '../watch/watcher.ts';
import { configurationProblem, parseConfig } from './config-file.ts';
import { readConfigText } from './config-text-file.ts';
import { defaultConfigPath, loadConfig, openRealAgent, untilInterrupted } from './open.ts';

/** A command in one shot may take minutes; half a minute is what a start may wait for it. */
const OPEN_TRIES = 60;
const OPEN_PAUSE_MS = 500;

interface Running {
  readonly dataDir: string;
  readonly configPath: string;
  readonly stopped: AbortSignal;
  readonly hangup: Hangup;
  readonly output: Output;
  readonly log: Logger;
}

/**
 * `run`: the service, until SIGTERM or SIGINT. Prints one line `{"event":"running",…}` on standard output when it is ready;
 * its log goes to standard error as JSON lines and names no content. A changed configuration takes effect as a start of the
 * service would, in the same process; SIGHUP asks for that at once.
 */
export async function run(dataOption: string, configOption: string | undefined, output: Output): Promise<void> {
  const dataDir = resolve(dataOption);
  await checkDataFolder(nodeFiles, dataDir, 'aliquot-agent');
  const configPath = resolve(configOption ?? defaultConfigPath(dataDir));
  let config = await loadConfig(configPath, output);
  if (config === undefined) {
    const example = 'sources: [{path: /data/instrument}]';
    throw new UsageError(
      'USAGE_CONFIG',
      `nothing to watch: ${configPath} is not there; write it with at least one line such as  ${example}`,
    );
  }
  // A service stays: the folder that it was started in must not be held by it, and may go without harm.
  process.chdir(parse(dataDir).root);
  const { log, end } = openLog({
    level: config.logLevel,
    target: standardError(),
    clock: systemClock,
    journal: isJournal(journalStream()),
  });
  const foresee = endOnUnexpected(log, end);
  const running: Running = { dataDir, configPath, stopped: untilInterrupted(), hangup: new Hangup(), output, log };
  try {
    for (let starts = 1; config !== undefined && !running.stopped.aborted; starts += 1) config = await serve(running, config, starts === 1);
  } finally {
    foresee();
    await end();
  }
}

/** Serves under one configuration. Resolves with the next one, or with undefined when the service should end. */
async function serve(running: Running, config: AgentConfig, first: boolean): Promise<AgentConfig | undefined> {
  const { dataDir, configPath, stopped, hangup, output, log } = running;
  log.level = config.logLevel;
  const notLowered = config.courtesy.priority === 'normal' ? undefined : lowerPriority();
  if (notLowered !== undefined) output.note(`this process keeps its priority: ${notLowered}`);
  const agent = await openWhenFree(running, config, first ? OPEN_TRIES : Number.POSITIVE_INFINITY);
  if (agent === undefined) return undefined;
  try {
    const { scanIntervalSeconds, scanSchedule } = config;
    const service = await Service.start({
      agent,
      events: nativeEvents(),
      scanIntervalSeconds,
      place: socketSurroundings(),
      askPlace: askSurroundings(),
      metrics: config.metrics === undefined ? undefined : loopbackPlace(config.metrics.listen),
      log,
    });
    const schedule = scanSchedule === undefined ? undefined : scanAt(scanSchedule, () => service.scanSoon());
    const sources = agent.sources.now.map(({ root }) => pathText(pathBytes(root)));
    // A line of JSON in any case: what starts the service waits for it.
    const ready = { event: 'running', pid: process.pid, data: dataDir, socket: service.socketPath, sources };
    if (first) await output.result(ready, JSON.stringify(ready));
    else log.info({ sources }, 'the changed configuration is in force');

    const changed = new AbortController();
    let next: AgentConfig | undefined;
    const configName = fromText(configPath, '/');
    await service.nameProblem(configName, undefined);
    const watch = new ConfigWatch({
      readText: () => readConfigText(configPath),
      parse: parseConfig,
      timers: systemTimers,
      inForce: config,
      onChange: (other) => {
        next = other;
        changed.abort();
      },
      onMistake: (mistake) => {
        if (mistake === undefined) log.info({ file: configPath }, 'the configuration is right again');
        else log.error({ file: configPath, mistake }, 'the configuration cannot be used; what it said before is in force');
        void service.nameProblem(configName, mistake === undefined ? undefined : configurationProblem(mistake));
      },
    });
    watch.start();
    hangup.act = () => watch.lookNow();
    await aborted(AbortSignal.any([stopped, changed.signal]));
    // A person's command ends first: nobody asked for it to be cut off.
    if (!stopped.aborted) await Promise.race([service.idle(), aborted(stopped)]);
    hangup.act = undefined;
    await watch.stop();
    log.info(stopped.aborted ? 'stopping' : 'the configuration has changed; starting anew with it');
    await schedule?.stop();
    await service.stop();
    return stopped.aborted ? undefined : next;
  } finally {
    await agent.close();
  }
}

/** SIGHUP: reads the configuration again, and never ends the service, also not between two configurations. */
class Hangup {
  act: (() => Promise<void>) | undefined;

  constructor() {
    process.on('SIGHUP', () => void this.act?.());
  }
}

/**
 * Opens the folder. Another command may have it open just now, such as a `status` at the moment when the machine starts: a service
 * waits for that one to end, for nobody would start it again. Another service is an error at once. Undefined when it should end meanwhile.
 */
async function openWhenFree({ dataDir, stopped, output }: Running, config: AgentConfig, mostTries: number): Promise<Agent | undefined> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await openRealAgent(dataDir, config);
    } catch (error) {
      const inUse = error instanceof FolderError && error.code === 'FOLDER_IN_USE';
      if (!inUse || tries === mostTries || (await serviceRuns(dataDir, socketSurroundings()))) throw error;
      if (stopped.aborted) return undefined;
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
