import type { Clock } from '@aliquot/shared/ports';
import { Capturer, type CapturerQueue } from '../capture/capturer.ts';
import type { FoundItem } from '../capture/comparison.ts';
import type { CaptureHost } from '../capture/host.ts';
import type { ProblemBook } from '../capture/problem-book.ts';
import type { ReferenceBook } from '../capture/references.ts';
import { ResultLook, type ResultQueue } from '../capture/results.ts';
import { type Look, resultPath, scan } from '../capture/scan.ts';
import { unlessStopped } from '../capture/stop.ts';
import type { CaptureTask } from '../capture/task.ts';
import type { UnderWay } from '../capture/under-way.ts';
import type { KnownFiles } from '../queue/ledger/ledger.ts';
import type { Excluded } from '../source/excludes.ts';
import { type BytePath, bytePath, isWithin, pathBytes } from '../source/paths.ts';
import type { PlaceBook } from '../source/places.ts';
import { unsettledProblem } from '../source/problem.ts';
import { quietTime } from '../source/proof.ts';
import { type CompiledRules, compileRules, excludedFrom } from '../source/rules.ts';
import type { Source } from '../source/source.ts';
import { type GateParts, settled } from './gate.ts';
import { Settler } from './settle.ts';
import { addTally, countAlike, countOutcome, countSame, newTally, type Tally } from './tally.ts';

export interface SourceWatchParts {
  readonly host: CaptureHost;
  readonly queue: CapturerQueue & ResultQueue & { readonly ledger: KnownFiles };
  readonly problems: ProblemBook;
  readonly references: ReferenceBook;
  readonly places: PlaceBook;
  readonly underWay: UnderWay;
  readonly pathKey: Uint8Array;
  readonly clock: Clock;
  readonly trustStamps: boolean;
}

/** What became of the looks that were due. */
export interface Looked {
  readonly tally: Tally;
  /** Whether there were any. */
  readonly looked: boolean;
  /** Too much was waiting, so a whole scan is due. */
  readonly rescan: boolean;
}

/**
 * One watched folder: what is in the making there, and the looks that decide what is captured.
 * Knows no timers and no events.
 */
export class SourceWatch {
  readonly #parts: SourceWatchParts;
  #source: Source;
  #rules: CompiledRules;
  readonly #settler: Settler;
  /** Folder results that a look found complete, and whose members it has not taken up yet. */
  readonly #ready = new Set<BytePath>();
  /** What the exclude patterns took in the last scan; undefined before the first. */
  excluded: Excluded | undefined;
  /** Folders to look at once more. */
  readonly #again = new Set<BytePath>();

  constructor(source: Source, parts: SourceWatchParts) {
    this.#source = source;
    this.#parts = parts;
    this.#rules = compileRules(source.rules);
    this.#settler = new Settler(source.proof ?? quietTime(0), source.patience);
  }

  get source(): Source {
    return this.#source;
  }

  /** The same root, seen again: with other rules, or another trouble. */
  update(source: Source): void {
    this.#source = source;
    this.#rules = compileRules(source.rules);
  }

  /** Something happened at a path, an event says. */
  touch(path: BytePath): void {
    // By the name of a link only the link itself is captured.
    if (this.source.isLink === true && path !== this.source.root) return;
    if (!isWithin(path, this.source.root) || this.leavesOut(path)) return;
    // Taking the path for a folder costs nothing if it is a file: its own name is its result either
    // way.
    const result = this.#rules.resultOf(path, this.source.root, true) ?? path;
    this.#settler.touch(result, this.#parts.clock.nowMs());
  }

