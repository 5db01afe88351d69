import { resolve } from 'node:path';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { type DataFolder, openDataFolder } from '@aliquot/shared/folder/data-folder';
import type { Clock, Random } from '@aliquot/shared/ports';
import { folderIds } from '@aliquot/shared/restore/target-files';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import type { CaptureHost } from '../capture/host.ts';
import { ProblemBook } from '../capture/problem-book.ts';
import { recoverFrom } from '../capture/recover.ts';
import { ReferenceBook } from '../capture/references.ts';
import { UnderWay } from '../capture/under-way.ts';
import { type CoresLeft, WorkerHost } from '../capture/worker-host.ts';
import { courteousHost } from '../courtesy/courteous-host.ts';
import type { Courtesy } from '../courtesy/courtesy.ts';
import { IdleCores } from '../courtesy/idle-cores.ts';
import { systemCourtesy } from '../courtesy/system-courtesy.ts';
import type { DeskBook } from '../desk/book.ts';
import { openDesk } from '../desk/open-desk.ts';
import { nameDeskProblems } from '../desk/problems.ts';
import type { AgentIdentity } from '../identity/identity.ts';
import { loadIdentity } from '../identity/identity-file.ts';
import { openQueue } from '../queue/open.ts';
import type { Queue } from '../queue/queue.ts';
import { type BytePath, bytePath, fromText } from '../source/paths.ts';
import { PlaceBook } from '../source/places.ts';
import { Diagnostics } from '../uplink/diagnosis-answer.ts';
import type { Uplink } from '../uplink/uplink.ts';
import type { SessionQueue } from '../uplink/uplink-parts.ts';
import { defaultQueueBudget } from './queue-budget.ts';
import { giveMemoryBack } from './rest.ts';
import { ConfiguredSources, fixedSources, type SourceSet } from './source-set.ts';

/** An open data folder with everything that works on it. One per folder and process. */
export interface Agent {
  /** Absolute. */
  readonly dataDir: string;
  /** The data folder under every name that a walk might meet it by. */
  readonly ownFolders: readonly BytePath[];
  readonly identity: AgentIdentity;
  /** Program and version, for the operator's eyes: one line. */
  readonly software: string;
  readonly queue: Queue;
  readonly uplink: Uplink;
  readonly host: CaptureHost;
  readonly problems: ProblemBook;
  readonly references: ReferenceBook;
  readonly underWay: UnderWay;
  /** Where drives and shares are mounted, and what a source's root is: see `Presence`. */
  readonly places: PlaceBook;
  /** When work may be done; `host` and `uplink` ask it by themselves. */
  readonly courtesy: Courtesy;
  /** The configured sources; none without a configuration. */
  readonly sources: SourceSet;
  /** What central IT sets for this PC. */
  readonly desk: DeskBook;
  /** Where a running service says that it makes diagnoses. */
  readonly diagnostics: Diagnostics;
  /** What is in force; undefined without a configuration. */
  readonly config: AgentConfig | undefined;
  readonly port: DiskPort;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the uplink and the worker, syncs the queue, gives the folder back. */
  close(): Promise<void>;
}

export interface OpenAgentOptions {
  readonly dataDir: string;
  readonly config: AgentConfig | undefined;
  /**
   * Where `agent.yaml` is, which may add to what the desk says; in the data folder unless it is
   * named.
   */
  readonly configPath?: string | undefined;
  readonly port: DiskPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly software: string;
  /** Makes the uplink; the command or service that needs it starts it. */
  readonly uplink: UplinkMaker;
  /** Whether a capture follows at once: its thread then starts while the queue is opened. */
  readonly captures?: boolean;
}

export type UplinkMaker = (parts: {
  readonly identity: AgentIdentity;
  readonly queue: SessionQueue;
  readonly dataDir: string;
  readonly courtesy: Courtesy;
  readonly recover: ReturnType<typeof recoverFrom>;
  readonly desk: DeskBook;
  readonly diagnostics: Diagnostics;
}) => Uplink | Promise<Uplink>;

