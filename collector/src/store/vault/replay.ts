import {
  type AgentId,
  decodeEventBody,
  decodeReceiptBody,
  decodeStoredCommit,
  decodeStoredDropped,
  decodeStoredEvent,
  decodeStoredExpired,
  decodeStoredPurged,
  decodeStoredReferences,
  decodeStoredSwept,
  decodeStoredUploads,
  FormatError,
  type LineageId,
  type ReceiptBody,
  type StoredCommit,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { CatalogChange, FLUSH_CHANGES } from '../catalog/catalog-store.ts';
import { contentsOf, type NamedContents } from '../catalog/named-contents.ts';
import type { VersionPlace } from '../catalog/version-rows.ts';
import { StoreError } from '../errors.ts';
import { compareHistory, type HistoryItem, type HistoryPoint } from '../history/history-log.ts';
import { applyCommit, applyReferences, applyUploads } from './apply.ts';
import { applyDropped } from './apply-dropped.ts';
import { applyEvent } from './apply-event.ts';
import { applyPurged } from './apply-purges.ts';
import { applyExpired } from './apply-retention.ts';
import { applySwept } from './apply-swept.ts';
import type { VaultCore } from './core.ts';
import type { Effect, LeafPlace } from './effect.ts';
import { namedVersions, sizeIn } from './named-versions.ts';
import { own } from './own-items.ts';
import { withholdUnread } from './purge-commits.ts';
import { replayBroken } from './replay-broken.ts';
import {
  corrupt,
  leafPlaceOf,
  orPassedOver,
  type ReplayOptions,
  requireFit,
} from './replay-leaf.ts';
import { routeOf } from './route.ts';

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
  let next = core.history.end;
  for await (const item of core.history.replay(from)) {
    if (until !== undefined && compareHistory(item.place, until) > 0) {
      next = item.place;
      break;
    }
    await replayRecord(core, item, options);
    if (core.catalog.pendingChanges >= FLUSH_CHANGES) await core.catalog.flush();
    const order = until === undefined ? -1 : compareHistory(item.end, until);
    if (order >= 0) return order === 0;
  }
  if (until?.offset !== 0 || until.file !== next.file) return false;
  // Behind a file that was ended, before the first record of the next one (`noteEnd`).
  await core.commitChange(new CatalogChange(core.catalog), until);
  return true;
}

async function replayRecord(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  try {
    if (item.isBroken === true) return await replayBroken(core, item, options);
    switch (item.kind) {
      case 'uploads':
        return await replayUploads(core, item);
      case 'references':
        return await replayReferences(core, item, options);
      case 'dropped':
        return await replayDropped(core, item);
      case 'swept':
        return await replaySwept(core, item);
      case 'expired':
        return await replayExpired(core, item);
      case 'purged':
        return await replayPurged(core, item);
      case 'event':
        return await replayEvent(core, item, options);
      case 'commit':
      case 'thinned':
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

async function replayDropped(core: VaultCore, item: HistoryItem): Promise<void> {
  const dropped = decodeStoredDropped(item.payload);
  const named = await namedVersions(core, dropped.leaves);
  const change = new CatalogChange(core.catalog);
  const sizeOf = (place: VersionPlace) => sizeIn(core, place);
  const effect = await applyDropped(change, dropped, named, core.registry, sizeOf);
  await core.commitChange(change, item.end, effect);
}

async function replaySwept(core: VaultCore, item: HistoryItem): Promise<void> {
  const change = new CatalogChange(core.catalog);
  const effect = await applySwept(change, decodeStoredSwept(item.payload), core.registry);
  await core.commitChange(change, item.end, effect);
}

async function replayExpired(core: VaultCore, item: HistoryItem): Promise<void> {
  const change = new CatalogChange(core.catalog);
  const effect = await applyExpired(change, decodeStoredExpired(item.payload));
  await core.commitChange(change, item.end, effect);
}

async function replayPurged(core: VaultCore, item: HistoryItem): Promise<void> {
  const change = new CatalogChange(core.catalog);
  const purged = decodeStoredPurged(item.payload);
  const effect = await applyPurged(change, purged, item.place, core.registry);
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
    if (event.type === 'purgeApproved' && core.lostPurged) {
      await withholdUnread(change, core, event, place.leafIndex);
      core.lostPurged = false;
    }
    await core.commitChange(change, item.end, effect);
    core.noteOpening(event, place.leafIndex, stored.leaf);
  });
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
  requireFit(core, receiptBody, leaf, options.nameOf(item.place));
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
  const { header, hash, rows, lostVersions } = readCommit(stored.commit, stored.facts);
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
  const contents = contentsOf(rows);
  if (core.lostUploads) await ownNamed(change, row.lineageId, contents);
  const effect = await applyCommit(change, {
    header,
    hash,
    ...{ rows, lostVersions, contents },
    lineageId: row.lineageId,
    branchId: place.branchId,
    earliestMs: place.parentReceivedMs ?? row.enrolledAtMs,
    receipt: stored.receipt,
    receiptBody,
    leaf,
  });
  await core.commitChange(change, item.end, effect);
}

/** What a commit names is in its lineage's set: it was accepted for that. */
async function ownNamed(
  change: CatalogChange,
  lineageId: LineageId,
  { lists, slabs }: NamedContents,
): Promise<void> {
  const ids = [...lists.flatMap(({ refs }) => refs), ...slabs].map(({ id }) => id);
  await own(change, lineageId, ids, 'uploaded');
}