  /** Folder results that are owed their row are looked at once more, without waiting for a scan. */
  async touchOwed(): Promise<void> {
    for await (const root of this.#parts.queue.results.owed(pathBytes(this.source.root)))
      this.touch(bytePath(root));
  }

  /** Whether a path below the root is not captured, by itself or for a folder above it. */
  leavesOut(path: BytePath): boolean {
    return excludedFrom(this.#rules, path, this.source.root);
  }

  /**
   * What is in a folder may have changed before its events came: it is looked at at the next
   * occasion.
   */
  lookAgain(folder: BytePath): void {
    this.#again.add(folder);
  }

  /**
   * Which folder the root is just now; undefined while it is not there. Another one needs another
   * subscription.
   */
  async rootIdentity(): Promise<string | undefined> {
    const seen = await this.#parts.host.look(this.source.root);
    return typeof seen === 'string' ? undefined : `${seen.dev}:${seen.ino}`;
  }

  /** When something here should be looked at. */
  nextMs(): number | undefined {
    return this.#again.size > 0 ? Number.NEGATIVE_INFINITY : this.#settler.nextMs();
  }

  /** Results in the making. A plain folder that only waits for its own new time does not count. */
  *settling(): Generator<BytePath, void, void> {
    for (const [path, fingerprint] of this.#settler.entries())
      if (fingerprint?.startsWith('directory ') !== true) yield path;
  }

  /** Folder results that are captured next. */
  ready(): Iterable<BytePath> {
    return this.#ready;
  }

  /** Results in the making for which there was no place to remember them; counted only. */
  get unlisted(): number {
    return this.#settler.beyond;
  }

  /** Since when the longest of them has been in the making. */
  get settlingSinceMs(): number | undefined {
    return this.#settler.firstMs();
  }

  get settlingCount(): number {
    return this.#settler.size;
  }

  /** Scans everything and captures what has settled. */
  scanAll(signal: AbortSignal, onFolder?: (folder: FoundItem) => void): Promise<Tally> {
    this.#settler.scanBegins();
    return this.#look(this.source.root, signal, onFolder);
  }

  /** Looks at what is due, and captures what has settled. */
  async lookDue(signal: AbortSignal, onFolder?: (folder: FoundItem) => void): Promise<Looked> {
    const { clock } = this.#parts;
    const total = newTally();
    let looked = false;
    for (const folder of this.#takeAgain()) {
      if (signal.aborted) break;
      looked = true;
      addTally(total, await this.#look(folder, signal, onFolder));
    }
    const rescan = this.#settler.takeRescan(clock.nowMs());
    if (!rescan) {
      for (const path of this.#settler.due(clock.nowMs())) {
        if (signal.aborted) break;
        looked = true;
        const now = clock.nowMs();
        addTally(total, await this.#look(path, signal, onFolder));
        this.#settler.looked(path, now);
      }
    }
    return { tally: total, looked, rescan };
  }

  /** Leaves out what lies below the folder before it, whose look sees it too. */
  #takeAgain(): BytePath[] {
    const folders: BytePath[] = [];
    for (const folder of [...this.#again].sort()) {
      const before = folders.at(-1);
      if (before === undefined || !isWithin(folder, before)) folders.push(folder);
    }
    this.#again.clear();
    return folders;
  }

  async #look(
    at: BytePath,
    signal: AbortSignal,
    onFolder: (folder: FoundItem) => void = () => undefined,
  ): Promise<Tally> {
    const { host, queue, problems, references, underWay, pathKey, clock, trustStamps } =
      this.#parts;
    const tally = newTally();
    const sweep = problems.sweep(at);
    const unsettled = new Map<BytePath, number>();
    const results = await ResultLook.begin(queue, this.source, at);
    const capturer = new Capturer(
      { host, queue, references, underWay, pathKey, clock },
      async (outcome) => {
        results.ended(outcome);
        // It moved between the look and the read: look again soon.
        if (outcome.type === 'vanished') this.touch(outcome.path);
        if (outcome.type === 'version') {
          await problems.captured(pathOf(outcome.task));
          if (outcome.beside !== undefined)
            await problems.set(pathOf(outcome.task), outcome.beside);
        }
        if (outcome.type === 'problem') {
          // What is still being written may well be locked as long: that is a problem when it
          // should have been done.
          if (isGrowing(outcome.task) && !unsettled.has(resultOf(outcome.task))) return;
          if (outcome.problem.code === 'changing') this.touch(outcome.path);
          await problems.set(outcome.path, outcome.problem);
        }
        countOutcome(tally, outcome);
      },
    );
    const parts: GateParts = {
      source: this.source,
      settler: this.#settler,
      results,
      nowMs: () => clock.nowMs(),
      trustStamps,
      onSame: (item) => {
        countSame(tally, item);
        // Only a capture looks for them.
        if (problems.codeOf(item.path) === 'streams') sweep.keep(item.path);
      },
      onAlike: (alike) => countAlike(tally, alike),
      onWaiting: (path) => sweep.keep(path),
      onUnsettled: (path, sinceMs) => void unsettled.set(path, sinceMs),
      onReady: (folder, isReady) =>
        void (isReady ? this.#ready.add(folder) : this.#ready.delete(folder)),
      onFolder,
      onProblem: async (path, problem) => {
        tally.failed += 1;
        await problems.set(path, problem);
      },
      rescan: (folder) => unlessStopped(scan(this.#lookAt(folder)), signal),
    };
    const onExcluded = (excluded: Excluded): void => {
      this.excluded = excluded;
    };
    // A look at one result is short; a scan must not tell of a million files that are as they were.
    const whole = { onExcluded, wanted: [...this.#wanted(), ...results.owed] };
    const look = { ...this.#lookAt(at), ...(at === this.source.root ? whole : {}) };
    try {
      await capturer.run(settled(unlessStopped(scan(look), signal), parts), signal);
      const again = signal.aborted ? [] : await results.write(clock.nowMs());
      for (const folder of again) this.touch(folder);
    } finally {
      results.end();
      this.#ready.clear();
    }
    // After the run: a version that was captured as it is ended the problem of its path.
    for (const [path, sinceMs] of unsettled)
      if (problems.codeOf(path) === undefined)
        await problems.set(path, unsettledProblem(), sinceMs);
    if (!signal.aborted) await sweep.finish();
    return tally;
  }

  /** Of what this must hear although it is as it was captured: `onSame`, and the settler's. */
  #wanted(): readonly BytePath[] {
    const wanted = this.#parts.problems.pathsWith('streams').slice();
    for (const [path] of this.#settler.entries()) wanted.push(path);
    return wanted;
  }

  #lookAt(at: BytePath): Look {
    const { host, queue, places, clock } = this.#parts;
    return { host, queue, places, source: this.source, nowMs: clock.nowMs(), at };
  }
}

function pathOf(task: CaptureTask): BytePath {
  return task.type === 'put' ? task.item.path : task.path;
}

function resultOf(task: CaptureTask): BytePath {
  const length = task.type === 'put' ? task.item.resultPathLength : task.known.resultPathLength;
  return resultPath(pathOf(task), length);
}

function isGrowing(task: CaptureTask): boolean {
  return task.type === 'put' && task.completion === 'growing';
}