/**
 * Opens an agent's data folder for this process. Errors: `FOLDER_MISSING`, `FOLDER_IN_USE` …,
 * `IDENTITY_MISSING`, `IDENTITY_DAMAGED`, `QUEUE_DAMAGED`.
 */
export async function openAgent(options: OpenAgentOptions): Promise<Agent> {
  const dataDir = resolve(options.dataDir);
  const folder = await openDataFolder(options.port, dataDir, 'aliquot-agent');
  try {
    return await openIn(folder, dataDir, options);
  } catch (error) {
    await folder.release();
    throw error;
  }
}

async function openIn(
  folder: DataFolder,
  dataDir: string,
  options: OpenAgentOptions,
): Promise<Agent> {
  const { port, config, clock } = options;
  const identity = await loadIdentity(port, dataDir);
  const threads = new WorkerHost(
    { vault: identity.keys, cacheSecret: identity.cacheSecret },
    {
      workers: workersOf(config, clock),
      rested: giveMemoryBack,
      own: await folderIds(port, [dataDir]),
    },
  );
  if (options.captures === true) threads.start();
  try {
    return await openWith({ folder, dataDir, identity, threads }, options);
  } catch (error) {
    await threads.close();
    throw error;
  }
}

/** As set; else by the idle cores, unless what the agent may take of them is limited. */
function workersOf(config: AgentConfig | undefined, clock: Clock): number | CoresLeft {
  if (config?.workers !== undefined) return config.workers;
  const { maxCpuPercent, timeWindows = [] } = config?.courtesy ?? {};
  const isLimited = [{ maxCpuPercent }, ...timeWindows].some(
    (limits) => limits.maxCpuPercent !== undefined,
  );
  return isLimited ? 1 : new IdleCores(clock);
}

interface Opened {
  readonly folder: DataFolder;
  readonly dataDir: string;
  readonly identity: AgentIdentity;
  readonly threads: WorkerHost;
}

async function openWith(
  { folder, dataDir, identity, threads }: Opened,
  { config, configPath, port, clock, random, software, uplink: makeUplink }: OpenAgentOptions,
): Promise<Agent> {
  const ownFolders = [...new Set([fromText(dataDir, '/'), bytePath(await port.realpath(dataDir))])];
  const budget = config?.queue ?? defaultQueueBudget;
  // Until the queue is taken over it is on the chain of the agent that was here before.
  const chainId = identity.takesOver ?? identity.chainId;
  const queue = await openQueue({ port, dataDir, clock, random, chainId, budget });
  try {
    if (identity.takesOver !== undefined) await queue.chain.inherit(identity.chainId);
    const courtesy = systemCourtesy(config?.courtesy, clock);
    const host = courteousHost(threads, courtesy);
    const desk = await openDesk(dataDir, { port, clock, random, identity, configPath });
    const diagnostics = new Diagnostics();
    const uplink = await makeUplink({
      identity,
      queue,
      dataDir,
      courtesy,
      recover: recoverFrom(host),
      desk,
      diagnostics,
    });
    const places = await PlaceBook.open(port, dataDir);
    const problems = await ProblemBook.load(queue, clock);
    // Whatever has the folder open says so (P6), also where no service runs.
    await nameDeskProblems(desk, problems, dataDir);
    return {
      dataDir,
      ownFolders,
      identity,
      software,
      queue,
      uplink,
      host,
      problems,
      references: new ReferenceBook(queue, clock),
      underWay: new UnderWay(),
      places,
      courtesy,
      desk,
      diagnostics,
      sources:
        config === undefined
          ? fixedSources([])
          : new ConfiguredSources(config.sources, {
              host,
              port,
              places,
              pathKey: identity.pathKey,
              ownFolders,
            }),
      config,
      port,
      clock,
      random,
      async close() {
        courtesy.end();
        await uplink.stop();
        await host.close();
        await queue.close();
        await folder.release();
      },
    };
  } catch (error) {
    await queue.close();
    throw error;
  }
}
