import { createHash } from 'node:crypto';
import { cacheIndex, chunkFingerprint } from '@aliquot/shared/content/cache-key';
import { Chunker } from '@aliquot/shared/content/chunker';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { Clock } from '@aliquot/shared/ports';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import { pathBytes } from '../source/paths.ts';
import { changingProblem, type Problem, problemOf, sameState } from '../source/problem.ts';
import { type SourcePort, type SourceStat, systemCode } from '../source/source-port.ts';
import { type OpenedGrowth, openGrowth, readGrowthHead } from './growth-state.ts';
import { GrowthTracker } from './growth-tracker.ts';
import {
  type CaptureKeys,
  type CaptureRoom,
  type Chunk,
  isFullWindow,
  type OpenWindow,
  openWindow,
  type ReadAttempt,
  START_ROOM,
} from './open-window.ts';
import { sealWindow } from './seal-window.ts';
import { emptyFile, isSmall } from './small-files.ts';
import { restMs } from './times.ts';
import type {
  CapturedSlab,
  CaptureExchange,
  CaptureJob,
  CaptureResult,
  CaptureWindow,
} from './window.ts';

const noHash = new Uint8Array(0);

/** ELOOP, EFOLDERLINK: a symbolic link took its place, or that of a folder above it. */
const gone: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EFOLDERLINK']);

/** Lets some time pass. */
export type Sleep = (ms: number) => Promise<void>;

const noIndex = new Uint8Array(0);
/**
 * Reads of a file that keeps changing before it is named as a problem. Test only: tests count them.
 */
export const MAX_ATTEMPTS = 3;

/**
 * Reads files once and turns them into sealed chunks, pages and hashes. Runs in the worker, or in a
 * test without one.
 *
 * Two windows take turns: while the cache is asked about the chunks of one, the next is read; and
 * while one is taken over, the next is sealed. So at most two windows of plaintext and two of
 * sealed items are in memory, whatever the size and number of files; many small files share one
 * window. Files of up to 64 KiB go into slabs instead, and come with them (`small-files.ts`).
 *
 * A file counts as captured only when its state was the same before and after the read and as many
 * bytes came as it says it has; otherwise it is read again, and after `MAX_ATTEMPTS` it is a
 * problem (never a version that nobody ever had).
 */
export class CaptureCore {
  readonly #port: SourcePort;
  readonly #keys: CaptureKeys;
  readonly #room: CaptureRoom;
  readonly #exchange: CaptureExchange;
  readonly #clock: Clock;
  readonly #pause: Sleep;
  #attempts = 0;
  /** Attempts that the exchange had no room for. */
  readonly #refused = new Set<number>();
  #window: OpenWindow;
  #lookup: Promise<unknown> = Promise.resolve();
  #sealing: Promise<void> = Promise.resolve();
  #delivery: Promise<void> = Promise.resolve();

  constructor(
    port: SourcePort,
    keys: CaptureKeys,
    room: CaptureRoom,
    exchange: CaptureExchange,
    clock: Clock,
    pause: Sleep,
  ) {
    this.#port = port;
    this.#keys = keys;
    this.#room = room;
    this.#exchange = exchange;
    this.#clock = clock;
    this.#pause = pause;
    this.#window = openWindow(this.#room);
  }

