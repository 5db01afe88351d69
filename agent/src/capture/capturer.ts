import type { Content, EntryDraft } from '@aliquot/proto';
import type { Clock } from '@aliquot/shared/ports';
import type { PutEnds, PutVersion } from '../queue/intake/intake.ts';
import type { ContentCache, FileReferences, KnownFiles } from '../queue/ledger/ledger.ts';
import type { KnownStat } from '../queue/log/facts.ts';
import type { Queue } from '../queue/queue.ts';
import { type BytePath, pathBytes } from '../source/paths.ts';
import { streamsProblem } from '../source/problem.ts';
import type { SourceStat } from '../source/source-port.ts';
import { draftOf, foundStat, goneDraft, knownOf, sameVersion } from './drafts.ts';
import { growthFor, isUnproved, mayBeContinued } from './growth.ts';
import type { CaptureHost } from './host.ts';
import {
  type CaptureQueue,
  isFull,
  type VersionSink,
  WindowIntake,
  type WindowOwner,
} from './intake.ts';
import type { Candidate, ReferenceBook } from './references.ts';
import { Runs } from './runs.ts';
import { resultPath } from './scan.ts';
import { CaptureStopped, throwIfStopped } from './stop.ts';
import type { CaptureOutcome, CaptureTask, PutTask } from './task.ts';
import { claimedMs } from './times.ts';
import type { Run, UnderWay } from './under-way.ts';
import type { CapturedFile, CaptureJob, CaptureResult } from './window.ts';

/** A batch consists of whole runs, and ends with the one that gives it as many files or bytes. */
const BATCH_FILES = 320;
const BATCH_BYTES = 64 << 20;

/** The version of a file of which nothing was known. */
interface NewVersion extends PutVersion {
  readonly known: KnownStat;
}

const noContent: Content = { depth: 0, piece: 0, refs: [] };

/** A file to read, and its run: `CaptureJob`. */
interface FileTask {
  readonly task: PutTask;
  readonly run: number;
}

/**
 * A sync holds up what comes next, so one is made for so many files, or bytes of them; and for
 * fewer after a while.
 */
const SYNC_FILES = 2048;
const SYNC_BYTES = 16 << 20;
const SYNC_MS = 500;

/** What carrying tasks into the queue needs of it. */
export interface CapturerQueue extends CaptureQueue, Pick<Queue, 'sync'> {
  readonly ledger: ContentCache & Pick<KnownFiles, 'refresh'>;
  readonly references: Pick<FileReferences, 'lose'>;
}

export interface CapturerParts {
  readonly host: CaptureHost;
  readonly queue: CapturerQueue;
  readonly references: ReferenceBook;
  readonly underWay: UnderWay;
  readonly pathKey: Uint8Array;
  readonly clock: Clock;
}

/**
 * Carries tasks into the queue: reads files through the host, turns what comes back into versions,
 * and syncs from time to time, and at the end. Memory is bounded by one batch of tasks more than
 * the host has threads, and a few windows for each of those. What finds no room in the queue
 * becomes a reference; other errors of the queue end the run.
 */
export class Capturer {
  readonly #host: CaptureHost;
  readonly #queue: CapturerQueue;
  readonly #references: ReferenceBook;
  readonly #underWay: UnderWay;
  readonly #pathKey: Uint8Array;
  readonly #clock: Clock;
  readonly #onOutcome: (outcome: CaptureOutcome) => void | Promise<void>;
  readonly #onRead: (bytesSoFar: number) => void | Promise<void>;
  #syncing: Promise<void> = Promise.resolve();
  #unsynced = { files: 0, bytes: 0, sinceMs: Number.NEGATIVE_INFINITY };
  /** Source bytes read since the start. */
  readBytes = 0;

  constructor(
    parts: CapturerParts,
    onOutcome: (outcome: CaptureOutcome) => void | Promise<void>,
    onRead: (bytesSoFar: number) => void | Promise<void> = () => undefined,
  ) {
    this.#host = parts.host;
    this.#queue = parts.queue;
    this.#references = parts.references;
    this.#underWay = parts.underWay;
    this.#pathKey = parts.pathKey;
    this.#clock = parts.clock;
    this.#onOutcome = onOutcome;
    this.#onRead = onRead;
  }

  /**
   * Resolves when everything is durable in the queue (invariant I-A1). `signal` ends the run within
   * a window of the file at hand: that file, and the ones read with it, are then not recorded, and
   * what was finished before is. Tasks must come by `unlessStopped`.
   */
  async run(tasks: AsyncIterable<readonly CaptureTask[]>, signal?: AbortSignal): Promise<void> {
    try {
      await this.#run(tasks, signal);
    } catch (error) {
      if (!(error instanceof CaptureStopped)) throw error;
    }
    await this.#syncing;
    await this.#queue.sync();
  }

