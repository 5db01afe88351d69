import { createHash } from 'node:crypto';

/**
 * What the soak itself knows of what instruments wrote: every state of every file, and which of
 * them Aliquot has to be able to give back. It shares nothing with the programs that it judges.
 */

/** What `writeFile` and `appendFile` of Node write with one call. */
const WRITTEN_AT_ONCE = 512 * 1024;

interface State {
  readonly sha256: string;
  readonly size: number;
  /** It was told as captured, or it is what lies on the disk at the end. */
  required: boolean;
  /** When somebody was about to change or delete it, at the latest; by the collector's clock. */
  leftAtMs?: number;
  /** Another state came after it: then a rule may let it go. */
  isReplaced?: boolean;
}

/**
 * A result: one file, or a folder whose files belong together. `status` speaks of it by its path
 * and its bytes.
 */
export interface FinishedResult {
  readonly path: string;
  readonly files: readonly string[];
  /** Finished, and since then not touched. */
  finished: boolean;
  /** The finished state was told as captured. */
  told: boolean;
}

export class Record {
  readonly #states = new Map<string, State[]>();
  /** What files were for a moment, while they were written, by path. */
  readonly #passing = new Map<string, Set<string>>();
  readonly #results = new Map<string, FinishedResult>();
  #toldStates = 0;
  readonly #nowMs: () => number;
  /** What was left before that may have been collected. */
  #collectedMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs The collector's true time; only collections need it. */
  constructor(nowMs: () => number = () => 0) {
    this.#nowMs = nowMs;
  }

  /** A collection begins, in which goes what was replaced longer ago than this. */
  collects(keptMs: number): void {
    this.#collectedMs = Math.max(this.#collectedMs, this.#nowMs() - keptMs);
  }

  /**
   * One more state of a file, before it is on the disk. Sizes of one file's states must all differ.
   */
  wrote(path: string, content: Buffer): void {
    const states = this.#states.get(path) ?? [];
    const before = states.at(-1);
    if (before !== undefined) {
      before.leftAtMs ??= this.#nowMs();
      before.isReplaced = true;
    }
    states.push({ sha256: sha256Of(content), size: content.length, required: false });
    this.#states.set(path, states);
  }

  /**
   * What a file is on its way to `content`, from its first `from` bytes on: Node writes so many
   * bytes at a time, and a writer may be kept waiting in between for longer than the quiet time.
   * Such a state may come back and need not.
   */
  passes(path: string, content: Buffer, from: number): void {
    const passing = this.#passing.get(path) ?? new Set();
    this.#passing.set(path, passing);
    for (let end = from; end < content.length; end += WRITTEN_AT_ONCE)
      passing.add(sha256Of(content.subarray(0, end)));
  }

  /** Whether a file had this size before: then `status` could not tell the states apart. */
  hadSize(path: string, size: number): boolean {
    return (this.#states.get(path) ?? []).some((state) => state.size === size);
  }

  begin(path: string, files: readonly string[]): FinishedResult {
    const result = { path, files, finished: false, told: false };
    this.#results.set(path, result);
    return result;
  }

  /** Its files are as they shall be. */
  finish(result: FinishedResult): void {
    result.finished = true;
    result.told = false;
  }

  /** It is about to change: what was not told by now need not be there. */
  touch(result: FinishedResult): void {
    for (const file of result.files) {
      const last = this.#states.get(file)?.at(-1);
      if (last !== undefined) last.leftAtMs ??= this.#nowMs();
    }
    result.finished = false;
    result.told = false;
  }

  gone(result: FinishedResult): void {
    this.touch(result);
    this.#results.delete(result.path);
  }

  /**
   * What `status` says is captured: the finished state, when the size is that of the finished
   * state.
   */
  heardCaptured(path: string, bytes: number): void {
    const result = this.#results.get(path);
    if (result?.finished !== true || result.told || bytes !== this.#bytesOf(result)) return;
    result.told = true;
    this.#require(result);
    this.#toldStates += 1;
  }

  /** The end: whatever lies on the disk has to be there, told or not. */
  requireAllPresent(): void {
    for (const result of this.#results.values()) this.#require(result);
  }

  /** Results that are finished; those that were told when `told`. */
  finishedResults(told: boolean): FinishedResult[] {
    return [...this.#results.values()].filter(
      (result) => result.finished && (result.told || !told),
    );
  }

  /** Finished results that `status` has not told of yet, with what it would say. */
  untold(): { readonly path: string; readonly bytes: number }[] {
    return this.finishedResults(false)
      .filter(({ told }) => !told)
      .map((result) => ({ path: result.path, bytes: this.#bytesOf(result) }));
  }

  get paths(): string[] {
    return [...this.#states.keys()];
  }

  get counts(): {
    readonly files: number;
    readonly states: number;
    readonly told: number;
    readonly required: number;
    /** Of those that are required but for a collection. */
    readonly mayBeGone: number;
  } {
    const all = [...this.#states.values()].flat();
    return {
      files: this.#states.size,
      states: all.length,
      told: this.#toldStates,
      required: all.filter(({ required }) => required).length,
      mayBeGone: all.filter((state) => state.required && this.#mayBeGone(state)).length,
    };
  }

  /**
   * What is wrong with the versions of a file that came back, by their hashes; empty when nothing
   * is.
   */
  judge(path: string, restored: readonly string[]): string[] {
    const states = this.#states.get(path) ?? [];
    const missing = states.filter(
      (state) => state.required && !this.#mayBeGone(state) && !restored.includes(state.sha256),
    );
    const passing = this.#passing.get(path);
    const invented = restored.filter(
      (hash) => !states.some(({ sha256 }) => sha256 === hash) && passing?.has(hash) !== true,
    );
    return [
      ...missing.map(({ size }) => `${path}: the state of ${size} bytes did not come back`),
      ...invented.map((hash) => `${path}: a version came back that no instrument wrote: ${hash}`),
    ];
  }

  /** The rule lets it go: what is newest, or the last content of what was deleted, never. */
  #mayBeGone({ isReplaced, leftAtMs }: State): boolean {
    return isReplaced === true && leftAtMs !== undefined && leftAtMs <= this.#collectedMs;
  }

  #require(result: FinishedResult): void {
    for (const file of result.files) {
      const last = this.#states.get(file)?.at(-1);
      if (last) last.required = true;
    }
  }

  #bytesOf(result: FinishedResult): number {
    return result.files.reduce((sum, file) => sum + (this.#states.get(file)?.at(-1)?.size ?? 0), 0);
  }
}

function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
