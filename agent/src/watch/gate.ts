import type { Completion } from '@aliquot/proto';
import type { Change } from '../capture/compare.ts';
import type { Alike, FoundItem } from '../capture/comparison.ts';
import { isUnproved, mayBeContinued } from '../capture/growth.ts';
import { type FolderUnit, FolderUnits, type ResultLook } from '../capture/results.ts';
import type { CaptureTask } from '../capture/task.ts';
import type { KnownFile } from '../queue/ledger/ledger.ts';
import type { BytePath } from '../source/paths.ts';
import { isBeside, type Problem } from '../source/problem.ts';
import type { Source } from '../source/source.ts';
import type { Settler } from './settle.ts';

export interface GateParts {
  readonly source: Source;
  readonly settler: Settler;
  /** The folder results of this look: hears of those that go through. */
  readonly results: ResultLook;
  readonly nowMs: () => number;
  /**
   * Whether the file system's change stamps can be believed (not on Windows, where open files get
   * theirs late).
   */
  readonly trustStamps: boolean;
  /** A file that is as it was captured. */
  readonly onSame: (item: FoundItem) => void;
  /** Files that are as they were captured, of which nothing more was to be told. */
  readonly onAlike: (alike: Alike) => void;
  /** A folder that is there, whether as it was captured or not. */
  readonly onFolder: (item: FoundItem) => void;
  /** Something that was seen and must wait: its problem, if it has one, stays. */
  readonly onWaiting: (path: BytePath) => void;
  /** A result that waits for longer than it should, and since when. */
  readonly onUnsettled: (path: BytePath, sinceMs: number) => void;
  /**
   * A folder result that is captured at the end of this look, not yet by its members; then (with
   * false) by all of them.
   */
  readonly onReady: (folder: BytePath, isReady: boolean) => void;
  readonly onProblem: (path: BytePath, problem: Problem) => Promise<void>;
  /** Looks at one folder result again, to capture what is in it. */
  readonly rescan: (folder: BytePath) => AsyncIterable<Change>;
}

type Seen = Extract<Change, { type: 'put' | 'same' }>;

/** How a result is captured: `whole`, for it was captured as it was before, and now rests. */
interface Go {
  readonly completion: Completion;
  readonly whole: boolean;
}

/**
 * Lets through what has settled. A folder result counts as one: nothing of it is captured until no
 * member has changed for the quiet time, and then all of it is. So a restore never sees half an
 * acquisition without being told.
 *
 * What never settles goes through as it is, from time to time, marked growing; only what is gone
 * waits for rest in any case.
 */
export async function* settled(
  changes: AsyncIterable<Change>,
  parts: GateParts,
): AsyncGenerator<readonly CaptureTask[], void, void> {
  for await (const task of settledTasks(changes, parts)) yield [task];
}

