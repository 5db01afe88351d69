import type { Completion, ResultEvidence, ResultGrade } from '@aliquot/proto';
import { here } from '@aliquot/shared/settings/where';
import type { Capture, QueueIntake } from '../queue/intake/intake.ts';
import { SeenMembers } from '../queue/intake/results.ts';
import type { Queue } from '../queue/queue.ts';
import {
  type BytePath,
  bytePath,
  isWithin,
  orderOf,
  pathBytes,
  separator,
} from '../source/paths.ts';
import { type CompiledRules, compileRules, excludedFrom } from '../source/rules.ts';
import type { Source } from '../source/source.ts';
import type { Change } from './compare.ts';
import { resultPath } from './scan.ts';
import type { CaptureOutcome } from './task.ts';
import { claimedMs } from './times.ts';

const afterSeparator = String.fromCharCode(separator.charCodeAt(0) + 1);
/** How many results that are owed their row one look takes up; the others are taken by the next. */
const MOST_OWED = 50_000;

/** Nothing but rest says that a folder is complete: no instrument was asked. */
const evidence: ResultEvidence = {
  profile: 'folder',
  profileVersion: '1',
  evidence: '',
  started: '',
  ended: '',
};

/** What a look has seen of one folder result. */
export interface FolderUnit {
  readonly seen: SeenMembers;
  /** Something of it is not as it was captured. */
  changed: boolean;
  /** Some of it is there. */
  found: boolean;
  /** The newest change stamp of a member. */
  newestMs: number;
}

interface OpenUnit extends FolderUnit {
  /** As the disk spells it, if any of it is there. */
  folder: BytePath;
}

/** Folder results as changes come by in the order of a walk: each is told when it is over. */
export class FolderUnits {
  readonly #onEnd: (folder: BytePath, unit: FolderUnit) => void;
  /** By `orderOf` their paths: a member that went may be known under the folder's old case. */
  readonly #open = new Map<string, OpenUnit>();

  constructor(onEnd: (folder: BytePath, unit: FolderUnit) => void) {
    this.#onEnd = onEnd;
  }

  /** The next change, in the order of the walk; whether it is a member of a result. */
  see(change: Extract<Change, { type: 'put' | 'same' | 'gone' }>): boolean {
    const path = change.type === 'gone' ? change.path : change.item.path;
    if (this.#open.size > 0) this.#endBefore(path);
    const length =
      change.type === 'gone' ? change.known.resultPathLength : change.item.resultPathLength;
    if (length === 0) return false;
    const folder = resultPath(path, length);
    const unit = this.#unitOf(folder);
    unit.changed ||= change.type !== 'same';
    if (change.type === 'gone') return true;
    unit.folder = folder;
    const { stat } = change.item;
    unit.found = true;
    unit.newestMs = Math.max(unit.newestMs, Number(stat.ctimeNs / 1_000_000n));
    unit.seen.add(path, stat.kind, stat.size, stat.mtimeNs);
    return true;
  }

  /** The walk is over. */
  end(): void {
    for (const [name, unit] of this.#open) this.#end(name, unit);
  }

  #unitOf(folder: BytePath): OpenUnit {
    const name = orderOf(folder);
    let unit = this.#open.get(name);
    if (unit === undefined) {
      unit = { folder, seen: new SeenMembers(), changed: false, found: false, newestMs: 0 };
      this.#open.set(name, unit);
    }
    return unit;
  }

  #endBefore(path: BytePath): void {
    const order = orderOf(path);
    for (const [name, unit] of this.#open)
      if (order >= name + afterSeparator) this.#end(name, unit);
  }

  #end(name: string, unit: OpenUnit): void {
    this.#open.delete(name);
    this.#onEnd(unit.folder, unit);
  }
}

/** What rows of results need of the queue. */
export type ResultQueue = Pick<Queue, 'results' | 'sync'> & {
  readonly intake: Pick<QueueIntake, 'capture'>;
};

interface Judged {
  readonly seen: string;
  readonly completion: Completion;
}

/**
 * The folder results of one look: what was judged, what could not be read, and at the end their
 * rows, behind everything that the look captured.
 */