  async #run(
    tasks: AsyncIterable<readonly CaptureTask[]>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const taken = this.#underWay.begin();
    const runs = new Runs();
    let batch: FileTask[] = [];
    let bytes = 0;
    const running: Promise<void>[] = [];
    const turn = async (): Promise<void> => {
      // One more than the host works on: it finds the next batch waiting when it is done with one.
      while (running.length > this.#host.parallel) await running.shift();
      const jobs = batch;
      batch = [];
      bytes = 0;
      const files = this.#files(jobs, taken, signal);
      files.catch(() => undefined); // seen by a later turn, or at the end
      running.push(files);
    };
    const isFullBatch = () => batch.length >= BATCH_FILES || bytes >= BATCH_BYTES;
    try {
      for await (const found of tasks) {
        for (const task of found) {
          throwIfStopped(signal);
          if (task.type === 'gone') await this.#gone(task);
          else if (task.item.stat.kind !== 'file') await this.#withoutContent(task);
          else {
            const { path, stat } = task.item;
            const run = runs.next({ path, size: stat.size, class: task.source.class });
            if (isFullBatch() && batch.at(-1)?.run !== run) await turn();
            batch.push({ task, run });
            taken.add(resultOf(task));
            bytes += stat.size;
            if (isFullBatch() && runs.ended) await turn();
          }
        }
      }
      throwIfStopped(signal);
      await turn();
    } finally {
      // None is left working when this ends; then the first one's error counts.
      await Promise.allSettled(running);
      taken.end();
      await Promise.all(running);
    }
  }

