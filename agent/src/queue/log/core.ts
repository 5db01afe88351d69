import { sha256 } from '@aliquot/shared/crypto/primitives';
import { endWith } from '@aliquot/shared/durable/unexpected';
import type { Position } from '@aliquot/shared/records/format';
import { Serial } from '@aliquot/shared/serial';
import { type Applied, applyItem, applyRecord } from './apply.ts';
import type { ChainRecord, CoreHooks } from './core-hooks.ts';
import { diskFull, indexAnew, isIndexDamaged, isNoSpace, QueueError } from './errors.ts';
import type { QueuedItem } from './facts.ts';
import type { ChainKind, SegmentKind } from './formats.ts';
import { decodeCommitPlace, numberKey } from './index-rows.ts';
import { clearCaches, type IndexStore } from './index-store.ts';
import {
  closeQueueFiles,
  type FilesOptions,
  freeBytesFor,
  openQueueFiles,
  type QueueFiles,
} from './open-queue.ts';
import { decodeSignedRecord, decodeVersion, type VersionHead } from './payloads.ts';
import { encodeRemains, type QueuedRemains } from './remains.ts';
import type { Joined, Turn } from './turn.ts';
import { WaitingProof } from './waiting-proof.ts';

/**
 * Staged index changes, or appended bytes, after which the queue syncs by itself: bounds memory and
 * what a crash re-does.
 */
const MAX_STAGED = 8192;
const MAX_UNSYNCED_BYTES = 32 * 1024 * 1024;
/** A write of its own is worth so much; to copy less costs less. */
const LEAST_WRITTEN_BYTES = 256 * 1024;
/**
 * Free space that a queue wants before it starts again after a full disk: a signed commit, its
 * index, and something to spare.
 */
const START_AGAIN_BYTES = 12 * 1024 * 1024;

/** Steps that take their turn together. */
interface Group<Work extends Joined> {
  readonly works: Work[];
}

/**
 * The write path of the queue: one step after the other, segments before index, and what happens
 * when the disk fails.
 */
export class QueueCore {
  readonly options: FilesOptions;
  readonly #hooks: CoreHooks;
  readonly #serial = new Serial();
  #files: QueueFiles | undefined;
  #waiting: WaitingProof;
  #unsyncedBytes = 0;
  #unsyncedVersions = 0;
  #flushes = 0;
  #poison: unknown;
  /**
   * What may be opened again: after a full disk that left nothing unsynced behind in memory which
   * somebody believes to be on its way; or because only the index is in doubt.
   */
  #mendable: 'full' | 'index' | undefined;
  #closed = false;
  /** The end of the chain log, not durable yet. */
  #remains: QueuedRemains | undefined;
  /** The last in the line, as long as it has not begun and nothing came behind it. */
  #joining: Group<Joined> | undefined;

  constructor(options: FilesOptions, files: QueueFiles, hooks: CoreHooks) {
    this.options = options;
    this.#files = files;
    this.#waiting = new WaitingProof(files);
    this.#hooks = hooks;
  }

