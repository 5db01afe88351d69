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
import type { ChunkOpener, OpenedPiece, SealedPiece } from './opener.ts';
import type { RestoreItem, RestoreRequest } from './restore-files.ts';

/**
 * At most this many distinct ids are asked for at once; the wire's limit is above it. Test only:
 * nobody else needs to count.
 */
export const MAX_FETCH_IDS = 512;
/**
 * A batch ends when its chunks stand for this many plaintext bytes: a few batches bound the memory
 * of a restore.
 */
const BATCH_BYTES = 4 * 1024 * 1024;
/** Batches on their way while one is written: two that are fetched, one that is opened. */
const BATCHES_AHEAD = 3;
/** A batch of small or empty files ends after this many steps. */
const BATCH_STEPS = 2048;

/** One version under way. */
export interface Job {
  readonly item: RestoreItem;
  /** Set when it cannot be given back; its remaining steps are skipped. */
  failed: boolean;
  /** Whether its file is open. */
  open: boolean;
}

/** What is to be done, in order; the steps of one job stand together. */
export type Work =
  | { readonly type: 'begin'; readonly job: Job }
  | { readonly type: 'piece'; readonly job: Job; readonly ref: Ref; readonly key: Uint8Array }
  | { readonly type: 'end'; readonly job: Job }
  /** Its keys do not open, or the list of its chunks could not be read to the end. */
  | { readonly type: 'broken'; readonly job: Job; readonly error: unknown };

export interface Batch {
  readonly work: readonly Work[];
  /** The opened chunk of each piece; `undefined` where its bytes did not come. */
  readonly opened: ReadonlyMap<Work, OpenedPiece>;
}

export type Fetch = (ids: readonly ChunkId[]) => Promise<ReadonlyMap<string, Uint8Array>>;

/** Ids as map keys: latin1 is one character a byte. */
export function idKey(id: ChunkId): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
}

/**
 * The steps of all items; pages are fetched when the walk reaches them. Errors of `fetch` end it.
 */
