import {
  decodePage,
  decodeSlab,
  FormatError,
  isSlabDirectory,
  type LineageId,
  slabOutline,
  splitItems,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { digestsAt, type Hasher, hereHasher, type Span } from '@aliquot/shared/hashing/hasher';
import type { ProofPlan } from '@aliquot/shared/records/format';
import { planOf } from '@aliquot/shared/records/payload';
import { type ItemRow, isHeld, slabIn } from '../catalog/item-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import { StoreError } from '../errors.ts';
import { packFormat } from '../packs/pack-format.ts';
import type { ItemBody, PutItem } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import type { PendingUploads } from './pending-uploads.ts';

/**
 * Bytes put in one go: a fraction of a pack, so that a batch always fits a fresh one.
 */
const BATCH_BYTES = 8 * 1024 * 1024;
/** Items put in one go: bounds the time that other agents wait for the queue. */
const BATCH_ITEMS = 1024;

/** Throws `STORE_BAD_ITEM`. */
function refuse({ id, kind }: Pick<PutItem, 'id' | 'kind'>, why: string, cause?: unknown): never {
  const says = `${kind} ${hex(id).slice(0, 16)}: ${why}`;
  throw new StoreError('STORE_BAD_ITEM', says, { cause });
}

/**
 * What proves an item against its id. Throws `STORE_BAD_ITEM` where no item looks like these bytes.
 */
function planFor(item: PutItem): ProofPlan {
  const { kind, bytes } = item;
  if (bytes.length === 0 || bytes.length > packFormat.kinds[kind].maxBytes)
    refuse(item, `${bytes.length} bytes are not a sealed ${kind}`);
  if (kind === 'slab') checkWhole(item);
  return planOf(packFormat.kinds[kind], bytes) ?? refuse(item, 'it cannot be one');
}

/** Who sends a slab has all of it: what it lacked would be missing wherever it is referred to. */
function checkWhole(item: PutItem): void {
  known(item, () => decodeSlab(item.bytes));
  if (slabOutline(item.bytes).marks !== undefined)
    refuse(item, 'it lacks pieces, and only whole slabs are taken');
}

/** Throws `STORE_BAD_ITEM` unless the hashes of what the plan names are those of the item. */
function checkItem(item: PutItem, plan: ProofPlan, hashes: Uint8Array): void {
  const { id, kind, bytes } = item;
  if (!plan.holds(bytes, id, hashes)) refuse(item, 'its bytes do not have that id');
  if (kind === 'page') known(item, () => decodePage(bytes));
  else if (kind === 'chunk' && isSlabDirectory(bytes))
    refuse(item, 'it is the directory of a slab, and no chunk');
}

/** Runs a decoder; what it refuses is `STORE_BAD_ITEM`. */
function known(item: PutItem, decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (error instanceof FormatError) refuse(item, error.message, error);
    throw error;
  }
}

/**
 * Throws `STORE_BAD_ITEM` for the first that is not what its id and kind say; hashes on the spot.
 */
export async function checkItems(items: readonly PutItem[]): Promise<void> {
  for (const item of items) {
    const plan = planFor(item);
    const hashed = await hereHasher.hash(item.bytes, plan.spans);
    checkItem(item, plan, hashed.digests);
  }
}

/**
 * The items of some bodies, in order and proved, as views of `bytes`. The bodies are taken over:
 * these bytes are what the hasher gave back.
 */
export async function checkedItems(
  hasher: Hasher,
  bodies: readonly ItemBody[],
): Promise<{ readonly items: readonly PutItem[]; readonly bytes: readonly Uint8Array[] }> {
  const plans = bodies.map(plansFor);
  const hashed = await hasher.hashMany(
    bodies.map(({ body }, at) => ({ bytes: body, spans: plans[at]?.spans ?? [] })),
  );
  const items = hashed.flatMap((one, at) => {
    const put = [...splitItems(bodies[at]?.items ?? [], one.bytes)];
    let next = 0;
    for (const [index, plan] of (plans[at]?.plans ?? []).entries()) {
      const item = put[index];
      const count = plan.spans.length;
      if (item !== undefined) checkItem(item, plan, digestsAt(one, next, count));
      next += count;
    }
    return put;
  });
  return { items, bytes: hashed.map(({ bytes }) => bytes) };
}

/** What proves each item of a body, and all that is to be hashed of it. */
function plansFor({ items, body }: ItemBody): {
  readonly plans: ProofPlan[];
  readonly spans: Span[];
} {
  const spans: Span[] = [];
  const plans: ProofPlan[] = [];
  let offset = 0;
  for (const item of splitItems(items, body)) {
    const plan = planFor(item);
    for (const span of plan.spans)
      spans.push({ offset: offset + span.offset, length: span.length });
    plans.push(plan);
    offset += item.bytes.length;
  }
  return { plans, spans };
}

/** The items in runs that are put in one go. */
export function* batches(items: readonly PutItem[]): Generator<PutItem[]> {
  let batch: PutItem[] = [];
  let bytes = 0;
  for (const item of items) {
    if (
      batch.length > 0 &&
      (bytes + item.bytes.length > BATCH_BYTES || batch.length >= BATCH_ITEMS)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += item.bytes.length;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Stores those that are not held yet (or no longer sound), and notes all that are new to the
 * lineage as uploaded by it. Answers with the bytes that were written, and those that only others
 * had.
 */
export async function storeItems(
  core: VaultCore,
  uploads: PendingUploads,
  lineageId: LineageId,
  items: readonly PutItem[],
): Promise<{ readonly written: number; readonly borrowed: number }> {
  const ids = items.map(({ id }) => id);
  const { rows, change, owned } = await core.items.look(lineageId, ids);
  const fresh = new Map<string, PutItem>();
  for (const [index, item] of items.entries()) {
    if (isWanting(rows[index]) || core.items.isDamaged(item.id)) fresh.set(idName(item.id), item);
  }
  uploads.touch(lineageId, ids);
  uploads.thin.stored(ids);
  const put = [...fresh.values()];
  if (put.length > 0) await core.items.put(put, change);
  const before = owned();
  const added = items.filter((_, index) => before[index] === undefined);
  const borrowed = added.filter(({ id }) => !fresh.has(idName(id)) && !uploads.has(lineageId, id));
  uploads.add(
    lineageId,
    added.map(({ id }) => id),
    core.items.puts,
    borrowed.length > 0,
  );
  return { written: bytesOf(put), borrowed: bytesOf(borrowed) };
}

function bytesOf(items: readonly PutItem[]): number {
  return items.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** Whether an item is in no pack, or a slab of which pieces are in none. */
function isWanting(row: ItemRow | undefined): boolean {
  return !isHeld(row) || slabIn(row)?.here !== undefined;
}
