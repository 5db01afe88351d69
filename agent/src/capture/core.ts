import { createHash, type Hash } from 'node:crypto';
import {
  cacheIndex,
  chunkFingerprint,
  maskKey,
  unmaskKey,
} from '@aliquot/shared/content/cache-key';
import { Chunker } from '@aliquot/shared/content/chunker';
import { gearTable } from '@aliquot/shared/content/gear';
import { kernels } from '@aliquot/shared/content/kernels/kernels';
import type { KeyedRef } from '@aliquot/shared/content/pages';
import { refOf, sealChunk } from '@aliquot/shared/content/seal';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { VaultKeys } from '@aliquot/shared/keys/derive';
import type { Clock } from '@aliquot/shared/ports';
import type { CachedChunk } from '../queue/ledger/ledger.ts';
import { pathBytes } from '../source/paths.ts';
import { changingProblem, type Problem, problemOf, sameState } from '../source/problem.ts';
import { type SourcePort, type SourceStat, systemCode } from '../source/source-port.ts';
import { GrowthTracker, type OpenedGrowth, openGrowth, readGrowthHead } from './growth.ts';
import { emptyFile, isSmall, SmallFiles } from './small-files.ts';
import { claimedMs, restMs } from './times.ts';
import type {
  CapturedSlab,
  CaptureExchange,
  CaptureJob,
  CaptureResult,
  CaptureWindow,
} from './window.ts';

/** What sealing needs; `cacheSecret` is this installation's own. */
export interface CaptureKeys {
  readonly vault: VaultKeys;
  readonly cacheSecret: Uint8Array;
}

const noHash = new Uint8Array(0);

/** Lets some time pass. */
export type Sleep = (ms: number) => Promise<void>;

/**
 * Room of one window: two chunks of the largest size, so that a carried-over piece never fills it.
 * Two windows are alive.
 */
const WINDOW_BYTES = 4 << 20;
/** A file is started in the next window rather than in the last bytes of this one. */
const START_ROOM = 64 << 10;
const WINDOW_CHUNKS = 512;
const WINDOW_FILES = 512;
/** Sealed slabs of one window: with more, the queue would wait for what it could write already. */
const WINDOW_SLAB_BYTES = 1 << 20;
const noIndex = new Uint8Array(0);
/**
 * Reads of a file that keeps changing before it is named as a problem. Test only: tests count them.
 */
export const MAX_ATTEMPTS = 3;

/**
 * What outlives one capture: making it again for each batch of small files would cost more than the
 * batch.
 */
export class CaptureRoom {
  readonly table: Int32Array;
  readonly small: SmallFiles;
  readonly #windowBytes: number;
  readonly #spare: Uint8Array[] = [];

  constructor({ vault }: CaptureKeys) {
    this.table = gearTable(vault.gearSeed);
    this.small = new SmallFiles(vault);
    this.#windowBytes = Math.max(WINDOW_BYTES, 2 * vault.parameters.maxChunkBytes);
  }

  take(): Uint8Array {
    return (
      this.#spare.pop() ?? kernels()?.take(this.#windowBytes) ?? new Uint8Array(this.#windowBytes)
    );
  }

  giveBack(buffer: Uint8Array): void {
    this.#spare.push(buffer);
  }
}

interface Attempt {
  readonly number: number;
  readonly job: CaptureJob;
  /** Undefined when only what was appended is read. */
  readonly hash: Hash | undefined;
  readonly chunker: Chunker;
  readonly tracker: GrowthTracker;
  /** Where the reading begins. */
  readonly from: number;
  /** Only the bytes that were there at the beginning are read. */
  readonly isGrowing: boolean;
  aborted: boolean;
}

/** What is sealed as one chunk. */
interface Chunk {
  readonly attempt: Attempt;
  readonly plain: Uint8Array;
  /** Undefined where the cache is not asked. */
  readonly cache: { readonly fingerprint: Uint8Array; readonly index: Uint8Array } | undefined;
  /** It ends with the file, not at a cut. */
  readonly isTail: boolean;
}

type Ending =
  | {
      readonly type: 'done';
      readonly attempt: Attempt;
      readonly stat: SourceStat;
      readonly startedMs: number;
      readonly sha256: Uint8Array;
    }
  | { readonly type: 'result'; readonly result: CaptureResult };

