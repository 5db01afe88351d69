import type { Completion, EntryDraft } from '@aliquot/proto';
import { fileIdFor } from '@aliquot/shared/keys/derive';
import type { Clock } from '@aliquot/shared/ports';
import type {
  ContentCache,
  FileReferences,
  KnownFile,
  KnownFiles,
} from '../queue/ledger/ledger.ts';
import type { KnownStat } from '../queue/log/facts.ts';
import { contentTag } from '../queue/log/payloads.ts';
import type { Queue } from '../queue/queue.ts';
import { type BytePath, pathBytes, separator } from '../source/paths.ts';
import { type Problem, streamsProblem } from '../source/problem.ts';
import type { Source } from '../source/source.ts';
import type { SourceStat } from '../source/source-port.ts';
import type { FoundItem } from './comparison.ts';
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
import { resultPath } from './scan.ts';
import { CaptureStopped, throwIfStopped } from './stop.ts';
import { claimedMs } from './times.ts';
import type { Run, UnderWay } from './under-way.ts';
import type { CapturedFile, CaptureJob, CaptureResult } from './window.ts';

/** Something to record: a new state of a path, or that it is gone. */
export type CaptureTask =
  | {
      readonly type: 'put';
      readonly source: Source;
      readonly item: FoundItem;
      readonly known: KnownFile | undefined;
      /** `growing`: as it is, for it does not hold still. Only files grow. */
      readonly completion: Completion;
      /** It was captured as it was, and rests now: it is read whole as soon as that is cheap. */
      readonly whole?: boolean;
    }
  | {
      readonly type: 'gone';
      readonly source: Source;
      readonly path: BytePath;
      readonly known: KnownFile;
    };

/** How a task ended, for counting and for telling people. */
export type CaptureOutcome =
  /** A new version is in the queue (durable with the next sync). */
  | {
      readonly type: 'version';
      readonly task: CaptureTask;
      readonly size: number;
      readonly beside?: Problem;
    }
  /** Read again and found the same; only the stamps were noted. */
  | { readonly type: 'same'; readonly task: CaptureTask; readonly size: number }
  | {
      readonly type: 'problem';
      readonly task: CaptureTask;
      readonly path: BytePath;
      readonly problem: Problem;
    }
  | { readonly type: 'vanished'; readonly task: CaptureTask; readonly path: BytePath }
  /**
   * The queue has no room for it: it is only at its source, and a durable reference says so (P6).
   */
  | { readonly type: 'full'; readonly task: CaptureTask; readonly path: BytePath };

type PutTask = Extract<CaptureTask, { type: 'put' }>;