  /** Throws `QUEUE_NO_SPACE` or `QUEUE_POISONED` between a failure and the next start. */
  get files(): QueueFiles {
    if (this.#files === undefined) throw this.#refusal();
    return this.#files;
  }

  /** What waits for its receipt, as segments and chain log prove it (D5). Inside a change. */
  get waiting(): WaitingProof {
    return this.#waiting;
  }

  /** Runs a step that may change something, in the order of the calls. */
  change<T>(step: () => Promise<T>): Promise<T> {
    this.#joining = undefined;
    return this.#serial.run(async () => {
      await this.ready();
      try {
        return await step();
      } catch (error) {
        throw this.told(error);
      }
    });
  }

  /**
   * What went wrong in a step, as callers hear it. A damaged index is made again before the next
   * step: nothing that was handed over is lost with it.
   */
  told(error: unknown): unknown {
    if (!isIndexDamaged(error)) return error;
    this.#fail(error, 'index');
    return indexAnew(error);
  }

  /**
   * As `change`, for one of many small steps that are asked for in a row: they take one turn, which
   * `turn` frames, and each runs by itself in the order of the calls.
   */
  join<Work extends Joined>(work: Work, turn: Turn<Work>): void {
    if (this.#joining === undefined) {
      const group: Group<Work> = { works: [] };
      this.#joining = group as unknown as Group<Joined>;
      void this.#serial.run(() => this.#together(group, turn));
    }
    (this.#joining.works as Joined[]).push(work);
  }

  async #together<Work extends Joined>(group: Group<Work>, turn: Turn<Work>): Promise<void> {
    if ((this.#joining as unknown) === group) this.#joining = undefined;
    try {
      await this.ready();
      await turn.before(group.works);
    } catch (error) {
      const told = this.told(error);
      for (const work of group.works) work.reject(told);
      return;
    }
    for (const work of group.works) await work.run();
    await turn.after();
  }

  /** How many flushes there were: what somebody knew of the written index may be old after one. */
  get flushes(): number {
    return this.#flushes;
  }

  /**
   * Throws when nothing may be changed; after a full disk it starts again as soon as there is
   * space. A promise when there is something to wait for.
   */
  ready(): Promise<void> | undefined {
    if (this.#closed) throw new QueueError('QUEUE_CLOSED', 'the queue is closed');
    return this.#poison === undefined ? undefined : this.#startAgain();
  }

  /**
   * Appends a record to the segments and applies it; durable with the next flush. `then` hears what
   * it did before anything is flushed. `version`: what a version record says, when it is at hand.
   */
  async append(
    kind: SegmentKind,
    payload: Uint8Array,
    digest = sha256(payload),
    then: (applied: Applied) => void = () => undefined,
    version?: VersionHead,
  ): Promise<void> {
    const { segments, index } = this.files;
    const at = await segments.append(kind, payload, digest);
    try {
      then(
        await applyRecord(index, at, { kind, length: payload.length, digest }, payload, version),
      );
    } catch (error) {
      this.#fail(error, isIndexDamaged(error) ? 'index' : undefined);
      throw error;
    }
    if (kind === 'version') {
      const { entry, rows, holdSegment } = version ?? decodeVersion(payload).head;
      this.#waiting.versions(entry, entry + rows.length - 1, holdSegment);
      this.#unsyncedVersions += rows.length;
    }
    this.#unsyncedBytes += payload.length;
    if (this.isFullyStaged) await this.flush();
  }

  /**
   * Appends and applies items; durable with the next flush. They must be named rightly. Many bytes
   * are written where they lie with one call, few are gathered first.
   */
  async appendItems(items: readonly QueuedItem[]): Promise<void> {
    const { segments, index } = this.files;
    const bytes = items.reduce((sum, { sealed }) => sum + sealed.length, 0);
    if (bytes < LEAST_WRITTEN_BYTES) {
      for (const { kind, sealed, id } of items) await this.append(kind, sealed, id);
      return;
    }
    const records = items.map(({ kind, sealed, id }) => ({ kind, payload: sealed, digest: id }));
    const places = await segments.appendAll(records);
    for (const [at, { kind, payload, digest }] of records.entries())
      applyItem(index, places[at] as Position, { kind, length: payload.length, digest });
    this.#unsyncedBytes += bytes;
    if (this.isFullyStaged) await this.flush();
  }

  /** Whether so much is staged that a flush is due. */
  get isFullyStaged(): boolean {
    return this.files.index.staged >= MAX_STAGED || this.#unsyncedBytes >= MAX_UNSYNCED_BYTES;
  }

  /** I-A1: segments first, then the chain log, then the index that names what is in them. */
  async flush(): Promise<void> {
    const { segments, index } = this.files;
    const records = this.#hooks.chainWith();
    if (index.staged === 0 && records.length === 0) return;
    try {
      await segments.sync();
    } catch (error) {
      // For want of space it may be repeated; after a failed flush it must not.
      if (segments.poisoned) this.#fail(error, undefined);
      throw error;
    }
    // Before the index passes the versions that they speak of: a crash in between replays those,
    // and says it again.
    await this.#writeChain(records);
    await this.#poisonOn(async () => {
      if (segments.lastNumber !== undefined) index.state.segments = segments.end();
      await index.write();
    });
    const versions = this.#unsyncedVersions;
    this.#unsyncedBytes = 0;
    this.#unsyncedVersions = 0;
    this.#flushes += 1;
    this.#hooks.flushed({ versions });
  }

  /**
   * A chain record: durable before it counts (I-A2, I-A4), and flushed in the index too, because
   * keys are erased after it.
   */
  async appendChain(kind: ChainKind, payload: Uint8Array): Promise<void> {
    await this.flush();
    await this.#writeChain([{ kind, payload }]);
    await this.#poisonOn(() => this.files.index.write({ sync: true }));
    await this.#hooks.chained();
  }

  /** The index, to be asked outside of the queue's turn (`questions.ts`). */
  async indexToAsk(): Promise<IndexStore> {
    // It is just being made again.
    if (this.#files === undefined) await this.change(async () => undefined);
    return this.files.index;
  }

  /** Sees to it that another index takes the place of a damaged one; throws any other error. */
  async replace(asked: IndexStore, error: unknown): Promise<void> {
    if (this.#files?.index === asked) {
      if (!isIndexDamaged(error)) throw error;
      const fail = async (): Promise<void> => {
        if (this.files.index === asked) throw error;
      };
      await this.change(fail).catch((met: unknown) => {
        if (!isIndexDamaged(met)) throw met;
      });
    }
    await this.change(async () => undefined);
  }

  /** Syncs and releases the folder. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#poison === undefined) await this.change(() => this.#end());
    } finally {
      this.#closed = true;
      await this.#serial.run(async () => {
        if (this.#files !== undefined) await closeQueueFiles(this.#files);
      });
    }
  }

  /** Nothing is left that the next start would have to make up for. */
  async #end(): Promise<void> {
    await this.flush();
    const last = this.#remains;
    if (last === undefined) return;
    const { chain, index } = this.files;
    await this.#poisonOn(async () => {
      await chain.sync();
      await applyRecord(index, last.at, last.header, last.payload);
      index.state.chain = chain.end();
      await index.write();
    });
  }

  /**
   * Appends, syncs and applies; the index is written by the caller. A record that finds no space
   * leaves no trace.
   */
  async #writeChain(records: readonly ChainRecord[]): Promise<void> {
    const { chain, index } = this.files;
    for (const { kind, payload } of records) {
      const digest = sha256(payload);
      const at = await chain.append(kind, payload, digest);
      await this.#poisonOn(async () => {
        await chain.sync();
        this.#remains = undefined;
        const { clearCache } = await applyRecord(
          index,
          at,
          { kind, length: payload.length, digest },
          payload,
        );
        // Before the record counts as applied: a crash in between repeats it.
        if (clearCache === true) await clearCaches(index);
        this.#waiting.chained(kind, payload);
        index.state.chain = chain.end();
        if (kind === 'signed') await this.#keepRemains(decodeSignedRecord(payload).sequence);
      });
    }
  }

  /**
   * What is left of a commit should its record rot stands behind it, once it is durable: so this
   * also says that it was no torn tail. The next record's sync, or the closing, makes it durable.
   */
  async #keepRemains(sequence: number): Promise<void> {
    const { chain, index } = this.files;
    const value = await index.get(numberKey('c', sequence));
    if (value === undefined) throw new TypeError('a commit was signed, and is not in the index');
    const payload = encodeRemains({ sequence, ...decodeCommitPlace(value) });
    const digest = sha256(payload);
    const at = await chain.append('remains', payload, digest);
    const header = { kind: 'remains', length: payload.length, digest } as const;
    this.#remains = { at, header, payload };
  }

  /**
   * For steps after the segments' sync that may leave memory and disk different: only opening again
   * can tell.
   */
  async #poisonOn<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      const { segments, chain } = this.files;
      const isSound = !segments.poisoned && !chain.poisoned;
      if (isSound && isIndexDamaged(error)) this.#fail(error, 'index');
      else this.#fail(error, isSound && isNoSpace(error) ? 'full' : undefined);
      throw error;
    }
  }

  /** The first failure counts: what comes behind it follows from it. */
  #fail(error: unknown, mendable: 'full' | 'index' | undefined): void {
    if (this.#poison !== undefined && this.#mendable === undefined) return;
    this.#poison = error;
    this.#mendable = mendable;
  }

  /**
   * After a full disk, and once there is space, or for a damaged index, the files are opened again
   * and judged as at any start. Only when every version that somebody handed over is synced: else a
   * later `sync` would promise what is gone.
   */
  async #startAgain(): Promise<void> {
    const failed = this.#files;
    if (this.#mendable === 'index') await this.#syncBeforeAnew(failed);
    if (this.#mendable === undefined) throw this.#refusal();
    if ((await freeBytesFor(this.options)) < START_AGAIN_BYTES) throw diskFull(this.#poison);
    this.#files = undefined;
    if (failed !== undefined) await closeQueueFiles(failed).catch(endWith);
    try {
      const files = await openQueueFiles(this.options);
      this.#files = files;
      this.#remains = undefined;
      this.#waiting = new WaitingProof(files);
      this.#poison = undefined;
      this.#unsyncedBytes = 0;
      this.#unsyncedVersions = 0;
      await this.#hooks.reopened(files.lost);
    } catch (error) {
      this.#fail(error, isIndexDamaged(error) ? 'index' : isNoSpace(error) ? 'full' : undefined);
      throw this.#refusal();
    }
  }

  async #syncBeforeAnew(files: QueueFiles | undefined): Promise<void> {
    try {
      await files?.segments.sync();
    } catch (error) {
      if (files?.segments.poisoned === true) this.#fail(error, undefined);
      throw error;
    }
  }

  #refusal(): QueueError {
    if (this.#mendable === 'full') return diskFull(this.#poison);
    if (this.#mendable === 'index') return indexAnew(this.#poison);
    return new QueueError(
      'QUEUE_POISONED',
      'the queue takes nothing more after a failed write; mend the disk and start the agent again',
      { cause: this.#poison },
    );
  }
}