export class ResultLook {
  readonly #queue: ResultQueue;
  readonly #source: Source;
  readonly #at: BytePath;
  readonly #rules: CompiledRules;
  /** By `orderOf` their paths. */
  readonly #owed: ReadonlyMap<string, BytePath>;
  readonly #judged = new Map<BytePath, Judged>();
  /** Results of which something could not be seen or captured. */
  readonly #lacking = new Set<BytePath>();
  readonly #captured = new Set<BytePath>();
  /** While a row is to come, a commit of its members waits for it. */
  #coming: Capture | undefined;

  private constructor(
    queue: ResultQueue,
    source: Source,
    at: BytePath,
    owed: ReadonlyMap<string, BytePath>,
  ) {
    this.#queue = queue;
    this.#source = source;
    this.#at = at;
    this.#rules = compileRules(source.rules);
    this.#owed = owed;
  }

  /** Before a look at a source, or at a path in it. */
  static async begin(queue: ResultQueue, source: Source, at: BytePath): Promise<ResultLook> {
    const owed = new Map<string, BytePath>();
    for await (const root of queue.results.owed(pathBytes(at))) {
      const folder = bytePath(root);
      if (isWithin(folder, at)) owed.set(orderOf(folder), folder);
      if (owed.size >= MOST_OWED) break;
    }
    return new ResultLook(queue, source, at, owed);
  }

  /** Those that have to be judged although nothing about them may have changed. */
  get owed(): Iterable<BytePath> {
    return this.#owed.values();
  }

  isOwed(folder: BytePath): boolean {
    return this.#owed.has(orderOf(folder));
  }

  /** A path could not be looked at. */
  blind(path: BytePath): void {
    const folder = this.#rules.resultOf(path, this.#source.root, true);
    if (folder !== undefined) this.#lacking.add(folder);
  }

  /** What became of a file: a member that is not in the queue leaves its result open. */
  ended({ type, task }: CaptureOutcome): void {
    const length = task.type === 'put' ? task.item.resultPathLength : task.known.resultPathLength;
    if (length === 0 || type === 'same') return;
    const path = task.type === 'put' ? task.item.path : task.path;
    (type === 'version' ? this.#captured : this.#lacking).add(resultPath(path, length));
  }

  /** A result is captured at the end of the look, as this was seen of it. */
  judged(folder: BytePath, seen: string, completion: Completion): void {
    // Whoever looked at a part of it, first or once more, cannot say anything of the whole.
    if (!isWithin(folder, this.#at) || this.#judged.has(folder)) return;
    this.#judged.set(folder, { seen, completion });
    this.#coming ??= this.#queue.intake.capture();
  }

  /**
   * After everything is in the queue: writes the rows, and syncs them. Gives those that changed
   * between the look and their capture.
   */
  async write(nowMs: number): Promise<readonly BytePath[]> {
    const again: BytePath[] = [];
    const { sourceId, class: className, root: sourceRoot } = this.#source;
    for (const [folder, { seen, completion }] of this.#judged) {
      const isComplete = completion !== 'growing' && !this.#lacking.has(folder);
      const { differs } = await this.#queue.results.put({
        root: pathBytes(folder),
        below: pathBytes(folder.endsWith(separator) ? folder : folder + separator),
        platform: here,
        sourceId,
        class: className,
        judgedAtMs: claimedMs(nowMs),
        grade: gradeOf(completion),
        seen: isComplete ? seen : undefined,
        evidence,
        isLeftOut: (path) => excludedFrom(this.#rules, bytePath(path), sourceRoot),
      });
      if (differs && this.#captured.has(folder)) again.push(folder);
    }
    const wrote = this.#judged.size > 0;
    this.end();
    if (wrote) await this.#queue.sync();
    return again;
  }

  /** No row is to come any more: after `write`, or instead of it. */
  end(): void {
    this.#judged.clear();
    this.#coming?.abort();
    this.#coming = undefined;
  }
}

/** What is captured while it grows counts as finished not at all. */
function gradeOf(completion: Completion): ResultGrade {
  return completion === 'growing' ? 'interrupted' : completion;
}
