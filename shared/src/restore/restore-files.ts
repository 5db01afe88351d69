import type { ChunkId, Entry, ListPart, ReadPart, VaultId } from '@aliquot/proto';
import { isOpeningError, type Named, type OpeningError } from '../commit/open-names.ts';
import { release } from '../crypto/bytes.ts';
import { RestoreError } from './errors.ts';
import { type ChunkOpener, hereOpener } from './opener.ts';
import {
  type Batch,
  batches,
  concernsOneFile,
  idKey,
  type Job,
  jobText,
  notDelivered,
  planWork,
  type Work,
} from './plan.ts';
import type { FileSink } from './sink.ts';
import type { RestoreTarget } from './writer.ts';

/** One version to give back: what its entry says in clear, and its two opened parts. */
export interface RestoreItem {
  readonly entry: Pick<Entry, 'kind' | 'size' | 'content'>;
  readonly list: ListPart;
  /** Present exactly when the entry's kind is file, unless it did not open. */
  readonly read: ReadPart | undefined;
  /**
   * Why the hash and keys of a file did not open: it is reported as one that cannot be given back.
   */
  readonly unopened?: OpeningError | undefined;
}

/** An entry with its name open, as the restore takes it: its content keys open only now. */
export function toRestoreItem({
  entry,
  list,
  read,
}: Pick<Named, 'entry' | 'list' | 'read'>): RestoreItem {
  try {
    return { entry, list, read: read() };
  } catch (unopened) {
    if (!isOpeningError(unopened)) throw unopened;
    return { entry, list, read: undefined, unopened };
  }
}

/** A stored chunk or page as it came back; in any order, missing ones left out. */
export interface FetchedItem {
  readonly id: ChunkId;
  readonly bytes: Uint8Array;
}

export interface RestoreRequest {
  readonly vaultId: VaultId;
  /** Drawn one at a time, so a million files are never held at once. */
  readonly items: AsyncIterable<RestoreItem> | Iterable<RestoreItem>;
  /**
   * Gets chunks and pages, at most `MAX_FETCH_IDS` distinct ones per call. Its errors end the
   * restore: retrying and reconnecting are the callee's business. At most a few calls run at once.
   */
  fetchChunks(ids: readonly ChunkId[]): AsyncIterable<FetchedItem>;
  /**
   * Gets a chunk once more whose bytes were not what its id stands for: as its holder proves it, and
   * perhaps has mended it. `undefined` when it has none that is sound.
   */
  fetchAgain?(id: ChunkId): Promise<Uint8Array | undefined>;
  readonly writer: RestoreTarget;
  /** Opens what came; on the spot by default. */
  readonly opener?: ChunkOpener;
  /** `path`: of the file at hand. */
  onProgress?(done: {
    readonly files: number;
    readonly bytes: number;
    readonly path: Uint8Array;
  }): void;
  /** Told of every file that could not be given back; the rest goes on. */
  onFailure?(path: Uint8Array, error: RestoreError): void;
}

export interface RestoreSummary {
  /** Files given back, those that were there already included. */
  readonly files: number;
  /** Of `files`, those whose exact bytes were there before. */
  readonly same: number;
  /**
   * Of `files`, those captured while they grew: every chunk proved itself, and there is no hash of
   * the whole to compare with.
   */
  readonly growing: number;
  readonly directories: number;
  readonly links: number;
  /** Plaintext bytes of the files given back. */
  readonly bytes: number;
  /** Names that could not be given back; each went to `onFailure`. */
  readonly failed: number;
}

/**
 * How many files are written, flushed and named at the same time: hides the disk's latency where
 * files are small. What they hold in memory together is at most the batch that they are written
 * from.
 */
const FILES_AT_ONCE = 16;

/**
 * Gives files, folders and links back: fetches in batches across files (a batch is written while
 * the next are fetched and opened; several files of a batch at a time), opens and proves every
 * chunk, proves every whole file (P2). Memory is bounded by a few batches.
 *
 * A file that cannot be given back goes to `onFailure`, and the rest goes on. A full disk, an error
 * of `fetchChunks` and anything unexpected end the restore: unfinished files are taken away,
 * finished ones stay.
 */
export async function restoreFiles(request: RestoreRequest): Promise<RestoreSummary> {
  const run = new RestoreRun(request);
  return run.go();
}

class RestoreRun {
  readonly #request: RestoreRequest;
  readonly #sinks = new Map<Job, FileSink>();
  #fatal: { readonly error: unknown } | undefined;
  #counts = { files: 0, same: 0, growing: 0, directories: 0, links: 0, bytes: 0, failed: 0 };
  #writtenBytes = 0;
  readonly #finishing = new Set<Promise<void>>();
  /** Files that are begun and not closed. */
  #open = 0;

  constructor(request: RestoreRequest) {
    this.#request = request;
  }

