import type { BytePath } from '../source/paths.ts';
import { endlessPatience, nextCaptureMs, type Patience } from '../source/patience.ts';
import type { CompletionProof, Verdict } from '../source/proof.ts';

/** What is not at rest, and due to be captured as it is. */
export type Judgement = Verdict | { readonly state: 'growing' };

interface Waiting {
  readonly fingerprint: string | undefined;
  /** Since when nothing about it has changed. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Since when it has been waited for, whatever changed meanwhile. */
  readonly firstMs: number;
  /** When it is captured as it is. */
  readonly captureAtMs: number;
  /** It has been captured as it was, at least once. */
  readonly isCaptured: boolean;
}

/** An event may arrive a little before the time stamp of its change. */
const STAMP_SLACK_MS = 100;
/**
 * Keeps this many unsettled results; what is beyond is found again by the next scan, which is then
 * asked for early.
 */
const DEFAULT_CAPACITY = 50_000;

/**
 * Remembers which results are still in the making and when each should be looked at again. Knows no
 * files and no timers: the caller observes, and asks what is due. Memory is bounded by `capacity`.
 */
export class Settler {
  readonly #waiting = new Map<BytePath, Waiting>();
  readonly #proof: CompletionProof;
  readonly #patience: Patience;
  readonly #capacity: number;
  #rescanAtMs: number | undefined;
  #beyond = 0;

  constructor(
    proof: CompletionProof,
    patience: Patience = endlessPatience,
    capacity = DEFAULT_CAPACITY,
  ) {
    this.#proof = proof;
    this.#patience = patience;
    this.#capacity = capacity;
  }

  /** A scan of everything begins: it counts again what is beyond the capacity. */
  scanBegins(): void {
    this.#beyond = 0;
  }

  /** An event said that something about this result changed just now. */
  touch(path: BytePath, nowMs: number): void {
    this.#judge(path, undefined, undefined, nowMs);
  }

  /**
   * The result was looked at. `complete` means: capture it now; it is forgotten here. `growing`:
   * capture it as it is; it goes on waiting for its rest.
   */
  observe(
    path: BytePath,
    fingerprint: string,
    newestChangeMs: number | undefined,
    nowMs: number,
  ): Judgement {
    return this.#judge(path, fingerprint, newestChangeMs, nowMs);
  }

  /**
   * The result is as it was captured, by a look that began at `lookedMs`; what was touched since
   * then still waits.
   */
  forget(path: BytePath, lookedMs: number): void {
    const waiting = this.#waiting.get(path);
    if (waiting !== undefined && waiting.sinceMs < lookedMs) this.#waiting.delete(path);
  }

  /** After a due path was looked at: forgets it unless that look made it wait again. */
  looked(path: BytePath, nowMs: number): void {
    const waiting = this.#waiting.get(path);
    if (waiting !== undefined && waiting.untilMs <= nowMs) this.#waiting.delete(path);
  }

  /**
   * Whether it was captured as it was, and has not come to rest since: it is still to be captured
   * whole.
   */
  isGrowing(path: BytePath): boolean {
    return this.#waiting.get(path)?.isCaptured === true;
  }

  /** Since when a result has been waited for, if that is longer than it should take. */
  unsettledSinceMs(path: BytePath, nowMs: number): number | undefined {
    const firstMs = this.#waiting.get(path)?.firstMs;
    return firstMs !== undefined && nowMs - firstMs >= this.#patience.nameAfterMs
      ? firstMs
      : undefined;
  }

  /** Results to look at now. */
  due(nowMs: number): BytePath[] {
    const paths: BytePath[] = [];
    for (const [path, { untilMs, sinceMs }] of this.#waiting)
      if (untilMs <= nowMs || sinceMs > nowMs) paths.push(path);
    return paths;
  }

  /**
   * When `due` will next have something, or the whole source should be scanned again; undefined
   * when nothing waits.
   */
  nextMs(): number | undefined {
    let next = this.#rescanAtMs;
    for (const { untilMs } of this.#waiting.values())
      if (next === undefined || untilMs < next) next = untilMs;
    return next;
  }

  /**
   * Whether more results were unsettled than fit: a whole scan is due. Asking takes the request.
   */
  takeRescan(nowMs: number): boolean {
    if (this.#rescanAtMs === undefined || this.#rescanAtMs > nowMs) return false;
    this.#rescanAtMs = undefined;
    return true;
  }

  /**
   * What waits, with what was seen of it last; undefined when an event named it and nobody has
   * looked yet.
   */
  *entries(): Generator<readonly [path: BytePath, fingerprint: string | undefined], void, void> {
    for (const [path, { fingerprint }] of this.#waiting) yield [path, fingerprint];
  }

  /** Since when the longest of them has been waited for. */
  firstMs(): number | undefined {
    let first: number | undefined;
    for (const { firstMs } of this.#waiting.values())
      if (first === undefined || firstMs < first) first = firstMs;
    return first;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Results that wait beyond the capacity: what the last scan met, at least one while a scan for
   * them is due.
   */
  get beyond(): number {
    return this.#beyond;
  }

  #judge(
    path: BytePath,
    fingerprint: string | undefined,
    newestChangeMs: number | undefined,
    nowMs: number,
  ): Judgement {
    const known = this.#waiting.get(path);
    // A clock that was set back would otherwise make a result wait until it has caught up.
    const before = known !== undefined && known.sinceMs <= nowMs ? known : undefined;
    const continues = before !== undefined && fingerprint !== undefined;
    // After an event there is nothing to compare with yet: only a stamp from before it shows that
    // nothing followed unseen.
    const same =
      continues &&
      (before.fingerprint === undefined
        ? newestChangeMs !== undefined && newestChangeMs <= before.sinceMs + STAMP_SLACK_MS
        : before.fingerprint === fingerprint);
    const sinceMs = same ? before.sinceMs : nowMs;
    const verdict = this.#proof.judge(
      { fingerprint: fingerprint ?? '', sameSinceMs: sinceMs, newestChangeMs },
      nowMs,
    );
    if (verdict.state === 'complete' && fingerprint !== undefined) {
      this.#waiting.delete(path);
      return verdict;
    }
    const restsAtMs = verdict.state === 'waiting' ? verdict.untilMs : nowMs;
    if (known === undefined && this.#waiting.size >= this.#capacity) {
      this.#rescanAtMs = Math.min(this.#rescanAtMs ?? Number.POSITIVE_INFINITY, restsAtMs);
      // An event may name one many times; a scan meets each once.
      this.#beyond = fingerprint === undefined ? Math.max(this.#beyond, 1) : this.#beyond + 1;
      return { state: 'waiting', untilMs: restsAtMs };
    }
    const firstMs = before?.firstMs ?? nowMs;
    let captureAtMs = before?.captureAtMs ?? nowMs + this.#patience.captureAfterMs;
    const isDue = fingerprint !== undefined && nowMs >= captureAtMs;
    if (isDue) captureAtMs = nextCaptureMs(this.#patience, firstMs, nowMs);
    const isCaptured = isDue || before?.isCaptured === true;
    const untilMs = Math.min(restsAtMs, captureAtMs);
    this.#waiting.set(path, { fingerprint, sinceMs, untilMs, firstMs, captureAtMs, isCaptured });
    return isDue ? { state: 'growing' } : { state: 'waiting', untilMs };
  }
}
