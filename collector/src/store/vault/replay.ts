import {
  type AgentId,
  decodeEventBody,
  decodeLogLeaf,
  decodeReceiptBody,
  decodeStoredCommit,
  decodeStoredEvent,
  decodeStoredReferences,
  decodeStoredUploads,
  FormatError,
  type ReceiptBody,
  type StoredCommit,
  type StoredEvent,
  type StoredReferences,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { CatalogChange, FLUSH_CHANGES } from '../catalog/catalog-store.ts';
import { contentsOf } from '../catalog/named-contents.ts';
import { StoreError, type UnfitRecord } from '../errors.ts';
import { compareHistory, type HistoryItem, type HistoryPoint } from '../history/history-log.ts';
import { applyCommit, applyEvent, applyLeafOnly, applyReferences, applyUploads } from './apply.ts';
import type { VaultCore } from './core.ts';
import type { Effect, LeafPlace } from './effect.ts';
import type { VaultMedia } from './media.ts';
import { routeOf } from './route.ts';

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

/**
 * Takes everything behind `from` into the catalog, as the live store did when it appended it; reads
 * no data. Memory stays bounded: the catalog is flushed now and then (the history was synced when
 * it was opened). Stops at `until` when that is given, and tells whether it came by.
 */
export async function replayInto(
  core: VaultCore,
  from: HistoryPoint,
  options: ReplayOptions,
): Promise<boolean> {
  const { until } = options;
  if (until !== undefined && compareHistory(from, until) === 0) return true;
  for await (const item of core.history.replay(from)) {
    await replayRecord(core, item, options);
    if (core.catalog.pendingChanges >= FLUSH_CHANGES) await core.catalog.flush();
    const order = until === undefined ? -1 : compareHistory(item.end, until);
    if (order >= 0) return order === 0;
  }
  return false;
}

async function replayRecord(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  try {
    switch (item.kind) {
      case 'uploads':
        return await replayUploads(core, item);
      case 'references':
        return await replayReferences(core, item, options);
      case 'event':
        return await replayEvent(core, item, options);
      case 'commit':
        return await replayCommit(core, item, options);
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw corrupt(options.nameOf(item.place), error.message, error);
  }
}

async function replayUploads(core: VaultCore, item: HistoryItem): Promise<void> {
  const change = new CatalogChange(core.catalog);
  const effect = await applyUploads(change, decodeStoredUploads(item.payload));
  await core.commitChange(change, item.end, effect);
}

async function replayReferences(
  core: VaultCore,
  item: HistoryItem,
  { audit, nameOf }: ReplayOptions,
): Promise<void> {
  const stored = decodeStoredReferences(item.payload);
  await audit?.references(core, stored, nameOf(item.place));
  const change = new CatalogChange(core.catalog);
  const effect = await applyReferences(change, stored);
  await core.commitChange(change, item.end, effect);
}

async function replayEvent(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  const stored = decodeStoredEvent(item.payload);
  await options.audit?.event(core, stored, options.nameOf(item.place));
  const place = leafPlaceOf(core, item, stored.leaf);
  await orPassedOver(core, item, place, options, async () => {
    const event = decodeEventBody(stored.event);
    const change = new CatalogChange(core.catalog);
    const effect: Effect = await applyEvent(change, event, place, core.registry);
    await core.commitChange(change, item.end, effect);
    core.noteOpening(event, place.leafIndex, stored.leaf);
  });
}

/** Puts the leaf of a record at the end of the log. */
function leafPlaceOf(core: VaultCore, { place }: HistoryItem, leaf: Uint8Array): LeafPlace {
  const leafIndex = core.log.size;
  return {
    leafIndex,
    timeMs: decodeLogLeaf(leaf).timeMs,
    nodes: core.stageLeaf(leaf),
    place,
  };
}

/**
 * Applies a record whose leaf stands in the log. One that cannot be applied was taken in by a fault
 * of ours, and must not keep the vault from its history: only its leaf is entered, so that the log
 * and everything behind it stay whole.
 */
async function orPassedOver(
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
    const change = new CatalogChange(core.catalog);
    await applyLeafOnly(change, item.kind === 'commit' ? 'commit' : 'event', place);
    await core.commitChange(change, item.end);
    onUnfit?.({ type: 'record', where: nameOf(item.place), why: error.message });
  }
}

async function replayCommit(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  const stored = decodeStoredCommit(item.payload);
  await options.audit?.commit(core, stored, options.nameOf(item.place));
  const receiptBody = decodeReceiptBody(stored.receipt.body);
  const leaf = leafPlaceOf(core, item, stored.leaf);
  const { head } = receiptBody;
  if (
    receiptBody.leafIndex !== leaf.leafIndex ||
    !equalBytes(head.root, core.log.root) ||
    head.logEpoch !== core.sums.logEpoch
  )
    throw corrupt(
      options.nameOf(item.place),
      `the receipt of leaf ${receiptBody.leafIndex} does not fit the log of ${leaf.leafIndex} leaves before it`,
    );
  await orPassedOver(core, item, leaf, options, () =>
    enterCommit(core, item, stored, receiptBody, leaf),
  );
}

async function enterCommit(
  core: VaultCore,
  item: HistoryItem,
  stored: StoredCommit,
  receiptBody: ReceiptBody,
  leaf: LeafPlace,
): Promise<void> {
  const { header, hash, rows } = readCommit(stored.commit);
  const row = core.registry.row(header.agentId as AgentId);
  if (row === undefined)
    throw new StoreError('STORE_UNFIT', 'a commit of an agent that never enrolled');
  // fsck reports what follows nothing here; it was accepted, so it is kept with the trunk.
  const route = await routeOf(core, row.lineageId, header, hash);
  const place =
    route.type === 'unknown-parent'
      ? { branchId: row.lineageId, parentReceivedMs: undefined }
      : route;
  const change = new CatalogChange(core.catalog);
  const effect = await applyCommit(change, {
    header,
    hash,
    ...{ rows, contents: contentsOf(rows) },
    lineageId: row.lineageId,
    branchId: place.branchId,
    earliestMs: place.parentReceivedMs ?? row.enrolledAtMs,
    receipt: stored.receipt,
    receiptBody,
    leaf,
  });
  await core.commitChange(change, item.end, effect);
}

function corrupt(where: string, why: string, cause?: unknown): StoreError {
  const says = `${where}: ${why}; aliquot fsck --data DIR tells more`;
  return new StoreError('STORE_CORRUPT', says, { cause });
}
