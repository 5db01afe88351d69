import {
  type AliquotError,
  type ChunkId,
  FormatError,
  MAX_PIECE_PLAIN_BYTES,
  type Ref,
  type VaultId,
} from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { SealError } from '../content/errors.ts';
import { walkContent } from '../content/pages.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { RestoreError } from './errors.ts';
import type { PlacedFile } from './placing.ts';
import type { FileSpec } from './restore-target.ts';

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

/** A small file in one step. */
export interface WholeStep {
  readonly type: 'whole';
  readonly job: Job;
  /** Its only item, and what opens it; undefined for an empty file. */
  readonly from: Pick<ContentStep, 'ref' | 'key' | 'piece'> | undefined;
}

/** What is to be done, in order; the steps of one job stand together. */
export type Work =
  | WholeStep
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

/** Files up to this size come whole, where one item holds them: all pieces of slabs do. */
const WHOLE_BYTES = MAX_PIECE_PLAIN_BYTES;

/**
 * The steps of some files, in runs: of small files without a wait. Pages are fetched when the walk
 * reaches them. Errors of `fetchPage` end it.
 */
export async function* planWork(
  vaultId: VaultId,
  files: readonly PlacedFile[],
  fetchPage: FetchPage,
): AsyncGenerator<Iterable<Work>> {
  let wholes: WholeStep[] = [];
  for (const file of files) {
    const job: Job = { file, failed: false };
    if (comesWhole(file)) {
      wholes.push(wholeStep(job));
      continue;
    }
    if (wholes.length > 0) yield wholes;
    wholes = [];
    for await (const work of planParts(vaultId, job, fetchPage)) yield [work];
  }
  if (wholes.length > 0) yield wholes;
}

function comesWhole({ spec, content, keys, placed }: PlacedFile): boolean {
  const { depth, refs } = content;
  const isOne = depth === 0 && refs.length <= 1 && keys.length === refs.length;
  const size = refs[0]?.plainSize ?? 0;
  return isOne && size <= WHOLE_BYTES && spec.size === size && placed.part === undefined;
}

function wholeStep(job: Job): WholeStep {
  const { content, keys } = job.file;
  const ref = content.refs[0];
  const key = keys[0];
  const from = ref && key && { ref, key, piece: content.piece };
  return { type: 'whole', job, from };
}

async function* planParts(vaultId: VaultId, job: Job, fetchPage: FetchPage): AsyncGenerator<Work> {
  const { file } = job;
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

/** Groups the steps of some files into batches: the last one ends with them. */
export async function* batchesOf(work: AsyncIterable<Iterable<Work>>): AsyncGenerator<Batch> {
  let steps: { work: Work; at: number }[] = [];
  let ids: ChunkId[] = [];
  let bytes = 0;
  for await (const run of work) {
    for (const step of run) {
      const ref = refOf(step);
      const last = ids.at(-1);
      const isSame = ref === undefined || (last !== undefined && equalBytes(last, ref.id));
      const isFull =
        bytes >= BATCH_BYTES || ids.length >= MAX_FETCH_IDS || steps.length >= BATCH_STEPS;
      if (isFull && (!isSame || steps.length >= MOST_STEPS)) {
        yield { steps, ids };
        [steps, ids, bytes] = [[], [], 0];
      }
      if (ref !== undefined) {
        if (ids.length === 0 || !isSame) ids.push(ref.id);
        bytes += ref.plainSize;
      }
      steps.push({ work: step, at: ids.length - 1 });
    }
  }
  if (steps.length > 0) yield { steps, ids };
}

function refOf(step: Work): Ref | undefined {
  if (step.type === 'content') return step.ref;
  return step.type === 'whole' ? step.from?.ref : undefined;
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

/**
 * What goes wrong with the content of a file is damage of that file; everything else stays what it
 * is.
 */
export function explain(file: SpokenFile, error: unknown): unknown {
  if (error instanceof RestoreError || !concernsOneFile(error)) return error;
  const lacks = error instanceof SealError && error.code === 'SEAL_PIECE_MISSING';
  return new RestoreError(
    lacks ? 'RESTORE_MISSING_CHUNK' : 'RESTORE_DAMAGED',
    `${fileText(file)} was not restored: ${error.message}`,
    { cause: error },
  );
}

/** What to say of a file of which an item did not come. */
export function notDelivered(
  file: SpokenFile,
  what: 'chunk' | 'page' | 'slab',
  id: ChunkId,
): RestoreError {
  const short = Buffer.from(id).toString('hex', 0, 8);
  const says = `${fileText(file)} was not restored: ${what} ${short} was not delivered; run aliquot fsck on the collector`;
  return new RestoreError('RESTORE_MISSING_CHUNK', says);
}

/** A file, as far as it is spoken of. */
export interface SpokenFile {
  readonly spec: Pick<FileSpec, 'path'>;
}

/** A file's path, for people. */
function fileText({ spec }: SpokenFile): string {
  return printable(pathText(spec.path));
}