  async go(): Promise<RestoreSummary> {
    const { writer } = this.#request;
    try {
      const work = planWork(this.#request.vaultId, this.#request.items, (ids) => this.#fetch(ids));
      const opening = {
        fetch: (ids: readonly ChunkId[]) => this.#fetch(ids),
        fetchAgain: this.#request.fetchAgain,
        opener: this.#request.opener ?? hereOpener,
      };
      for await (const batch of batches(this.#request.vaultId, work, opening))
        await this.#batch(batch);
      await this.#finished();
    } finally {
      await Promise.all(this.#finishing);
      for (const sink of this.#sinks.values()) await sink.abort();
      for (const { path, error } of await writer.finish()) this.#told(path, error);
    }
    return this.#counts;
  }

  /**
   * Several files side by side, each one's steps in order. Returns, or throws, when none of them is
   * being worked on any more.
   */
  async #batch({ work, opened }: Batch): Promise<void> {
    const jobs = byJob(work);
    const worker = async (): Promise<void> => {
      for (
        let steps = jobs.next();
        steps.done !== true && this.#fatal === undefined;
        steps = jobs.next()
      ) {
        for (const step of steps.value) {
          await this.#step(step, opened).catch((error: unknown) => {
            this.#fatal ??= { error };
          });
          if (this.#fatal !== undefined) return;
        }
      }
    };
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
    for (const one of opened.values()) if ('plain' in one) release(one.plain);
    if (this.#fatal !== undefined) throw this.#fatal.error;
  }

  /**
   * Everything that was being finished is; throws when one of them has met what ends the restore.
   */
  async #finished(): Promise<void> {
    await Promise.all(this.#finishing);
    if (this.#fatal !== undefined) throw this.#fatal.error;
  }

  async #step(step: Work, opened: Batch['opened']): Promise<void> {
    const { job } = step;
    if (job.failed) return;
    try {
      if (step.type === 'begin') await this.#begin(job);
      else if (step.type === 'piece') await this.#piece(step, opened);
      else if (step.type === 'end') await this.#end(job);
      else throw step.error;
    } catch (error) {
      await this.#fail(job, error);
    }
  }

  async #begin(job: Job): Promise<void> {
    const { writer } = this.#request;
    const { entry, list, read } = job.item;
    if (entry.kind === 'directory') {
      await writer.directory(list);
      this.#counts.directories += 1;
    } else if (entry.kind === 'symlink') {
      await writer.symlink(list);
      this.#counts.links += 1;
    } else if (read !== undefined) {
      // Those that are still being flushed count: what is open at once is what the disk and the
      // limit of open files can take.
      while (this.#finishing.size > 0 && this.#open >= FILES_AT_ONCE)
        await Promise.race(this.#finishing);
      this.#open += 1;
      job.open = true;
      this.#sinks.set(job, await writer.file({ ...list, size: entry.size, sha256: read.sha256 }));
    }
  }

  async #piece(piece: Extract<Work, { type: 'piece' }>, opened: Batch['opened']): Promise<void> {
    const one = opened.get(piece);
    if (one === undefined) throw notDelivered(piece.job, 'chunk', piece.ref.id);
    if ('error' in one) throw one.error;
    await this.#sinks.get(piece.job)?.write(one.plain);
    this.#writtenBytes += one.plain.length;
    this.#request.onProgress?.({
      files: this.#counts.files,
      bytes: this.#writtenBytes,
      path: piece.job.item.list.path,
    });
  }

  /**
   * Begins to flush and name a file. That takes the disk a while, and nothing that follows needs
   * it.
   */
  async #end(job: Job): Promise<void> {
    const sink = this.#sinks.get(job);
    if (sink === undefined) return;
    const finishing = this.#finish(job, sink)
      .catch((error: unknown) => this.#fail(job, error))
      .catch((error: unknown) => {
        this.#fatal ??= { error };
      })
      .finally(() => this.#finishing.delete(finishing));
    this.#finishing.add(finishing);
  }

  async #finish(job: Job, sink: FileSink): Promise<void> {
    const outcome = await sink.finish();
    this.#closed(job);
    this.#counts.files += 1;
    this.#counts.bytes += job.item.entry.size;
    if (outcome === 'same') this.#counts.same += 1;
    if (job.item.read?.sha256.length === 0) this.#counts.growing += 1;
    this.#request.onProgress?.({
      files: this.#counts.files,
      bytes: this.#writtenBytes,
      path: job.item.list.path,
    });
  }

  /**
   * One file has failed: it is reported, and its temporary file removed. Rethrows what must end the
   * whole restore.
   */
  async #fail(job: Job, error: unknown): Promise<void> {
    job.failed = true;
    await this.#sinks.get(job)?.abort();
    this.#closed(job);
    const explained = explain(job, error);
    if (!(explained instanceof RestoreError) || explained.code === 'RESTORE_NO_SPACE')
      throw explained;
    this.#told(job.item.list.path, explained);
  }

  #closed(job: Job): void {
    this.#sinks.delete(job);
    if (job.open) this.#open -= 1;
    job.open = false;
  }

  #told(path: Uint8Array, error: RestoreError): void {
    this.#counts.failed += 1;
    this.#request.onFailure?.(path, error);
  }

  async #fetch(ids: readonly ChunkId[]): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    if (ids.length === 0) return found;
    for await (const { id, bytes } of this.#request.fetchChunks(ids)) found.set(idKey(id), bytes);
    return found;
  }
}

/** The steps of a batch, one job after the other: those of one job stand together. */
function* byJob(work: readonly Work[]): Generator<readonly Work[]> {
  let from = 0;
  for (let at = 1; at <= work.length; at += 1) {
    if (at < work.length && work[at]?.job === work[from]?.job) continue;
    yield work.slice(from, at);
    from = at;
  }
}

/** What went wrong with the content is damage of this file; everything else stays what it is. */
function explain(job: Job, error: unknown): unknown {
  if (error instanceof RestoreError || !concernsOneFile(error)) return error;
  return new RestoreError('RESTORE_DAMAGED', `${jobText(job)} was not restored: ${error.message}`, {
    cause: error,
  });
}
