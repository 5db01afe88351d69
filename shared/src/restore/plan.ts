import {
  type AliquotError,
  type ChunkId,
  FormatError,
  type Ref,
  type VaultId,
} from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { SealError } from '../content/errors.ts';
import { walkContent } from '../content/pages.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { RestoreError } from './errors.ts';
import type { PlacedFile } from './placing.ts';

/**
 * At most this many ids are asked for at once; the wire's limit is above it. Test only: nobody else
 * needs to count.
 */
export const MAX_FETCH_IDS = 512;
/** A batch ends when its items stand for this many plaintext bytes. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** A batch of small or empty files ends after this many steps. */
const BATCH_STEPS = 2048;
/** The steps of one slab stay together, up to so many: the slab is fetched once. */
const MOST_STEPS = 2 * BATCH_STEPS;

/** One file under way. */
export interface Job {
  readonly file: PlacedFile;
  /** Set when it cannot be given back; its remaining steps are skipped. */
  failed: boolean;
}

/** The next bytes of a file: a chunk, or a piece of a slab. */
export interface ContentStep {
  readonly type: 'content';
  readonly job: Job;
  readonly ref: Ref;
  readonly key: Uint8Array;
  /** As `Content.piece`. */
  readonly piece: number;
}

/** What is to be done, in order; the steps of one job stand together. */
export type Work =
  /** `from`: so many bytes of it are in the part that was found. */
  | { readonly type: 'begin'; readonly job: Job; readonly from: number }
  | ContentStep
  | { readonly type: 'end'; readonly job: Job }
  /** The list of its chunks could not be read to the end. */
  | { readonly type: 'broken'; readonly job: Job; readonly error: unknown };

/** Steps whose items are asked for at once. */
export interface Batch {
  readonly steps: readonly {
    readonly work: Work;
    /** Which of `ids` it needs, where it needs one. */
    readonly at: number;
  }[];
  /** In the order of the steps; one that several steps in a row need stands here once. */
  readonly ids: readonly ChunkId[];
}

/** The stored bytes of a page; `undefined` when they do not come. */
export type FetchPage = (id: ChunkId) => Promise<Uint8Array | undefined>;

/**
 * The steps of some files; pages are fetched when the walk reaches them. Errors of `fetchPage` end
 * it.
 */
export async function* planWork(
  vaultId: VaultId,
  files: Iterable<PlacedFile>,
  fetchPage: FetchPage,
): AsyncGenerator<Work> {
  for (const file of files) {
    const job: Job = { file, failed: false };
    const { content, keys, placed } = file;
    const pageOf = async ({ id }: Ref) => {
      const page = await fetchPage(id);
      if (page === undefined) throw notDelivered(file, 'page', id);
      return page;
    };
    const there = placed.part?.size ?? 0;
    let [from, isBegun] = [0, false];
    try {
      for await (const { ref, key, offset } of walkContent(vaultId, content, keys, pageOf)) {
        if (job.failed) break;
        const end = offset + ref.plainSize;
        if (!isBegun && end <= there) {
          from = end;
          continue;
        }
        if (!isBegun) yield { type: 'begin', job, from };
        isBegun = true;
        yield { type: 'content', job, ref, key, piece: content.piece };
      }
      if (!isBegun) yield { type: 'begin', job, from };
      yield { type: 'end', job };
    } catch (error) {
      if (!concernsOneFile(error)) throw error;
      yield { type: 'broken', job, error };
    }
  }
}

/** Groups the steps of some files into batches: the last one ends with them. */
export async function* batchesOf(work: AsyncIterable<Work>): AsyncGenerator<Batch> {
  let steps: { work: Work; at: number }[] = [];
  let ids: ChunkId[] = [];
  let bytes = 0;
  for await (const step of work) {
    const last = ids.at(-1);
    const isSame = step.type !== 'content' || (last !== undefined && equalBytes(last, step.ref.id));
    const isFull =
      bytes >= BATCH_BYTES || ids.length >= MAX_FETCH_IDS || steps.length >= BATCH_STEPS;
    if (isFull && (!isSame || steps.length >= MOST_STEPS)) {
      yield { steps, ids };
      [steps, ids, bytes] = [[], [], 0];
    }
    if (step.type === 'content') {
      if (ids.length === 0 || !isSame) ids.push(step.ref.id);
      bytes += step.ref.plainSize;
    }
    steps.push({ work: step, at: ids.length - 1 });
  }
  if (steps.length > 0) yield { steps, ids };
}

/**
 * Whether an error says something about one file's content, and not about the connection or the
 * program.
 */
export function concernsOneFile(error: unknown): error is AliquotError {
  return (
    error instanceof RestoreError || error instanceof SealError || error instanceof FormatError
  );
}

/** What to say of a file of which an item did not come. */
export function notDelivered(
  file: PlacedFile,
  what: 'chunk' | 'page' | 'slab',
  id: ChunkId,
): RestoreError {
  const short = Buffer.from(id).toString('hex', 0, 8);
  const says = `${fileText(file)} was not restored: ${what} ${short} was not delivered; run aliquot fsck on the collector`;
  return new RestoreError('RESTORE_MISSING_CHUNK', says);
}

/** A file's path, for people. */
export function fileText({ spec }: PlacedFile): string {
  return printable(pathText(spec.path));
}