const BATCH_BYTES = 64 << 20;
const platform = process.platform === 'win32' ? 'windows' : 'posix';
const noTag = new Uint8Array(32);
const noBytes = new Uint8Array(0);

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
 * and syncs after each batch. Memory is bounded by one batch of tasks more than the host has
 * threads, and a few windows for each of those. What finds no room in the queue becomes a
 * reference; other errors of the queue end the run.
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
  async run(tasks: AsyncIterable<CaptureTask>, signal?: AbortSignal): Promise<void> {
    try {
      await this.#run(tasks, signal);
    } catch (error) {
      if (!(error instanceof CaptureStopped)) throw error;
    }
    await this.#syncing;
    await this.#queue.sync();
  }

  async #run(tasks: AsyncIterable<CaptureTask>, signal: AbortSignal | undefined): Promise<void> {
    const taken = this.#underWay.begin();
    let batch: PutTask[] = [];
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
    try {
      for await (const task of tasks) {
        throwIfStopped(signal);
        if (task.type === 'gone') await this.#gone(task);
        else if (task.item.stat.kind !== 'file') await this.#withoutContent(task);
        else {
          // What waits together expires together: no slab holds files of two classes.
          if (batch[0] !== undefined && batch[0].source.class !== task.source.class) await turn();
          batch.push(task);
          taken.add(resultOf(task));
          bytes += task.item.stat.size;
          if (endsRun(batch.length, task.item.path) || bytes >= BATCH_BYTES) await turn();
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
    tasks: readonly PutTask[],
    taken: Run,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (tasks.length === 0) return;
    const admitted = await this.#references.admit(tasks.map(candidate));
    const jobs: CaptureJob[] = [];
    const ended = async (result: CaptureResult, sink: VersionSink | undefined): Promise<void> => {
      const task = tasks[result.job];
      if (task === undefined) return;
      await this.#ended(task, result, sink);
      taken.done(resultOf(task));
    };
    const read = async (bytes: number): Promise<void> => {
      this.readBytes += bytes;
      await this.#onRead(this.readBytes);
    };
    const owner: WindowOwner = {
      classOf: (job) => tasks[job]?.source.class,
      isNew: (file) => {
        const task = tasks[file.job];
        if (task === undefined) return false;
        return task.known === undefined || !sameVersion(task.known, this.#knownOf(task, file));
      },
      ended,
      read,
    };
    const intake = new WindowIntake(this.#queue, owner, signal);
    // What the cache says stays true while a capture is open (I-A9).
    const guard = this.#queue.intake.capture();
    try {
      for (const [job, task] of tasks.entries()) {
        if (admitted[job] === true)
          jobs.push({
            job,
            path: task.item.path,
            growing: task.completion === 'growing',
            ...(mayHaveGrown(task) ? await this.#growth(task) : {}),
          });
        else {
          await this.#full(task, task.item.stat);
          taken.done(resultOf(task));
        }
      }
      if (jobs.length > 0) await this.#host.capture(jobs, intake);
    } finally {
      intake.abandon();
      guard.abort();
    }
    // The next batch is read while this one reaches the disk; one sync at a time.
    const before = this.#syncing;
    this.#syncing = before.then(() => this.#queue.sync());
    this.#syncing.catch(() => undefined); // seen by the next batch, or at the end
    await before;
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

  /** What is known of a file as it was read. */
  #knownOf(task: PutTask, { stat, sha256, startedMs }: CapturedFile): KnownStat {
    return {
      ...this.#stat(task, stat.size, claimedMs(startedMs)),
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
      ino: stat.ino,
      mode: stat.mode,
      contentTag: sha256.length > 0 ? contentTag(sha256) : noTag,
    };
  }

  async #ended(task: PutTask, result: CaptureResult, sink: VersionSink | undefined): Promise<void> {
    const { path } = task.item;
    if (result.type === 'problem')
      return this.#onOutcome({ type: 'problem', task, path, problem: result.problem });
    if (result.type === 'vanished') return this.#onOutcome({ type: 'vanished', task, path });
    const { stat } = result;
    if (result.type === 'refused') return this.#full(task, stat);
    const isWhole = result.sha256.length > 0;
    const known = this.#knownOf(task, result);
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
    const draft: EntryDraft = {
      ...this.#draft(task, known),
      completion: isWhole
        ? task.completion === 'growing'
          ? 'assumed'
          : task.completion
        : 'growing',
      size: stat.size,
      content: result.content,
      read: { sha256: result.sha256, keys: result.keys },
    };
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
    const known = this.#stat(task, 0, claimedMs(this.#clock.nowMs()));
    const draft: EntryDraft = {
      ...this.#draft(task, known),
      size: 0,
      content: { depth: 0, piece: 0, refs: [] },
      read: undefined,
    };
    try {
      await this.#queue.intake.capture(task.source.class).putVersion(draft, known);
    } catch (error) {
      if (!isFull(error)) throw error;
      return this.#full(task, { size: 0, mtimeNs: known.mtimeNs });
    }
    await this.#onOutcome({ type: 'version', task, size: 0 });
  }

  async #gone(task: Extract<CaptureTask, { type: 'gone' }>): Promise<void> {
    const path = pathBytes(task.path);
    const draft: EntryDraft = {
      kind: 'gone',
      sourceId: task.source.sourceId,
      class: task.source.class,
      fileId: fileIdFor(this.#pathKey, path),
      size: 0,
      capturedAtMs: claimedMs(this.#clock.nowMs()),
      completion: 'assumed',
      content: { depth: 0, piece: 0, refs: [] },
      resultId: undefined,
      list: {
        platform,
        path,
        resultPathLength: task.known.resultPathLength,
        mtimeNs: task.known.mtimeNs,
        mode: 0,
        attributes: 0,
        linkTarget: noBytes,
      },
      read: undefined,
    };
    await this.#references.gone(path);
    await this.#queue.intake.capture(task.source.class).putVersion(draft, undefined);
    await this.#onOutcome({ type: 'version', task, size: 0 });
  }

  #stat({ item }: PutTask, size: number, capturedAtMs: number): KnownStat {
    const { stat, resultPathLength } = item;
    const { mtimeNs, ctimeNs, ino, mode } = stat;
    const kind =
      stat.kind === 'directory' ? 'directory' : stat.kind === 'symlink' ? 'symlink' : 'file';
    return {
      path: pathBytes(item.path),
      kind,
      size,
      mtimeNs,
      ctimeNs,
      ino,
      mode,
      contentTag: noTag,
      capturedAtMs,
      resultPathLength,
    };
  }

  #draft(
    { source, item, completion }: PutTask,
    known: KnownStat,
  ): Omit<EntryDraft, 'size' | 'content' | 'read'> {
    return {
      kind: known.kind,
      sourceId: source.sourceId,
      class: source.class,
      fileId: fileIdFor(this.#pathKey, known.path),
      capturedAtMs: known.capturedAtMs,
      completion,
      resultId: undefined,
      list: {
        platform,
        path: known.path,
        resultPathLength: known.resultPathLength,
        mtimeNs: known.mtimeNs,
        mode: platform === 'posix' ? known.mode : 0,
        attributes: platform === 'posix' ? 0 : known.mode,
        linkTarget: Buffer.from(item.linkTarget, 'latin1'),
      },
    };
  }
}

function mayHaveGrown({ known }: PutTask): boolean {
  return known?.kind === 'file' && mayBeContinued(known);
}

/** A run of files has as many at least, and … */
const RUN_FILES = 512;
/** … at most; after the least of them, one name in so many ends it. */
const MOST_RUN_FILES = 1024;
const RUN_ENDS_ONE_OF = 128;

/**
 * Whether what is captured together ends behind this file. Decided by its name, as far as possible:
 * a slab ends where a run does, and so the same folders on another PC, or with more or fewer files
 * in them, soon give the same runs again, and the same slabs.
 */
function endsRun(files: number, path: BytePath): boolean {
  if (files < RUN_FILES) return false;
  if (files >= MOST_RUN_FILES) return true;
  // FNV-1a (Fowler, Noll, Vo), 32 bits.
  let hash = 0x811c9dc5;
  for (let at = path.lastIndexOf(separator) + 1; at < path.length; at += 1)
    hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % RUN_ENDS_ONE_OF === 0;
}

function resultOf({ item }: PutTask): BytePath {
  return resultPath(item.path, item.resultPathLength);
}

function candidate({ item, known, source }: PutTask): Candidate {
  const { size, mtimeNs } = item.stat;
  const knownSize = known?.kind === 'file' ? known.size : 0;
  return { path: pathBytes(item.path), class: source.class, size, mtimeNs, knownSize };
}

/**
 * Whether a new version would say nothing new: content, name and everything that a restore brings
 * back are the same.
 */
function sameVersion(before: KnownFile, now: KnownStat): boolean {
  return (
    before.kind === now.kind &&
    before.size === now.size &&
    before.mtimeNs === now.mtimeNs &&
    before.mode === now.mode &&
    Buffer.compare(before.contentTag, now.contentTag) === 0
  );
}
