import type { Clock } from '@aliquot/shared/ports';
import { type BytePath, pathBytes } from '../source/paths.ts';
import { compileRules, type WalkRules } from '../source/rules.ts';
import { type SourcePort, type SourceStat, systemCode } from '../source/source-port.ts';
import { type Found, walk } from '../source/walk.ts';
import { type Compared, Comparison, type Difference } from './comparison.ts';
import { CaptureCore, type Sleep } from './core.ts';
import { type CaptureKeys, CaptureRoom } from './open-window.ts';
import type { CaptureExchange, CaptureJob } from './window.ts';

/** A walk of one file or folder. */
export interface WalkRequest {
  readonly root: BytePath;
  /** The source that `root` belongs to: decides which folder above counts as the result. */
  readonly sourceRoot: BytePath;
  readonly rules: WalkRules;
}

/** A comparison of one file or folder with what is known of it. */
export interface CompareRequest extends WalkRequest, Omit<Compared, 'root'> {}

/** What one look at one path finds. */
export interface Seen extends SourceStat {
  /** When it was made (ns since 1970); 0 where the file system does not keep that. */
  readonly bornNs: bigint;
}

/**
 * Where the watched folders are looked at and read: in this thread, or in a worker. Both do the
 * same; only the worker keeps a slow or hanging drive away from everything else.
 */
export interface CaptureHost {
  /** How many captures it works on at the same time; more wait. */
  readonly parallel: number;
  /**
   * Findings in byte order of whole paths, in batches; nothing is read ahead by more than one
   * batch.
   */
  walk(request: WalkRequest): AsyncIterable<readonly Found[]>;
  /**
   * Compares a walk with what is known of it (`KnownFiles.knownBlocks`), in the order of both; no
   * more than a few blocks, and one step of differences, are ahead.
   */
  compare(
    request: CompareRequest,
    known: AsyncIterable<Uint8Array>,
  ): AsyncIterable<readonly Difference[]>;
  /** What is at one path, or the system's error name. */
  look(path: BytePath): Promise<Seen | string>;
  /** Captures files in order; see `CaptureCore`. */
  capture(jobs: readonly CaptureJob[], exchange: CaptureExchange): Promise<void>;
  close(): Promise<void>;
}

const BATCH_SIZE = 512;

/** Cuts a walk into batches. */
export function* walkBatches(
  port: SourcePort,
  request: WalkRequest,
): Generator<readonly Found[], void, void> {
  let batch: Found[] = [];
  for (const found of walk(port, request.root, compileRules(request.rules), request.sourceRoot)) {
    batch.push(found);
    if (batch.length >= BATCH_SIZE) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** A comparison, to be given blocks and taken steps from. */
export function comparisonOf(port: SourcePort, request: CompareRequest): Comparison {
  const rules = compileRules(request.rules);
  return new Comparison(walk(port, request.root, rules, request.sourceRoot), request, rules);
}

/** One look at one path: what is there, or the system's error name. */
export function lookAt(port: SourcePort, path: BytePath): Seen | string {
  try {
    return { ...port.lstat(pathBytes(path)), bornNs: port.bornNs(pathBytes(path)) };
  } catch (error) {
    return systemCode(error);
  }
}

/**
 * A host in the calling thread: what the worker runs inside, and what tests drive with a port that
 * fails on purpose.
 */
export class LocalHost implements CaptureHost {
  readonly parallel = 1;
  readonly #port: SourcePort;
  readonly #keys: CaptureKeys;
  readonly #clock: Clock;
  readonly #pause: Sleep;
  #room: CaptureRoom | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(port: SourcePort, keys: CaptureKeys, clock: Clock, pause: Sleep) {
    this.#port = port;
    this.#keys = keys;
    this.#clock = clock;
    this.#pause = pause;
  }

  async *walk(request: WalkRequest): AsyncGenerator<readonly Found[], void, void> {
    try {
      yield* walkBatches(this.#port, request);
    } finally {
      this.#port.rest?.();
    }
  }

  async *compare(
    request: CompareRequest,
    known: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<readonly Difference[], void, void> {
    const comparison = comparisonOf(this.#port, request);
    const blocks = known[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { differences, wants, last } = comparison.step();
        yield differences;
        if (last) return;
        if (!wants) continue;
        const next = await blocks.next();
        comparison.give(next.done === true ? [] : [next.value], next.done === true);
      }
    } finally {
      this.#port.rest?.();
      await blocks.return?.();
    }
  }

  async look(path: BytePath): Promise<Seen | string> {
    const seen = lookAt(this.#port, path);
    this.#port.rest?.();
    return seen;
  }

  capture(jobs: readonly CaptureJob[], exchange: CaptureExchange): Promise<void> {
    this.#room ??= new CaptureRoom(this.#keys);
    const room = this.#room;
    const run = this.#turn.then(() =>
      new CaptureCore(this.#port, this.#keys, room, exchange, this.#clock, this.#pause)
        .capture(jobs)
        .finally(() => this.#port.rest?.()),
    );
    this.#turn = run.catch(() => undefined);
    return run;
  }

  async close(): Promise<void> {
    await this.#turn;
  }
}