async function* settledTasks(
  changes: AsyncIterable<Change>,
  parts: GateParts,
): AsyncGenerator<CaptureTask, void, void> {
  const { source, settler, results } = parts;
  const startedMs = parts.nowMs();
  const ready: { folder: BytePath; go: Go; seen: string }[] = [];

  const stampOf = (ctimeMs: number): number | undefined =>
    parts.trustStamps ? ctimeMs : undefined;
  const judge = (
    path: BytePath,
    fingerprint: string,
    newestMs: number | undefined,
  ): Go | undefined => {
    const whole = settler.isGrowing(path);
    const now = parts.nowMs();
    const verdict = settler.observe(path, fingerprint, newestMs, now);
    if (verdict.state === 'complete') return { completion: verdict.completion, whole };
    parts.onWaiting(path);
    const sinceMs = settler.unsettledSinceMs(path, now);
    // The time of a plain folder is no result: what is in it is.
    if (sinceMs !== undefined && !fingerprint.startsWith('directory '))
      parts.onUnsettled(path, sinceMs);
    return verdict.state === 'growing' && fingerprint !== 'gone'
      ? { completion: 'growing', whole: false }
      : undefined;
  };
  const units = new FolderUnits((folder: BytePath, unit: FolderUnit): void => {
    if (!unit.changed && !settler.isGrowing(folder) && !results.isOwed(folder)) {
      settler.forget(folder, startedMs);
      return;
    }
    const seen = unit.seen.digest();
    const go = unit.found
      ? judge(folder, seen, stampOf(unit.newestMs))
      : judge(folder, 'gone', undefined);
    if (go === undefined) return;
    ready.push({ folder, go, seen });
    parts.onReady(folder, true);
  });
  /** Of a folder that grows, what has not changed for long is at rest by itself. */
  const completionOf = ({ completion }: Go, item: FoundItem): Completion => {
    if (completion !== 'growing') return completion;
    if (item.stat.kind !== 'file') return 'assumed';
    const now = parts.nowMs();
    const verdict = source.proof?.judge(
      { fingerprint: '', sameSinceMs: now, newestChangeMs: stampOf(ctimeMs(item)) },
      now,
    );
    return verdict?.state === 'complete' ? verdict.completion : 'growing';
  };
  const put = (go: Go, { item, known }: Seen): CaptureTask => {
    return {
      type: 'put',
      source,
      item,
      known,
      completion: completionOf(go, item),
      whole: go.whole,
    };
  };

  for await (const change of changes) {
    if (change.type === 'alike') {
      parts.onAlike(change.alike);
      for (const folder of change.alike.folders) parts.onFolder(folder);
      continue;
    }
    const path = change.type === 'put' || change.type === 'same' ? change.item.path : change.path;
    if (change.type === 'problem') {
      // What comes with it is judged by itself.
      if (!isBeside(change.problem.code)) {
        settler.forget(path, startedMs);
        results.blind(path);
      }
      await parts.onProblem(path, change.problem);
      continue;
    }
    if (change.type === 'same') parts.onSame(change.item);
    if (change.type !== 'gone' && change.item.stat.kind === 'directory')
      parts.onFolder(change.item);
    if (units.see(change)) {
      if (change.type !== 'same') parts.onWaiting(path);
    } else if (change.type === 'same' && !(settler.isGrowing(path) && isReadAgain(change.known)))
      settler.forget(path, startedMs);
    else if (change.type === 'gone') {
      const go = judge(path, 'gone', undefined);
      if (go !== undefined) yield { type: 'gone', source, path, known: change.known };
    } else {
      const { stat } = change.item;
      const go = judge(
        path,
        `${stat.kind} ${stat.size} ${stat.mtimeNs}`,
        stampOf(ctimeMs(change.item)),
      );
      if (go !== undefined) yield put(go, change);
    }
  }
  units.end();
  for (const { folder, go, seen } of ready) {
    for await (const change of parts.rescan(folder)) {
      if (change.type === 'problem') {
        if (!isBeside(change.problem.code)) results.blind(change.path);
        await parts.onProblem(change.path, change.problem);
      } else if (change.type === 'gone') {
        if (go.completion !== 'growing')
          yield { type: 'gone', source, path: change.path, known: change.known };
      } else if (
        change.type === 'put' ||
        (change.type === 'same' && go.whole && isReadAgain(change.known))
      )
        yield put(go, change);
    }
    results.judged(folder, seen, go.completion);
    parts.onReady(folder, false);
  }
}

/** Everything at once, for a person who asked for it now. */
export async function* immediate(
  changes: AsyncIterable<readonly Change[]>,
  source: Source,
  results: ResultLook,
  on: {
    same: (item: FoundItem) => void;
    alike: (alike: Alike) => void;
    problem: (path: BytePath, problem: Problem) => Promise<void>;
  },
): AsyncGenerator<readonly CaptureTask[], void, void> {
  const units = new FolderUnits((folder, { changed, seen }) => {
    if (changed || results.isOwed(folder)) results.judged(folder, seen.digest(), 'assumed');
  });
  for await (const batch of changes) {
    const tasks: CaptureTask[] = [];
    for (const change of batch) {
      if (change.type !== 'alike' && change.type !== 'problem') units.see(change);
      if (change.type === 'put') {
        const { item, known } = change;
        tasks.push({ type: 'put', source, item, known, completion: 'assumed' });
      } else if (change.type === 'gone')
        tasks.push({ type: 'gone', source, path: change.path, known: change.known });
      else if (change.type === 'problem') {
        if (!isBeside(change.problem.code)) results.blind(change.path);
        await on.problem(change.path, change.problem);
      } else if (change.type === 'alike') on.alike(change.alike);
      else on.same(change.item);
    }
    yield tasks;
  }
  units.end();
}

/**
 * Whether what was captured as it was, and has not changed since, is read whole at its rest. A
 * large one is when it has rested for long.
 */
function isReadAgain(known: KnownFile): boolean {
  return isUnproved(known) && !mayBeContinued(known);
}

function ctimeMs(item: FoundItem): number {
  return Number(item.stat.ctimeNs / 1_000_000n);
}
