import { pathText } from '@aliquot/shared/cli/format';
import { Capturer } from '../capture/capturer.ts';
import type { Alike, FoundItem } from '../capture/comparison.ts';
import { ResultLook } from '../capture/results.ts';
import { type Look, scanBatches } from '../capture/scan.ts';
import { unlessStopped } from '../capture/stop.ts';
import type { CaptureOutcome } from '../capture/task.ts';
import type { Agent } from '../folder/agent.ts';
import type { Emit } from '../socket/protocol.ts';
import { type BytePath, pathBytes } from '../source/paths.ts';
import { changingProblem, endedEarlyProblem, type Problem } from '../source/problem.ts';
import { immediate } from '../watch/gate.ts';
import { countAlike, countOutcome, countSame, type Tally } from '../watch/tally.ts';
import { CountAhead } from './count-ahead.ts';
import type { Root } from './roots.ts';

/**
 * Time between two words about the progress: one for each of a hundred thousand files would cost
 * more than to capture them.
 */
const PROGRESS_MS = 100;

/** How often a backup looks again at what was no file any more when it was to be read. */
const LOOKS_AGAIN = 3;

/** Names something that could not be protected; `keep`: in the problem book too. */
export type NameProblem = (path: BytePath, problem: Problem, keep: boolean) => Promise<void>;

/**
 * Captures what is below the roots, and looks again at what moved meanwhile. Returns how many bytes
 * were read.
 */
export async function captureAll(
  agent: Agent,
  roots: readonly Root[],
  tally: Tally,
  named: NameProblem,
  emit: Emit,
  signal: AbortSignal,
  totals: boolean,
): Promise<number> {
  const { host, queue, places, problems, references, underWay, identity, clock } = agent;
  const startedMs = clock.nowMs();
  let toldMs = Number.NEGATIVE_INFINITY;
  let latest: BytePath | undefined;
  const ahead = totals ? new CountAhead(agent, roots) : undefined;
  const progress = (bytes: number): Promise<void> | undefined => {
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - toldMs) < PROGRESS_MS) return undefined;
    toldMs = nowMs;
    return emit({
      event: 'progress',
      files: tally.files,
      bytes: Math.max(bytes, tally.bytes),
      ...ahead?.found,
      ...(latest === undefined ? {} : { path: pathText(pathBytes(latest)) }),
    });
  };
  const vanished = new Set<BytePath>();
  let results: ResultLook | undefined;
  const onOutcome = (outcome: CaptureOutcome): Promise<void> | undefined => {
    results?.ended(outcome);
    countOutcome(tally, outcome);
    if (outcome.type !== 'version') return onOther(outcome);
    const path = outcome.task.type === 'gone' ? outcome.task.path : outcome.task.item.path;
    latest = path;
    const ended = problems.captured(path);
    const { beside } = outcome;
    // A hundred thousand times nothing is to be waited for.
    if (ended === undefined && beside === undefined) return progress(0);
    return (async () => {
      await ended;
      if (beside !== undefined) await named(path, beside, true);
      await progress(0);
    })();
  };
  const onOther = async (outcome: CaptureOutcome): Promise<void> => {
    if (outcome.type === 'vanished') vanished.add(outcome.path);
    if (outcome.type === 'full') tally.failed -= 1; // named at the end, if it still waits then
    if (outcome.type === 'problem') {
      tally.failed -= 1; // counted by `named`
      await named(outcome.path, outcome.problem, true);
    }
    await progress(0);
  };
  const capturer = new Capturer(
    { host, queue, references, underWay, pathKey: identity.pathKey, clock },
    onOutcome,
    progress,
  );
  try {
    for (const { source, at, acceptGone } of roots) {
      const sweep = problems.sweep(at);
      const folders = await ResultLook.begin(queue, source, at);
      results = folders;
      const on = {
        same: (item: FoundItem) => {
          countSame(tally, item);
          // Only a capture looks for them.
          if (problems.codeOf(item.path) === 'streams') sweep.keep(item.path);
        },
        alike: (alike: Alike) => countAlike(tally, alike),
        problem: (path: BytePath, problem: Problem) => named(path, problem, true),
      };
      const look = (path: BytePath): Look => ({
        host,
        queue,
        places,
        source,
        nowMs: startedMs,
        at: path,
        wanted: [...problems.pathsWith('streams'), ...folders.owed],
      });
      const capture = (what: Look): Promise<void> =>
        capturer.run(
          immediate(unlessStopped(scanBatches(what), signal), source, folders, on),
          signal,
        );
      await capture({ ...look(at), onExcluded: () => undefined, acceptGone });
      for (let again = 1; again <= LOOKS_AGAIN && vanished.size > 0; again += 1) {
        const moved = [...vanished];
        vanished.clear();
        for (const path of moved) await capture(look(path));
      }
      if (signal.aborted) folders.end();
      else await folders.write(clock.nowMs());
      for (const path of vanished) await named(path, changingProblem(LOOKS_AGAIN), true);
      vanished.clear();
      // What is missing stays named, also for later questions: even if all that is known is safe,
      // that is not all that was asked for.
      if (signal.aborted) await named(at, endedEarlyProblem(pathText(pathBytes(at))), true);
      else await sweep.finish();
    }
  } finally {
    results?.end();
    await ahead?.end();
  }
  await queue.sync();
  return capturer.readBytes;
}
