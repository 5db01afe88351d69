import {
  asChunkId,
  decodeEventBody,
  decodeLogLeaf,
  decodeReceiptBody,
  decodeStoredCommit,
  decodeStoredEvent,
  type EventBody,
  FormatError,
  type LogLeaf,
  type ReceiptBody,
  type Signed,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { isRebuild } from '@aliquot/shared/derived/errors';
import { LogError } from '@aliquot/shared/log/errors';
import { leafHash, MerkleLog } from '@aliquot/shared/log/merkle';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import {
  type BrokenRow,
  type ItemSums,
  noItems,
  noSums,
  type Sums,
} from '../catalog/catalog-rows.ts';
import { CatalogChange, type CatalogStore } from '../catalog/catalog-store.ts';
import { Registry } from '../catalog/registry.ts';
import { read } from '../catalog/row-codec.ts';
import { isDamaged, passedOver, StoreError } from '../errors.ts';
import {
  compareHistory,
  type DurablePoint,
  type HistoryLog,
  type HistoryOpening,
  type HistoryPoint,
  historyStart,
} from '../history/history-log.ts';
import type { PackOpening, PackStore } from '../packs/pack-store.ts';
import type { ReportedHead } from '../vault-records.ts';
import { reportedHeadOf } from './apply-event.ts';
import type { DurableMark } from './durable-mark.ts';
import type { VaultMedia } from './media.ts';

/** Leaves behind the newest commit that an opening reads. */
const MOST_PROVED_LEAVES = 64;

/** An accepted opening of a log epoch. */
export interface Opening {
  readonly logEpoch: number;
  readonly opening: Signed;
  readonly leafIndex: number;
  readonly leaf: Uint8Array;
}

/** What a vault's core stands on. */
interface Media {
  readonly history: HistoryLog;
  readonly packs: PackStore;
  readonly catalog: CatalogStore;
}

/** What a vault's core is made of. */
export interface Parts extends Media {
  readonly registry: Registry;
  readonly damaged: Set<string>;
  /** By leaf: accepted commits whose records cannot be read. */
  readonly broken: Map<number, BrokenRow>;
  readonly openings: readonly Opening[];
  readonly log: MerkleLog;
  readonly sums: Sums;
  readonly items: ItemSums;
  readonly lacking: boolean;
  /** How much of the history the catalog knows, and how many bytes of each pack. */
  readonly point: HistoryPoint;
  readonly known: Map<number, number>;
}

/**
 * How history and packs are to be opened: with what is known to be durable of them, so that what is
 * broken there is damage and no torn tail (I-C5); after a failure, with that alone.
 */
export async function openingsOf(
  media: VaultMedia,
  catalog: CatalogStore,
  synced: DurableMark | undefined,
): Promise<{ readonly history: HistoryOpening; readonly packs: PackOpening }> {
  if (synced !== undefined)
    return {
      history: { durable: synced.history, discard: true },
      packs: { durable: synced.packs, discard: true },
    };
  const mark = await media.readMark();
  const durable = await knownPacks(catalog);
  for (const { pack, syncedBytes } of mark?.packs ?? [])
    durable.set(pack, Math.max(syncedBytes, durable.get(pack) ?? 0));
  const points: DurablePoint[] = [await durablePoint(catalog), mark?.history ?? historyStart];
  return {
    history: { durable: points.reduce((a, b) => (compareHistory(a, b) < 0 ? b : a)) },
    packs: { durable: [...durable].map(([pack, syncedBytes]) => ({ pack, syncedBytes })) },
  };
}

/** How much of the history the catalog knows. */
export async function knownHistory(catalog: CatalogStore): Promise<HistoryPoint> {
  const row = await catalog.get(keys.checkpoint);
  return row === undefined ? historyStart : read.point(row);
}

/**
 * Where the newest file was ended, the history ends behind it: the catalog then says so, too. The
 * first file of a history ends none, though it may be empty after a power failure.
 */
export async function noteEnd(core: {
  readonly history: HistoryLog;
  readonly catalog: CatalogStore;
  commitChange(change: CatalogChange, end: HistoryPoint): Promise<void>;
}): Promise<void> {
  const { end } = core.history;
  const known = await knownHistory(core.catalog);
  if (end.offset === 0 && end.file > known.file && compareHistory(known, historyStart) > 0)
    await core.commitChange(new CatalogChange(core.catalog), end);
}

/** The same, with the generation of its file. */
export async function durablePoint(catalog: CatalogStore): Promise<DurablePoint> {
  const point = await knownHistory(catalog);
  const row = await catalog.get(keys.historyFile(point.file));
  return { ...point, generation: row === undefined ? 0 : read.u32(row) };
}

/** How many bytes of each pack the catalog knows. */
export async function knownPacks(catalog: CatalogStore): Promise<Map<number, number>> {
  const known = new Map<number, number>();
  for await (const [key, value] of catalog.scan(ranges.packs))
    known.set(readKey.pack(key), read.u64(value));
  return known;
}

/**
 * Whether this says that the catalog does not fit history and packs, or itself: then it is made
 * again from them. Everything else that stops an opening is the disk's, or a fault of ours, and
 * costs no catalog.
 */
export function isUnfitCatalog(error: unknown): boolean {
  if (error instanceof StoreError) return error.code === 'STORE_CATALOG' || isDamaged(error);
  if (error instanceof LogError)
    return error.code === 'LOG_NODE_MISSING' || error.code === 'LOG_RANGE';
  // A row that points at another record, or whose bytes are no certificate.
  return error instanceof FormatError || isRebuild(error);
}

/** An empty catalog in place of this one; by removing its files when it cannot be believed. */
export async function emptied(catalog: CatalogStore, media: VaultMedia): Promise<CatalogStore> {
  try {
    await catalog.clear();
    return catalog;
  } catch (error) {
    if (!isRebuild(error)) throw error;
    await catalog.close();
    return media.newCatalog();
  }
}

export function nodeStore(catalog: CatalogStore) {
  return {
    get: (level: number, index: number) => catalog.get(keys.node(level, index)),
    put: () => {
      throw new TypeError('nodes are stored with their record');
    },
  };
}

export async function leafRecord(
  history: HistoryLog,
  catalog: CatalogStore,
  leafIndex: number,
): Promise<{ type: 'commit' | 'event'; payload: Uint8Array }> {
  for (;;) {
    const { replaced } = history;
    const row = await catalog.get(keys.leaf(leafIndex));
    if (row === undefined)
      throw new StoreError(
        'STORE_CATALOG',
        `leaf ${leafIndex} is not in the catalog; run aliquot fsck --repair`,
      );
    const { type, place } = read.leaf(row);
    const found = await history.read(place).catch((error: unknown) => {
      if (history.replaced === replaced) throw error;
      return undefined;
    });
    // A file was written anew meanwhile: the place may have been one of the former.
    if (found !== undefined && history.replaced === replaced)
      return { type, payload: found.payload };
  }
}

/**
 * Everything that the catalog knows up to its checkpoint. Throws `STORE_CATALOG` when it does not
 * fit the history or itself.
 */
export async function load({ history, packs, catalog }: Media): Promise<Parts> {
  const sumsRow = await catalog.get(keys.sums);
  const sums = sumsRow === undefined ? noSums : read.sums(sumsRow);
  const itemsRow = await catalog.get(keys.itemSums);
  const items = itemsRow === undefined ? noItems : read.itemSums(itemsRow);
  const eventAt = async (
    leafIndex: number,
  ): Promise<{ event: EventBody; leaf: LogLeaf; leafBytes: Uint8Array }> => {
    const stored = decodeStoredEvent((await leafRecord(history, catalog, leafIndex)).payload);
    return {
      event: decodeEventBody(stored.event),
      leaf: decodeLogLeaf(stored.leaf),
      leafBytes: stored.leaf,
    };
  };
  const registry = await Registry.load(catalog, async (leafIndex): Promise<ReportedHead> => {
    const { event, leaf } = await eventAt(leafIndex);
    if (event.type !== 'headReported')
      throw new StoreError(
        'STORE_CATALOG',
        `leaf ${leafIndex} reports no head; run aliquot fsck --repair`,
      );
    return reportedHeadOf(event, { leafIndex, timeMs: leaf.timeMs });
  });
  const openings: Opening[] = [];
  for await (const [key, value] of catalog.scan(ranges.epochs)) {
    const leafIndex = read.u64(value);
    const { event, leafBytes } = await eventAt(leafIndex);
    if (event.type !== 'epochOpened')
      throw new StoreError(
        'STORE_CATALOG',
        `leaf ${leafIndex} opens no epoch; run aliquot fsck --repair`,
      );
    openings.push({
      logEpoch: readKey.epoch(key),
      opening: event.opening,
      leafIndex,
      leaf: leafBytes,
    });
  }
  const damaged = new Set<string>();
  for await (const [key] of catalog.scan(ranges.damaged))
    damaged.add(Buffer.from(asChunkId(readKey.damaged(key))).toString('latin1'));
  const broken = new Map<number, BrokenRow>();
  for await (const [key, value] of catalog.scan(ranges.broken))
    broken.set(readKey.noteNumber(key), read.broken(value));
  const log = await MerkleLog.open(nodeStore(catalog), sums.leaves);
  await proveTree(history, catalog, log);
  return {
    ...{ history, packs, catalog, registry, damaged, broken, openings, log, sums, items },
    lacking: (await catalog.get(keys.lacking)) !== undefined,
    point: await knownHistory(catalog),
    known: await knownPacks(catalog),
  };
}

/**
 * The tree of the catalog ends as the history says: in it, after the newest commit, stands the root
 * of that commit's receipt, and behind it the leaves of the events since. Heads are signed over
 * this tree, and a signature is not taken back (D5). Throws `STORE_CATALOG`.
 */
async function proveTree(
  history: HistoryLog,
  catalog: CatalogStore,
  { size, root }: MerkleLog,
): Promise<void> {
  const hashes: Uint8Array[] = [];
  let from = size;
  let receipt: ReceiptBody | undefined;
  while (receipt === undefined && from > Math.max(0, size - MOST_PROVED_LEAVES)) {
    from -= 1;
    const record = await leafRecord(history, catalog, from).catch(passedOver);
    if (record === undefined) {
      // Nothing says it but the catalog itself; the receipt before it still proves what it follows.
      const node = await catalog.get(keys.node(0, from));
      if (node === undefined) throw new StoreError('STORE_CATALOG', `leaf ${from} has no node`);
      hashes.unshift(node);
      continue;
    }
    const { type, payload } = record;
    const stored = type === 'commit' ? decodeStoredCommit(payload) : decodeStoredEvent(payload);
    hashes.unshift(leafHash(stored.leaf));
    if ('receipt' in stored) receipt = decodeReceiptBody(stored.receipt.body);
  }
  const tree = await MerkleLog.open(nodeStore(catalog), from);
  const [first = [], ...rest] = hashes.map((hash) => [hash]);
  tree.stage(first);
  const fitsReceipt =
    receipt === undefined ||
    (receipt.leafIndex === from && equalBytes(receipt.head.root, tree.root));
  for (const next of rest) tree.stage(next);
  if (fitsReceipt && equalBytes(tree.root, root)) return;
  throw new StoreError(
    'STORE_CATALOG',
    `the catalog's tree of ${size} leaves is not the history's; run aliquot fsck --repair`,
  );
}
