/**
 * Temporary folders, a real queue and captures in this thread, for the agent's tests. Nothing
 * outside tests imports this file.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import type { Clock } from '@aliquot/shared/ports';
import { defaultFolderResults } from '@aliquot/shared/settings/defaults';
import { Capturer } from '../../src/capture/capturer.ts';
import { type CaptureHost, LocalHost } from '../../src/capture/host.ts';
import { ProblemBook } from '../../src/capture/problem-book.ts';
import { ReferenceBook } from '../../src/capture/references.ts';
import { ResultLook } from '../../src/capture/results.ts';
import { scanBatches } from '../../src/capture/scan.ts';
import { unlessStopped } from '../../src/capture/stop.ts';
import type { CaptureOutcome } from '../../src/capture/task.ts';
import { UnderWay } from '../../src/capture/under-way.ts';
import type { QueueBudget } from '../../src/queue/intake/space.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { type BytePath, fromText, separator } from '../../src/source/paths.ts';
import { PlaceBook } from '../../src/source/places.ts';
import type { WalkRules } from '../../src/source/rules.ts';
import { type Source, sourceOf } from '../../src/source/source.ts';
import { nodeSource, type SourcePort } from '../../src/source/source-port.ts';
import { immediate } from '../../src/watch/gate.ts';
import { cacheSecret, keys, openQueue, temporaryFolder } from '../queue/support.ts';

export const pathKey = new Uint8Array(32).fill(7);

/** A lab PC in a temporary folder: `data` is watched, `own` is the agent's. */
export interface Bench {
  readonly data: string;
  readonly root: BytePath;
  readonly own: string;
  readonly queue: Queue;
  readonly problems: ProblemBook;
  readonly references: ReferenceBook;
  readonly underWay: UnderWay;
  places: PlaceBook;
  readonly source: Source;
  readonly clock: Clock & { ms: number };
  /**
   * How long captures waited for stamps to come of age; the clock goes on meanwhile, unless it was
   * stopped.
   */
  readonly pauses: number[];
  clockStands: boolean;
  host: CaptureHost;
  /** Sees the folder through another port from now on. */
  through(port: SourcePort): void;
  /** One scan and capture of everything, or of one path. */
  backup(at?: string, signal?: AbortSignal, person?: Person): Promise<Captured>;
  close(): Promise<void>;
}

/**
 * What a person says with it: that the path is what was asked for, and that what is not there is
 * gone.
 */
export interface Person {
  readonly named?: boolean;
  readonly acceptGone?: boolean;
}

export interface Captured {
  readonly outcomes: readonly CaptureOutcome[];
  /** `kind name`, such as `new a.txt`, in order; names relative to the watched folder. */
  readonly told: readonly string[];
  readonly readBytes: number;
  readonly same: number;
}

export async function openBench(
  rules: Partial<WalkRules> = {},
  budget?: QueueBudget,
): Promise<Bench> {
  const folder = temporaryFolder();
  const data = join(folder.dir, 'data');
  const own = join(folder.dir, 'own');
  mkdirSync(data);
  mkdirSync(own);
  const root = fromText(data, '/');
  // A day ahead: no file of a test was changed within a tick of its capture.
  const clock = { ms: Date.now() + 86_400_000, nowMs: () => Math.floor(clock.ms) };
  const queue = await openQueue(own, { clock, ...(budget === undefined ? {} : { budget }) });
  const problems = await ProblemBook.load(queue, clock);
  const places = await PlaceBook.open(nodeFiles, own);
  const references = new ReferenceBook(queue, clock);
  const underWay = new UnderWay();
  const source = sourceOf(pathKey, {
    root,
    class: 'default',
    rules: {
      exclude: [],
      folderResults: defaultFolderResults,
      leaveOut: [fromText(own, '/')],
      ...rules,
    },
    proof: undefined,
  });
  const pauses: number[] = [];
  const pause = async (ms: number) => {
    pauses.push(ms);
    if (!bench.clockStands) clock.ms += ms;
  };
  const hostOf = (port: SourcePort) =>
    new LocalHost(port, { vault: keys, cacheSecret }, clock, pause);
  const bench: Bench = {
    data,
    root,
    own,
    queue,
    problems,
    references,
    underWay,
    places,
    pauses,
    clockStands: false,
    source,
    clock,
    host: hostOf(nodeSource),
    through(port) {
      bench.host = hostOf(port);
    },
    async backup(at, signal, { named, acceptGone } = {}) {
      const outcomes: CaptureOutcome[] = [];
      const told: string[] = [];
      let same = 0;
      const name = (path: BytePath) =>
        path.slice(root.length + 1).replaceAll(separator, '/') || '.';
      const from = at === undefined ? root : fromText(at, data);
      const results = await ResultLook.begin(queue, source, from);
      const capturer = new Capturer(
        { host: bench.host, queue, references, underWay, pathKey, clock },
        async (outcome) => {
          results.ended(outcome);
          outcomes.push(outcome);
          const path = outcome.task.type === 'gone' ? outcome.task.path : outcome.task.item.path;
          const verb =
            outcome.type !== 'version'
              ? outcome.type
              : outcome.task.type === 'gone'
                ? 'gone'
                : outcome.task.known
                  ? 'changed'
                  : 'new';
          told.push(`${verb} ${name(path)}`);
          if (outcome.type === 'version') await problems.captured(path);
          if (outcome.type === 'problem') await problems.set(outcome.path, outcome.problem);
        },
      );
      const sweep = problems.sweep(from);
      const changes = scanBatches({
        host: bench.host,
        queue,
        places: bench.places,
        ...(named === true || acceptGone === true ? { onExcluded: () => undefined } : {}),
        ...(acceptGone === true ? { acceptGone } : {}),
        source,
        nowMs: clock.nowMs(),
        at: from,
        wanted: [...problems.pathsWith('streams'), ...results.owed],
      });
      const tasks = immediate(unlessStopped(changes, signal), source, results, {
        same: () => {
          same += 1;
        },
        alike: ({ files, links, folders }) => {
          same += files + links + folders.length;
        },
        problem: async (path, problem) => {
          told.push(`${problem.code} ${name(path)}`);
          await problems.set(path, problem);
        },
      });
      await capturer.run(tasks, signal);
      if (signal?.aborted !== true) {
        await results.write(clock.nowMs());
        await sweep.finish();
      }
      await queue.sync();
      return { outcomes, told: told.sort(), readBytes: capturer.readBytes, same };
    },
    async close() {
      await queue.close();
      folder.remove();
    },
  };
  return bench;
}

/** The real file system with some of its calls replaced. */
export function portWith(changes: Partial<SourcePort>): SourcePort {
  return { ...nodeSource, ...changes };
}

/** A system error as Node raises it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: on purpose`), { code, syscall: 'test' });
}
