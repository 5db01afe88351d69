import {
  decodeLogLeaf,
  FormatError,
  type ReceiptBody,
  type StoredCommit,
  type StoredEvent,
  type StoredReferences,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange } from '../catalog/catalog-store.ts';
import { StoreError, type UnfitRecord } from '../errors.ts';
import type { HistoryItem, HistoryPoint } from '../history/history-log.ts';
import { applyLeafOnly } from './apply.ts';
import type { VaultCore } from './core.ts';
import type { LeafPlace } from './effect.ts';
import type { VaultMedia } from './media.ts';

/*
 * Each commit and event of a history is a leaf of its log: where a replay puts it, that its receipt
 * is for that very log, and what becomes of one that cannot be applied.
 */

/**
 * Looks at each commit and event before it is taken in: fsck's way to prove what a start takes on
 * trust.
 */
export interface ReplayAudit {
  commit(core: VaultCore, stored: StoredCommit, where: string): Promise<void>;
  event(core: VaultCore, stored: StoredEvent, where: string): Promise<void>;
  references(core: VaultCore, stored: StoredReferences, where: string): Promise<void>;
}

export interface ReplayOptions {
  readonly nameOf: VaultMedia['nameOf'];
  readonly audit?: ReplayAudit | undefined;
  readonly until?: HistoryPoint;
  readonly onUnfit?: ((record: UnfitRecord) => void) | undefined;
}

/** Puts the leaf of a record at the end of the log. */
export function leafPlaceOf(core: VaultCore, { place }: HistoryItem, leaf: Uint8Array): LeafPlace {
  const leafIndex = core.log.size;
  return {
    leafIndex,
    timeMs: core.registry.times.of(leafIndex, decodeLogLeaf(leaf).timeMs),
    bytes: leaf,
    nodes: core.stageLeaf(leaf),
    place,
  };
}

/**
 * Applies a record whose leaf stands in the log. One that cannot be applied was taken in by a fault
 * of ours, and must not keep the vault from its history: only its leaf is entered, so that the log
 * and everything behind it stay whole.
 */
export async function orPassedOver(
  core: VaultCore,
  item: HistoryItem,
  place: LeafPlace,
  { onUnfit, nameOf }: ReplayOptions,
  apply: () => Promise<void>,
): Promise<void> {
  try {
    await apply();
  } catch (error) {
    const isUnfit =
      error instanceof FormatError || (error instanceof StoreError && error.code === 'STORE_UNFIT');
    if (!isUnfit) throw error;
    if (item.kind === 'commit' || item.kind === 'thinned') {
      const change = new CatalogChange(core.catalog);
      await applyLeafOnly(change, 'commit', place);
      await core.commitChange(change, item.end);
    } else await enterUnread(core, item, place);
    onUnfit?.({ type: 'record', where: nameOf(item.place), why: error.message });
  }
}

/** Enters the leaf of an event alone, and that nobody knows what it said. */
export async function enterUnread(
  core: VaultCore,
  item: HistoryItem,
  place: LeafPlace,
): Promise<void> {
  const { leafIndex } = place;
  const change = new CatalogChange(core.catalog);
  await applyLeafOnly(change, 'event', place);
  change.put(keys.unreadEvent(leafIndex), Buffer.alloc(0));
  await core.commitChange(change, item.end, (live) => {
    live.unreadEvents = [...live.unreadEvents, leafIndex];
  });
}

/** The receipt is for the log with this leaf, which stands at its end. */
export function requireFit(
  core: VaultCore,
  { leafIndex, head }: ReceiptBody,
  leaf: LeafPlace,
  where: string,
): void {
  const fits =
    leafIndex === leaf.leafIndex &&
    equalBytes(head.root, core.log.root) &&
    head.logEpoch === core.sums.logEpoch;
  if (fits) return;
  throw corrupt(
    where,
    `the receipt of leaf ${leafIndex} does not fit the log of ${leaf.leafIndex} leaves before it`,
  );
}

/** The history is not what this store wrote. */
export function corrupt(where: string, why: string, cause?: unknown): StoreError {
  const says = `${where}: ${why}; aliquot fsck --data DIR tells more`;
  return new StoreError('STORE_CORRUPT', says, { cause });
}