  /**
   * Captures the files in order; everything was delivered when it resolves, and nothing is under
   * way when it rejects. One call for each core.
   */
  async capture(jobs: readonly CaptureJob[]): Promise<void> {
    try {
      let run = jobs[0]?.run;
      for (const job of jobs) {
        if (job.run !== run) this.#take(this.#room.small.close());
        run = job.run;
        if (this.#isFull(START_ROOM)) await this.#turn(undefined, 0);
        await this.#file(job);
      }
      this.#take(this.#room.small.close());
      await this.#turn(undefined, 0);
      await this.#sealing;
      await this.#delivery;
    } finally {
      await Promise.allSettled([this.#lookup, this.#sealing]);
      await Promise.allSettled([this.#delivery]);
      this.#room.small.clear();
      this.#room.giveBack(this.#window.buffer);
    }
  }

  async #file(job: CaptureJob): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const outcome = await this.#attempt(job);
      if (outcome === undefined) return;
      if (outcome !== 'changed') {
        this.#window.endings.push({ type: 'result', result: outcome });
        return;
      }
      if (tries >= MAX_ATTEMPTS) {
        this.#problem(job, changingProblem(tries));
        return;
      }
    }
  }

  /** Undefined: captured; `changed`: try again; else the result to report. */
  async #attempt(job: CaptureJob): Promise<CaptureResult | 'changed' | undefined> {
    const path = pathBytes(job.path);
    let startedMs = this.#clock.nowMs();
    let descriptor: number;
    try {
      descriptor = this.#port.open(path);
    } catch (error) {
      const code = systemCode(error);
      if (gone.has(code)) return { type: 'vanished', job: job.job };
      return { type: 'problem', job: job.job, problem: problemOf(error, 'file') };
    }
    let attempt: ReadAttempt | undefined;
    try {
      const before = this.#port.fstat(descriptor);
      const isGrowing = job.growing === true && before.size > 0;
      const rest = isGrowing ? 0 : restMs(before, startedMs);
      if (rest > 0) {
        // It changed within this tick: another change during the read could leave the same stamps.
        // After a tick without one it cannot.
        await this.#pause(rest);
        startedMs = this.#clock.nowMs();
        if (!sameState(before, this.#port.fstat(descriptor))) return 'changed';
      }
      if (before.kind !== 'file') return { type: 'vanished', job: job.job };
      if (isSmall(job, before)) return this.#small(descriptor, job, before, startedMs);
      attempt = this.#begin(job, descriptor, before.size, isGrowing);
      const read = await this.#read(descriptor, attempt, before.size);
      if (read === 'refused') {
        this.#abort(attempt);
        return { type: 'refused', job: job.job, stat: before };
      }
      const after = this.#port.fstat(descriptor);
      const holds = isGrowing ? after.size >= before.size : sameState(before, after);
      if (read === 'incomplete' || !holds) {
        this.#abort(attempt);
        return 'changed';
      }
      this.#window.endings.push({
        type: 'done',
        attempt,
        stat: before,
        startedMs,
        sha256: attempt.hash?.digest() ?? noHash,
      });
      return undefined;
    } catch (error) {
      if (attempt !== undefined) this.#abort(attempt);
      return { type: 'problem', job: job.job, problem: problemOf(error, 'file') };
    } finally {
      this.#port.close(descriptor);
    }
  }

  /** A file that a slab takes whole. */
  #small(
    descriptor: number,
    { job }: CaptureJob,
    stat: SourceStat,
    startedMs: number,
  ): 'changed' | undefined {
    const { small } = this.#room;
    const plain = small.read(this.#port, descriptor, stat.size);
    if (plain === undefined || !sameState(stat, this.#port.fstat(descriptor))) return 'changed';
    this.#window.readBytes += plain.length;
    const file = { job, stat, startedMs, digest: sha256(plain) };
    if (plain.length > 0) this.#take(small.add(plain, file));
    else {
      this.#attempts += 1;
      const result = { type: 'captured' as const, attempt: this.#attempts, ...emptyFile(file) };
      this.#window.endings.push({ type: 'result', result });
    }
    return undefined;
  }

  #take(slabs: readonly CapturedSlab[]): void {
    const window = this.#window;
    for (const slab of slabs) {
      window.slabs.push(slab);
      window.smallFiles += slab.files.length;
      window.slabBytes += slab.sealed.length;
    }
  }

  /**
   * Begins where the last version of a file that only grew had its last cut; else, or when it is
   * not what it was there, at the beginning.
   */
  #begin(job: CaptureJob, descriptor: number, size: number, isGrowing: boolean): ReadAttempt {
    const { vault, cacheSecret } = this.#keys;
    const { growth } = job;
    let resumed: OpenedGrowth | undefined;
    if (growth?.whole === false) {
      resumed = openGrowth(vault, cacheSecret, growth.state, (sample) =>
        this.#sample(descriptor, sample),
      );
      if (resumed !== undefined && resumed.head.boundary > size) resumed = undefined;
    }
    const compare =
      growth === undefined || resumed !== undefined ? undefined : readGrowthHead(growth.state);
    this.#attempts += 1;
    return {
      number: this.#attempts,
      job,
      hash: resumed === undefined && !isGrowing ? createHash('sha256') : undefined,
      chunker: new Chunker(this.#room.table, vault.parameters),
      tracker: new GrowthTracker(vault, resumed, compare),
      from: resumed?.head.boundary ?? 0,
      isGrowing,
      aborted: false,
    };
  }

  #sample(
    descriptor: number,
    { offset, size }: { readonly offset: number; readonly size: number },
  ): Uint8Array | undefined {
    if (size > this.#keys.vault.parameters.maxChunkBytes) return undefined;
    const plain = new Uint8Array(size);
    for (let got = 0; got < size; ) {
      const count = this.#port.read(descriptor, plain, got, size - got, offset + got);
      if (count === 0) return undefined;
      got += count;
    }
    this.#window.readBytes += size;
    return chunkFingerprint(this.#keys.cacheSecret, plain);
  }

  /** Reads to the end; `incomplete` when there are more or fewer bytes than `size`. */
  async #read(
    descriptor: number,
    attempt: ReadAttempt,
    size: number,
  ): Promise<'complete' | 'incomplete' | 'refused'> {
    let total = attempt.from;
    let chunkStart = this.#window.used;
    for (;;) {
      if (this.#isFull(1)) {
        await this.#turn(attempt, chunkStart);
        chunkStart = 0;
        if (this.#refused.delete(attempt.number)) return 'refused';
      }
      const window = this.#window;
      const offset = window.used;
      const left = attempt.isGrowing ? size - total : Number.POSITIVE_INFINITY;
      if (left === 0) break;
      const room = Math.min(window.buffer.length - offset, left);
      const count =
        attempt.from === 0
          ? this.#port.read(descriptor, window.buffer, offset, room)
          : this.#port.read(descriptor, window.buffer, offset, room, total);
      if (count === 0) break;
      total += count;
      window.readBytes += count;
      if (total > size) return 'incomplete';
      const block = window.buffer.subarray(offset, offset + count);
      window.used += count;
      attempt.hash?.update(block);
      for (const cut of attempt.chunker.push(block)) {
        this.#chunk(attempt, chunkStart, offset + cut, false);
        chunkStart = offset + cut;
      }
    }
    if (chunkStart < this.#window.used) this.#chunk(attempt, chunkStart, this.#window.used, true);
    return total === size ? 'complete' : 'incomplete';
  }

  #chunk(attempt: ReadAttempt, from: number, to: number, isTail: boolean): void {
    const plain = this.#window.buffer.subarray(from, to);
    this.#window.chunks.push({ attempt, plain, cache: this.#cacheKeys(plain), isTail });
  }

  /**
   * The cache spares sealing again what an earlier version had. What is below the smallest chunk is
   * the end of a file, and as new as that: to look it up and to remember it would cost more than to
   * seal it, which gives the same id anyhow.
   */
  #cacheKeys(plain: Uint8Array): Chunk['cache'] {
    if (plain.length < this.#keys.vault.parameters.minChunkBytes) return undefined;
    const fingerprint = chunkFingerprint(this.#keys.cacheSecret, plain);
    return { fingerprint, index: cacheIndex(fingerprint) };
  }

  #isFull(room: number): boolean {
    return isFullWindow(this.#window, room);
  }

  #abort(attempt: ReadAttempt): void {
    attempt.aborted = true;
    this.#window.aborted.push(attempt.number);
  }

  #problem(job: CaptureJob, problem: Problem): void {
    this.#window.endings.push({
      type: 'result',
      result: { type: 'problem', job: job.job, problem },
    });
  }

  /**
   * Closes the window and opens the next, carrying over the bytes of a chunk whose end is still to
   * come.
   */
  async #turn(carrying: ReadAttempt | undefined, chunkStart: number): Promise<void> {
    const full = this.#window;
    const asked = full.chunks.filter(({ cache }) => cache !== undefined);
    const hits =
      asked.length === 0
        ? Promise.resolve([])
        : this.#exchange.lookup(asked.map(({ cache }) => cache?.index ?? noIndex));
    hits.catch(() => undefined); // awaited below, after the window before it
    this.#lookup = hits;
    await this.#sealing; // gives its buffer back, so that never more than two are alive
    const next = openWindow(this.#room);
    if (carrying !== undefined) {
      next.buffer.set(full.buffer.subarray(chunkStart, full.used));
      next.used = full.used - chunkStart;
    }
    this.#window = next;
    this.#sealing = this.#seal(full, asked, hits);
    this.#sealing.catch(() => undefined); // seen by whoever awaits the next turn
  }

  /**
   * Seals a window, gives its buffer back, and has what was sealed taken over: that goes on when
   * this resolves.
   */
  async #seal(
    window: OpenWindow,
    asked: readonly Chunk[],
    answer: Promise<readonly (CachedChunk | undefined)[]>,
  ): Promise<void> {
    let sealed: CaptureWindow;
    try {
      sealed = sealWindow(this.#keys, window, asked, await answer);
    } finally {
      this.#room.giveBack(window.buffer);
    }
    await this.#delivery; // one at a time, in order; the next window is read and sealed meanwhile
    this.#delivery = this.#deliver(sealed);
    this.#delivery.catch(() => undefined); // seen by the next window, or at the end
  }

  async #deliver(window: CaptureWindow): Promise<void> {
    for (const attempt of await this.#exchange.deliver(window)) this.#refused.add(attempt);
  }
}