interface OpenWindow {
  readonly buffer: Uint8Array;
  used: number;
  readonly chunks: Chunk[];
  readonly slabs: CapturedSlab[];
  readonly endings: Ending[];
  readonly aborted: number[];
  /** Files of its slabs, and what those take sealed. */
  smallFiles: number;
  slabBytes: number;
  readBytes: number;
}

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
 * bytes came as it says it has; otherwise it is read again, and after `MAX_ATTEMPTS` it is a problem
 * (never a version that nobody ever had).
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
    this.#window = this.#newWindow();
  }

  /**
   * Captures the files in order; everything was delivered when it resolves, and nothing is under
   * way when it rejects. One call for each core.
   */
  async capture(jobs: readonly CaptureJob[]): Promise<void> {
    try {
      for (const job of jobs) {
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
      // ELOOP: a symbolic link took its place.
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP')
        return { type: 'vanished', job: job.job };
      return { type: 'problem', job: job.job, problem: problemOf(error, 'file') };
    }
    let attempt: Attempt | undefined;
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
  #begin(job: CaptureJob, descriptor: number, size: number, isGrowing: boolean): Attempt {
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
    attempt: Attempt,
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

  #chunk(attempt: Attempt, from: number, to: number, isTail: boolean): void {
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
    const { buffer, used, chunks, endings, smallFiles, slabBytes } = this.#window;
    return (
      buffer.length - used < room ||
      chunks.length >= WINDOW_CHUNKS ||
      endings.length + smallFiles >= WINDOW_FILES ||
      slabBytes >= WINDOW_SLAB_BYTES
    );
  }

  #abort(attempt: Attempt): void {
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
  async #turn(carrying: Attempt | undefined, chunkStart: number): Promise<void> {
    const full = this.#window;
    const asked = full.chunks.filter(({ cache }) => cache !== undefined);
    const hits =
      asked.length === 0
        ? Promise.resolve([])
        : this.#exchange.lookup(asked.map(({ cache }) => cache?.index ?? noIndex));
    hits.catch(() => undefined); // awaited below, after the window before it
    this.#lookup = hits;
    await this.#sealing; // gives its buffer back, so that never more than two are alive
    const next = this.#newWindow();
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
    const sealed = await this.#sealed(window, asked, answer).finally(() =>
      this.#room.giveBack(window.buffer),
    );
    await this.#delivery; // one at a time, in order; the next window is read and sealed meanwhile
    this.#delivery = this.#deliver(sealed);
    this.#delivery.catch(() => undefined); // seen by the next window, or at the end
  }

  async #sealed(
    window: OpenWindow,
    asked: readonly Chunk[],
    answer: Promise<readonly (CachedChunk | undefined)[]>,
  ): Promise<CaptureWindow> {
    const answers = await answer;
    const hits = new Map(asked.map((part, at) => [part, answers[at]]));
    const items: CaptureWindow['items'][number][] = [];
    const cached: CaptureWindow['cached'][number][] = [];
    const push = ({ attempt, cache, isTail }: Chunk, item: KeyedRef): void => {
      const of = { attempt: attempt.number, job: attempt.job.job };
      for (const { id, kind, sealed } of attempt.tracker.push(item, cache?.fingerprint, isTail))
        items.push({ ...of, id, kind, sealed });
    };
    for (const part of window.chunks) {
      const { attempt, plain, cache } = part;
      if (attempt.aborted) continue;
      const hit = hits.get(part);
      if (cache !== undefined && hit !== undefined && hit.plainSize === plain.length) {
        const key = unmaskKey(cache.fingerprint, hit.id, hit.maskedKey);
        push(part, { ref: { id: hit.id, plainSize: hit.plainSize, epoch: hit.epoch }, key });
        continue;
      }
      const chunk = sealChunk(this.#keys.vault, plain);
      const of = { attempt: attempt.number, job: attempt.job.job };
      items.push({ ...of, id: chunk.id, kind: 'chunk', sealed: chunk.sealed });
      push(part, { ref: refOf(chunk), key: chunk.key });
      if (cache === undefined) continue;
      const { id, plainSize, epoch } = chunk;
      const { fingerprint, index } = cache;
      cached.push({
        ...of,
        index,
        chunk: { id, plainSize, epoch, maskedKey: maskKey(fingerprint, id, chunk.key) },
      });
    }
    const results: CaptureResult[] = [];
    for (const ending of window.endings) {
      if (ending.type === 'result') {
        results.push(ending.result);
        continue;
      }
      const { attempt, stat, startedMs, sha256 } = ending;
      const built = attempt.tracker.finish();
      for (const { id, kind, sealed } of built.pages)
        items.push({ attempt: attempt.number, job: attempt.job.job, id, kind, sealed });
      const { content, keys } = built;
      const version = {
        size: stat.size,
        mtimeNs: stat.mtimeNs,
        capturedAtMs: claimedMs(startedMs),
      };
      const growth = attempt.tracker.state(this.#keys.vault, this.#keys.cacheSecret, version);
      const { oldPart } = attempt.tracker;
      const of = { job: attempt.job.job, attempt: attempt.number };
      results.push({
        type: 'captured',
        ...of,
        stat,
        startedMs,
        sha256,
        growth,
        oldPart,
        content,
        keys,
      });
    }
    const { aborted, slabs, readBytes } = window;
    return { aborted, items, cached, slabs, results, readBytes };
  }

  async #deliver(window: CaptureWindow): Promise<void> {
    for (const attempt of await this.#exchange.deliver(window)) this.#refused.add(attempt);
  }

  #newWindow(): OpenWindow {
    return {
      buffer: this.#room.take(),
      used: 0,
      chunks: [],
      slabs: [],
      endings: [],
      aborted: [],
      smallFiles: 0,
      slabBytes: 0,
      readBytes: 0,
    };
  }
}
