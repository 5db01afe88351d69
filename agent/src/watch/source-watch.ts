import type { Clock } from '@aliquot/shared/ports';
import { Capturer } from '../capture/capturer.ts';
import type { CaptureHost } from '../capture/host.ts';
import { type BytePath, isWithin } from '../capture/paths.ts';
import type { ProblemBook } from '../capture/problem-book.ts';
import type { ReferenceBook } from '../capture/references.ts';
import { type CompiledRules, compileRules, excludedFrom } from '../capture/rules.ts';
import { scan } from '../capture/scan.ts';
import type { Source } from '../capture/source.ts';
import { unlessStopped } from '../capture/stop.ts';
import type { Queue } from '../queue/queue.ts';
import { type GateParts, settled } from './gate.ts';
import { quietTime } from './proof.ts';
import { Settler } from './settle.ts';
import { addTally, countOutcome, countSame, newTally, type Tally } from './tally.ts';

export interface SourceWatchParts {
  readonly host: CaptureHost;
  readonly queue: Queue;
  readonly problems: ProblemBook;
  readonly references: ReferenceBook;
  readonly pathKey: Uint8Array;
  readonly clock: Clock;
  readonly trustStamps: boolean;
}

/** One watched folder: what is in the making there, and the looks that decide what is captured. Knows no timers and no events. */
export class SourceWatch {
  readonly source: Source;
  readonly #parts: SourceWatchParts;
  readonly #rules: CompiledRules;
  readonly #settler: Settler;

  constructor(source: Source, parts: SourceWatchParts) {
    this.source = source;
    this.#parts = parts;
    this.#rules = compileRules(source.rules);
    this.#settler = new Settler(source.proof ?? quietTime(0));
  }

  /** Something happened at a path, an event says. */
  touch(path: BytePath): void {
    if (!isWithin(path, this.source.root) || excludedFrom(this.#rules, path, this.source.root)) return;
    // Taking the path for a folder costs nothing if it is a file: its own name is its result either way.
    const result = this.#rules.resultOf(path, this.source.root, true) ?? path;
    this.#settler.touch(result, this.#parts.clock.nowMs());
  }

  /** Which folder the root is just now; undefined while it is not there. Another one needs another subscription. */
  async rootIdentity(): Promise<string | undefined> {
    const seen = await this.#parts.host.look(this.source.root);
    return typeof seen === 'string' ? undefined : `${seen.dev}:${seen.ino}`;
  }

  /** When something here should be looked at. */
  nextMs(): number | undefined {
    return this.#settler.nextMs();
  }

  /** Results in the making. A plain folder that waits for its own new time is none. */
  *settling(): Generator<BytePath, void, void> {
    for (const [path, fingerprint] of this.#settler.entries()) if (fingerprint?.startsWith('directory ') !== true) yield path;
  }

  get settlingCount(): number {
    return this.#settler.size;
  }

  /** Scans everything and captures what has settled. */
  scanAll(signal: AbortSignal): Promise<Tally> {
    return this.#look(this.source.root, signal);
  }

  /** Looks at what is due, and captures what has settled. `rescan`: too much was waiting, so a whole scan is due. */
  async lookDue(signal: AbortSignal): Promise<{ readonly tally: Tally; readonly rescan: boolean }> {
    const { clock } = this.#parts;
    const total = newTally();
    const rescan = this.#settler.takeRescan(clock.nowMs());
    if (!rescan) {
      for (const path of this.#settler.due(clock.nowMs())) {
        if (signal.aborted) break;
        const now = clock.nowMs();
        addTally(total, await this.#look(path, signal));
        this.#settler.looked(path, now);
      }
    }
    return { tally: total, rescan };
  }

  async #look(at: BytePath, signal: AbortSignal): Promise<Tally> {
    const { host, queue, problems, references, pathKey, clock, trustStamps } = this.#parts;
    const tally = newTally();
    const sweep = problems.sweep(at);
    const capturer = new Capturer({ host, queue, references, pathKey, clock }, async (outcome) => {
      countOutcome(tally, outcome);
      if (outcome.type === 'problem') await problems.set(outcome.path, outcome.problem);
      // It moved between the look and the read: look again soon.
      if (outcome.type === 'vanished') this.touch(outcome.path);
      if (outcome.type === 'problem' && outcome.problem.code === 'changing') this.touch(outcome.path);
    });
    const parts: GateParts = {
      source: this.source,
      settler: this.#settler,
      nowMs: () => clock.nowMs(),
      trustStamps,
      onSame: (item) => countSame(tally, item),
      onWaiting: (path) => sweep.keep(path),
      onProblem: async (path, problem) => {
        tally.failed += 1;
        await problems.set(path, problem);
      },
      rescan: (folder) => unlessStopped(scan(host, queue, this.source, clock.nowMs(), folder), signal),
    };
    await capturer.run(settled(unlessStopped(scan(host, queue, this.source, clock.nowMs(), at), signal), parts), signal);
    if (!signal.aborted) await sweep.finish();
    return tally;
  }
}