  async #files(
    batch: readonly FileTask[],
    taken: Run,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (batch.length === 0) return;
    const admitted = await this.#references.admit(batch.map(({ task }) => candidate(task)));
    const jobs: CaptureJob[] = [];
    const ended = async (result: CaptureResult, sink: VersionSink | undefined): Promise<void> => {
      const task = batch[result.job]?.task;
      if (task === undefined) return;
      await this.#ended(task, result, sink);
      taken.done(resultOf(task));
    };
    const read = async (bytes: number): Promise<void> => {
      this.readBytes += bytes;
      await this.#onRead(this.readBytes);
    };
    const owner: WindowOwner = {
      endedTogether: (files, put) => {
        const tasks = files.map(({ job }) => batch[job]?.task);
        if (!this.#areSimplyNew(tasks, files)) return undefined;
        const versions = files.map((file, at) => this.#newVersion(tasks[at] as PutTask, file));
        return this.#putNew(tasks, versions, put).then(() => {
          for (const task of tasks) taken.done(resultOf(task));
        });
      },
      classOf: (job) => batch[job]?.task.source.class,
      isNew: (file) => {
        const task = batch[file.job]?.task;
        if (task === undefined) return false;
        return task.known === undefined || !sameVersion(task.known, knownOf(task, file));
      },
      ended,
      read,
    };
    const intake = new WindowIntake(this.#queue, owner, signal);
    // What the cache says stays true while a capture is open (I-A9).
    const guard = this.#queue.intake.capture();
    try {
      for (let job = 0; job < batch.length; job += 1) {
        const { task, run } = batch[job] as FileTask;
        if (admitted[job] === true) {
          const growing = task.completion === 'growing';
          const { path, stat } = task.item;
          const plain = { job, path, size: stat.size, run, growing };
          jobs.push(mayHaveGrown(task) ? { ...plain, ...(await this.#growth(task)) } : plain);
        } else {
          await this.#full(task, task.item.stat);
          taken.done(resultOf(task));
        }
      }
      if (jobs.length > 0) await this.#host.capture(jobs, intake);
    } finally {
      intake.abandon();
      guard.abort();
    }
    const bytes = batch.reduce((sum, { task }) => sum + task.item.stat.size, 0);
    if (!this.#isSyncDue(batch.length, bytes)) return;
    // The next batch is read while this one reaches the disk; one sync at a time.
    const before = this.#syncing;
    this.#syncing = before.then(() => this.#queue.sync());
    this.#syncing.catch(() => undefined); // seen by the next batch, or at the end
    await before;
  }

  /**
   * Whether what was captured since the last sync is so much, or so old, that it has to be safe.
   */
  #isSyncDue(files: number, bytes: number): boolean {
    const unsynced = this.#unsynced;
    unsynced.files += files;
    unsynced.bytes += bytes;
    const nowMs = this.#clock.nowMs();
    if (
      unsynced.files < SYNC_FILES &&
      unsynced.bytes < SYNC_BYTES &&
      Math.abs(nowMs - unsynced.sinceMs) < SYNC_MS
    )
      return false;
    this.#unsynced = { files: 0, bytes: 0, sinceMs: nowMs };
    return true;
  }

  /** What is known of a large file that may have grown, or that was captured while it did. */
  async #growth({ known, item, completion, whole }: PutTask): Promise<Pick<CaptureJob, 'growth'>> {
    if (known === undefined) return {};
    const state = await this.#queue.ledger.growthOf(known.path);
    const growth =
      state === undefined
        ? undefined
        : growthFor(known, item.stat, state, this.#clock.nowMs(), whole);
    if (growth === undefined) return {};
    // What does not hold still has no whole that an earlier part could be compared with.
    if (completion === 'growing') return growth.whole ? {} : { growth };
    return { growth };
  }

  /** Whether nothing is to be said of these files but that there is a version of each. */
  #areSimplyNew(
    tasks: readonly (PutTask | undefined)[],
    files: readonly CapturedFile[],
  ): tasks is readonly PutTask[] {
    return (
      this.#references.files === 0 &&
      tasks.every((task) => task !== undefined && task.known === undefined) &&
      files.every(({ stat, sha256 }) => stat.streams === undefined && sha256.length > 0)
    );
  }

  #newVersion(task: PutTask, file: CapturedFile): NewVersion {
    const known = knownOf(task, file);
    return { draft: this.#fileDraft(task, file, known), known };
  }

  async #putNew(
    tasks: readonly PutTask[],
    versions: readonly NewVersion[],
    put: (versions: readonly PutVersion[]) => Promise<PutEnds>,
  ): Promise<void> {
    const ends = await put(versions);
    for (let at = 0; at < tasks.length; at += 1) {
      const task = tasks[at] as PutTask;
      const { known } = versions[at] as NewVersion;
      const error = ends[at];
      if (error === undefined) {
        const told = this.#onOutcome({ type: 'version', task, size: known.size });
        if (told !== undefined) await told;
      } else if (isFull(error)) await this.#full(task, known);
      else throw error;
    }
  }

  #fileDraft(task: PutTask, file: CapturedFile, known: KnownStat): EntryDraft {
    const { sha256, content, keys } = file;
    return draftOf(this.#pathKey, task, known, content, { sha256, keys });
  }

  async #ended(task: PutTask, result: CaptureResult, sink: VersionSink | undefined): Promise<void> {
    const { path } = task.item;
    if (result.type === 'problem')
      return this.#onOutcome({ type: 'problem', task, path, problem: result.problem });
    if (result.type === 'vanished') return this.#onOutcome({ type: 'vanished', task, path });
    const { stat } = result;
    if (result.type === 'refused') return this.#full(task, stat);
    const known = knownOf(task, result);
    const before = task.known;
    if (before !== undefined && sameVersion(before, known)) {
      sink?.abort();
      await this.#queue.ledger.refresh({
        ...before,
        ...known,
        resultPathLength: before.resultPathLength,
      });
      await this.#references.settled(known.path, known.size, known.mtimeNs);
      return this.#onOutcome({ type: 'same', task, size: stat.size });
    }
    const draft = this.#fileDraft(task, result, known);
    if (this.#references.files > 0)
      await this.#references.captures(known.path, known.size, known.mtimeNs);
    // What was captured while it grew mixes two states, perhaps: that is said before the whole one
    // takes its place (P6).
    if (result.oldPart === 'changed' && before !== undefined && isUnproved(before))
      await this.#queue.references.lose(known.path, 'growing-torn');
    try {
      const into = sink ?? this.#queue.intake.capture(task.source.class);
      if (result.growth !== undefined) into.keepGrowth(result.growth);
      await into.putVersion(draft, known);
    } catch (error) {
      if (!isFull(error)) throw error;
      return this.#full(task, stat);
    }
    const beside = stat.streams === undefined ? {} : { beside: streamsProblem(stat.streams) };
    await this.#onOutcome({ type: 'version', task, size: stat.size, ...beside });
  }

  async #full(
    task: PutTask,
    { size, mtimeNs }: Pick<SourceStat, 'size' | 'mtimeNs'>,
  ): Promise<void> {
    const { path, resultPathLength } = task.item;
    await this.#references.refer({
      path: pathBytes(path),
      size,
      mtimeNs,
      class: task.source.class,
      resultPathLength,
    });
    await this.#onOutcome({ type: 'full', task, path });
  }

  async #withoutContent(task: PutTask): Promise<void> {
    const known = foundStat(task, 0, claimedMs(this.#clock.nowMs()));
    const draft = draftOf(this.#pathKey, task, known, noContent, undefined);
    try {
      await this.#queue.intake.capture(task.source.class).putVersion(draft, known);
    } catch (error) {
      if (!isFull(error)) throw error;
      return this.#full(task, { size: 0, mtimeNs: known.mtimeNs });
    }
    await this.#onOutcome({ type: 'version', task, size: 0 });
  }

  async #gone(task: Extract<CaptureTask, { type: 'gone' }>): Promise<void> {
    const draft = goneDraft(this.#pathKey, task, claimedMs(this.#clock.nowMs()));
    await this.#references.gone(draft.list.path);
    await this.#queue.intake.capture(task.source.class).putVersion(draft, undefined);
    await this.#onOutcome({ type: 'version', task, size: 0 });
  }
}

function mayHaveGrown({ known }: PutTask): boolean {
  return known?.kind === 'file' && mayBeContinued(known);
}

function resultOf({ item }: PutTask): BytePath {
  return resultPath(item.path, item.resultPathLength);
}

function candidate({ item, known, source }: PutTask): Candidate {
  const { size, mtimeNs } = item.stat;
  const knownSize = known?.kind === 'file' ? known.size : 0;
  return { path: item.path, class: source.class, size, mtimeNs, knownSize };
}