export async function* planWork(
  vaultId: VaultId,
  items: AsyncIterable<RestoreItem> | Iterable<RestoreItem>,
  fetch: Fetch,
): AsyncGenerator<Work> {
  for await (const item of items) {
    const job: Job = { item, failed: false, open: false };
    if (item.entry.kind === 'gone') continue;
    if (item.entry.kind === 'file' && item.read === undefined) {
      yield { type: 'broken', job, error: notOpened(job) };
      continue;
    }
    yield { type: 'begin', job };
    if (item.read === undefined) continue;
    const fetchPage = async (ref: Ref) => {
      const page = (await fetch([ref.id])).get(idKey(ref.id));
      if (page === undefined) throw notDelivered(job, 'page', ref.id);
      return page;
    };
    try {
      for await (const { ref, key } of walkContent(
        vaultId,
        item.entry.content,
        item.read.keys,
        fetchPage,
      )) {
        if (job.failed) break;
        yield { type: 'piece', job, ref, key };
      }
      yield { type: 'end', job };
    } catch (error) {
      if (!concernsOneFile(error)) throw error;
      yield { type: 'broken', job, error };
    }
  }
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

export function notDelivered(job: Job, what: 'chunk' | 'page', id: ChunkId): RestoreError {
  const short = Buffer.from(id).toString('hex', 0, 8);
  const says = `${jobText(job)} was not restored: ${what} ${short} was not delivered; run aliquot fsck on the collector`;
  return new RestoreError('RESTORE_MISSING_CHUNK', says);
}

function notOpened(job: Job): RestoreError {
  const cause = job.item.unopened;
  const why = cause === undefined ? '' : ` (${cause.code})`;
  return new RestoreError(
    'RESTORE_DAMAGED',
    `${jobText(job)} was not restored: its hash and keys do not open${why}`,
    { cause },
  );
}

export function jobText(job: Job): string {
  return printable(pathText(job.item.list.path));
}

/** Whether these are not the bytes that the id stands for. */
function isAnother(error: unknown): boolean {
  return error instanceof SealError && error.code === 'SEAL_ID_MISMATCH';
}

/** What `batches` gets and opens chunks with. */
interface Opening {
  readonly fetch: Fetch;
  readonly fetchAgain: RestoreRequest['fetchAgain'];
  readonly opener: ChunkOpener;
}

/** Groups steps into batches; the next ones are fetched and opened while one is worked on. */
export async function* batches(
  vaultId: VaultId,
  work: AsyncIterable<Work>,
  { fetch, fetchAgain, opener }: Opening,
): AsyncGenerator<Batch> {
  const ahead: Promise<Batch>[] = [];
  for await (const { steps, ids } of grouped(work)) {
    const next = fetch(ids).then(async (items) => ({
      work: steps,
      opened: await openAll(vaultId, steps, items, { fetchAgain, opener }),
    }));
    // thrown where it is awaited; must not count as unhandled until then
    next.catch(() => undefined);
    ahead.push(next);
    if (ahead.length > BATCHES_AHEAD) yield (await ahead.shift()) as Batch;
  }
  for (const next of ahead) yield await next;
}

/** Opens every piece whose bytes came: once for all that refer to them alike. */
async function openAll(
  vaultId: VaultId,
  steps: readonly Work[],
  items: ReadonlyMap<string, Uint8Array>,
  { fetchAgain, opener }: Omit<Opening, 'fetch'>,
): Promise<ReadonlyMap<Work, OpenedPiece>> {
  const firsts = new Map<string, { readonly piece: SealedPiece; readonly index: number }>();
  const pieces: SealedPiece[] = [];
  const indexOf = new Map<Work, number>();
  for (const step of steps) {
    if (step.type !== 'piece') continue;
    const name = idKey(step.ref.id);
    const sealed = items.get(name);
    if (sealed === undefined) continue;
    const first = firsts.get(name);
    const alike =
      first !== undefined &&
      equalBytes(first.piece.key, step.key) &&
      first.piece.ref.plainSize === step.ref.plainSize;
    if (alike) {
      indexOf.set(step, first.index);
      continue;
    }
    // Of two references to one chunk that do not say the same, at most one opens it; each has its
    // own bytes to try.
    const piece = {
      ref: step.ref,
      key: step.key,
      sealed: first === undefined ? sealed : sealed.slice(),
    };
    if (first === undefined) firsts.set(name, { piece, index: pieces.length });
    indexOf.set(step, pieces.length);
    pieces.push(piece);
  }
  const opened = pieces.length === 0 ? [] : [...(await opener.open(vaultId, pieces))];
  for (const [index, one] of opened.entries()) {
    const piece = pieces[index];
    if (piece === undefined || !('error' in one) || !isAnother(one.error)) continue;
    const again = await fetchAgain?.(piece.ref.id);
    const [mended] =
      again === undefined ? [] : await opener.open(vaultId, [{ ...piece, sealed: again }]);
    if (mended !== undefined) opened[index] = mended;
  }
  const found = new Map<Work, OpenedPiece>();
  for (const [step, index] of indexOf) {
    const one = opened[index];
    if (one !== undefined) found.set(step, one);
  }
  return found;
}

async function* grouped(
  work: AsyncIterable<Work>,
): AsyncGenerator<{ steps: Work[]; ids: ChunkId[] }> {
  let steps: Work[] = [];
  let ids = new Map<string, ChunkId>();
  let bytes = 0;
  for await (const step of work) {
    steps.push(step);
    if (step.type === 'piece' && !ids.has(idKey(step.ref.id))) {
      ids.set(idKey(step.ref.id), step.ref.id);
      bytes += step.ref.plainSize;
    }
    if (bytes < BATCH_BYTES && ids.size < MAX_FETCH_IDS && steps.length < BATCH_STEPS) continue;
    yield { steps, ids: [...ids.values()] };
    steps = [];
    ids = new Map();
    bytes = 0;
  }
  if (steps.length > 0) yield { steps, ids: [...ids.values()] };
}
