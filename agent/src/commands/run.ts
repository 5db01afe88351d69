import { parse, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { AliquotError } from '@aliquot/proto';
import { journalStream } from '@aliquot/shared/cli/environment';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { loopbackPlace } from '@aliquot/shared/cli/loopback';
import type { Output } from '@aliquot/shared/cli/output';
import { FileError, FolderError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { checkDataFolder } from '@aliquot/shared/folder/data-folder';
import { endOnUnexpected } from '@aliquot/shared/log-lines/last-words';
import { isJournal, standardError } from '@aliquot/shared/log-lines/line-target';
import { openLog } from '@aliquot/shared/log-lines/log';
import { LogFile } from '@aliquot/shared/log-lines/log-file';
import { systemClock } from '@aliquot/shared/ports';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import type { Logger } from 'pino';
import { lowerPriority } from '../courtesy/priority.ts';
import { askSurroundings, hostRuns, socketSurroundings } from '../environment.ts';
import type { Agent } from '../folder/agent.ts';
import { type ConfigRead, ConfigWatch } from '../service/config-watch.ts';
import { Service } from '../service/service.ts';
import { onSuccession } from '../service/succession.ts';
import { serviceRuns } from '../socket/socket-client.ts';
import { fromText, pathBytes } from '../source/paths.ts';
import type { Problem } from '../source/problem.ts';
import { keepUpToDate, STAGED_EXIT_CODE } from '../update/for-service.ts';
import { systemTimers } from '../uplink/timers.ts';
import { scanAt } from '../watch/scan-schedule.ts';
import { nativeEvents } from '../watch/watcher.ts';
import {
  configurationProblem,
  noSourcesProblem,
  parseBeside,
  parseConfig,
  withoutSources,
} from './config-file.ts';
import { readConfigText } from './config-text-file.ts';
import { defaultConfigPath, openRealAgent, untilInterrupted } from './open.ts';
import { ownInstall } from './software.ts';
import { startConfig } from './start-config.ts';

/** How a service is started. */
export interface RunServiceOptions {
  readonly data: string;
  /** agent.yaml of the data folder unless it is named. */
  readonly config?: string;
  /** A file for the log instead of standard error. */
  readonly logFile?: string;
}

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
  readonly logTail: () => Promise<string>;
}

/**
 * `run`: the service, until SIGTERM or SIGINT, or until standard input ends where our host runs it.
 * Prints one line `{"event":"running",…}` on standard output when it is ready; its log goes to
 * standard error or `logFile` as JSON lines and names no content. Without a configuration it waits
 * for one. A changed one takes effect as a start of the service would, in the same process; SIGHUP
 * asks for that at once.
 */
export async function run(
  { data, config: configOption, logFile }: RunServiceOptions,
  output: Output,
): Promise<void> {
  const dataDir = resolve(data);
  const logPath = logFile === undefined ? undefined : resolve(logFile);
  const file = logPath === undefined ? undefined : await openLogFile(logPath);
  const { log, tail, end } = openLog({
    level: 'info',
    target: file ?? standardError(),
    clock: systemClock,
    journal: file === undefined && isJournal(journalStream()),
  });
  const foresee = endOnUnexpected(log, end);
  const logTail = async () => (logPath === undefined ? tail() : LogFile.tail(nodeFiles, logPath));
  try {
    await serveFrom(dataDir, configOption, { log, logTail, output });
  } catch (error) {
    // Nobody reads the standard error of a service that has a log of its own.
    if (file !== undefined && error instanceof AliquotError)
      log.fatal({ code: error.code, error: error.message }, 'the service cannot run');
    throw error;
  } finally {
    foresee();
    await end();
    await file?.close();
  }
}

async function serveFrom(
  dataDir: string,
  configOption: string | undefined,
  said: Pick<Running, 'log' | 'logTail' | 'output'>,
): Promise<void> {
  await checkDataFolder(nodeFiles, dataDir, 'aliquot-agent');
  const configPath = resolve(configOption ?? defaultConfigPath(dataDir));
  let config: AgentConfig | undefined =
    (await startConfig(dataDir, configPath, said.output)) ?? withoutSources();
  // A service stays: the folder that it was started in must not be held by it, and may go without
  // harm.
  process.chdir(parse(dataDir).root);
  const running: Running = {
    dataDir,
    configPath,
    stopped: untilStopped(),
    hangup: new Hangup(),
    ...said,
  };
  for (let starts = 1; config !== undefined && !running.stopped.aborted; starts += 1)
    config = await serve(running, config, starts === 1);
}

async function openLogFile(path: string): Promise<LogFile> {
  try {
    return await LogFile.open(nodeFiles, path);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new UsageError('USAGE_INVALID', `--log-file: ${error.message}`, { cause: error });
  }
}

/**
 * Aborts when the service should end. On Windows nothing can send SIGTERM, so our host closes
 * standard input instead.
 */
function untilStopped(): AbortSignal {
  const interrupted = untilInterrupted();
  if (!hostRuns()) return interrupted;
  const left = new AbortController();
  for (const event of ['end', 'close', 'error']) process.stdin.once(event, () => left.abort());
  process.stdin.resume();
  return AbortSignal.any([interrupted, left.signal]);
}

/**
 * Serves under one configuration. Resolves with the next one, or with undefined when the service
 * should end.
 */
async function serve(
  running: Running,
  config: AgentConfig,
  first: boolean,
): Promise<AgentConfig | undefined> {
  const { dataDir, configPath, stopped, hangup, output, log, logTail } = running;
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
      logTail,
    });
    const schedule =
      scanSchedule === undefined ? undefined : scanAt(scanSchedule, () => service.scanSoon());
    const sources = agent.sources.now.map(({ root }) => pathText(pathBytes(root)));
    // A line of JSON in any case: what starts the service waits for it.
    const ready = {
      event: 'running',
      pid: process.pid,
      data: dataDir,
      socket: service.socketPath,
      sources,
    };
    if (first) await output.result(ready, JSON.stringify(ready));
    else log.info({ sources }, 'the changed configuration is in force');
    const isWaiting = config.sources.length === 0;
    if (isWaiting)
      log.warn({ file: configPath }, 'nothing says which folders to watch; waiting for settings');

    const staged = new AbortController();
    const endUpdates = await keepUpToDate(agent, service, {
      install: ownInstall(),
      log,
      leave: () => staged.abort(),
    });
    const changed = new AbortController();
    let next: AgentConfig | undefined;
    const configName = fromText(configPath, '/');
    // What is wrong with the file comes before what it says in vain, and both before that nothing
    // says what to watch.
    let mistaken: Problem | undefined;
    let inVain: Problem | undefined;
    const nameIt = () =>
      service.nameProblem(
        configName,
        mistaken ?? inVain ?? (isWaiting ? noSourcesProblem() : undefined),
      );
    const unused = (problem: Problem | undefined): void => {
      if (problem?.message === inVain?.message) return;
      inVain = problem;
      if (problem !== undefined)
        log.warn(
          { file: configPath, mistake: problem.message },
          'what the configuration says does not count',
        );
      void nameIt();
    };
    await nameIt();
    const { desk } = agent;
    const beside = (text: string | undefined): ConfigRead | undefined =>
      desk.text === undefined ? undefined : parseBeside(desk, text, unused);
    const watch = new ConfigWatch({
      readText: () => readConfigText(configPath),
      absent: () =>
        beside(undefined) ??
        (isWaiting ? { config } : { mistake: 'is not there any more, or says nothing' }),
      parse: (text) => beside(text) ?? parseConfig(text),
      timers: systemTimers,
      inForce: config,
      onChange: (other) => {
        next = other;
        changed.abort();
      },
      onMistake: (mistake) => {
        if (mistake === undefined)
          log.info({ file: configPath }, 'the configuration is right again');
        else
          log.error(
            { file: configPath, mistake },
            'the configuration cannot be used; what it said before is in force',
          );
        mistaken = mistake === undefined ? undefined : configurationProblem(mistake);
        void nameIt();
      },
    });
    const ofDesk = desk.subscribe(() => {
      const { refused, sequence } = desk;
      if (refused === undefined) log.info({ sequence }, 'settings from the desk are in force');
      else
        log.warn(
          { sequence: refused.sequence, code: refused.code, inForce: sequence },
          'settings from the desk are refused',
        );
      void watch.again();
    });
    watch.start();
    const endSuccession = onSuccession(agent, log, () => {
      next = config;
      changed.abort();
    });
    hangup.act = () => watch.lookNow();
    await aborted(AbortSignal.any([stopped, changed.signal, staged.signal]));
    // A person's command ends first: nobody asked for it to be cut off.
    if (!stopped.aborted) await Promise.race([service.idle(), aborted(stopped)]);
    hangup.act = undefined;
    ofDesk();
    await watch.stop();
    await endSuccession();
    await endUpdates();
    const changesOver = staged.signal.aborted && !stopped.aborted;
    log.info(
      stopped.aborted || changesOver
        ? 'stopping'
        : 'the configuration or the identity has changed; starting anew with it',
    );
    if (changesOver) process.exitCode = STAGED_EXIT_CODE;
    await schedule?.stop();
    await service.stop();
    return stopped.aborted || changesOver ? undefined : next;
  } finally {
    await agent.close();
  }
}

/**
 * SIGHUP: reads the configuration again, and never ends the service, also not between two
 * configurations.
 */
class Hangup {
  act: (() => Promise<void>) | undefined;

  constructor() {
    process.on('SIGHUP', () => void this.act?.());
  }
}

/**
 * Opens the folder. Another command may have it open just now, such as a `status` at the moment
 * when the machine starts: a service waits for that one to end, for nobody would start it again.
 * Another service is an error at once. Undefined when it should end meanwhile.
 */
async function openWhenFree(
  { dataDir, configPath, stopped, output }: Running,
  config: AgentConfig,
  mostTries: number,
): Promise<Agent | undefined> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await openRealAgent(dataDir, config, { configPath });
    } catch (error) {
      const inUse = error instanceof FolderError && error.code === 'FOLDER_IN_USE';
      if (!inUse || tries === mostTries || (await serviceRuns(dataDir, socketSurroundings())))
        throw error;
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
