import {
  type AgentId,
  type CommitHash,
  type CommitHeader,
  decodeCommitHeader,
  decodeEventBody,
  decodeLogLeaf,
  decodeReceiptBody,
  decodeSignedCommit,
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
  type StoredEvent,
  type StoredReferences,
} from '@aliquot/proto';
import { CommitRows, commitHash, readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange, FLUSH_CHANGES } from '../catalog/catalog-store.ts';
import { contentsOf, type NamedContents } from '../catalog/named-contents.ts';
import type { VersionPlace } from '../catalog/version-rows.ts';
import { StoreError, type UnfitRecord } from '../errors.ts';
import { compareHistory, type HistoryItem, type HistoryPoint } from '../history/history-log.ts';
import { applyCommit, applyLeafOnly, applyReferences, applyUploads } from './apply.ts';
import { applyDropped } from './apply-dropped.ts';
import { applyEvent } from './apply-event.ts';
import { applyPurged } from './apply-purges.ts';
import { applyExpired } from './apply-retention.ts';
import { applySwept, applyUnreadSwept } from './apply-swept.ts';
import type { VaultCore } from './core.ts';
import type { Effect, LeafPlace } from './effect.ts';
import type { VaultMedia } from './media.ts';
import { namedVersions, sizeIn } from './named-versions.ts';
import { own } from './own-items.ts';
import { withholdUnread } from './purge-commits.ts';
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

/**
 * Takes in what is left of a record whose payload is damaged. What it said of items is said again,
 * by whoever sends them, and by the commits that name them. An event is passed over, but for its
 * leaf; of a commit the receipt says what it was. What stands behind proves either: the next
 * receipt is for this very log. Throws `FormatError`, or `STORE_CORRUPT`, where nothing is left.
 */
async function replayBroken(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  const where = options.nameOf(item.place);
  const why = `the record of ${wordsFor[item.kind]} is damaged`;
  switch (item.kind) {
    case 'uploads':
    case 'references':
      core.lostUploads = true;
      await core.commitChange(new CatalogChange(core.catalog), item.end);
      break;
    // What it took out, or let go, is there again, and goes again when that is decided again.
    case 'expired':
    case 'dropped':
      await core.commitChange(new CatalogChange(core.catalog), item.end);
      break;
    case 'purged':
      core.lostPurged = true;
      await core.commitChange(new CatalogChange(core.catalog), item.end);
      break;
    case 'swept': {
      const change = new CatalogChange(core.catalog);
      const effect = await applyUnreadSwept(change, core.catalog, core.registry);
      await core.commitChange(change, item.end, effect);
      break;
    }
    case 'event': {
      const { leaf } = decodeStoredEvent(item.payload);
      await enterUnread(core, item, leafPlaceOf(core, item, leaf));
      break;
    }
    case 'commit':
    case 'thinned':
      await replayBrokenCommit(core, item, options);
  }
  options.onUnfit?.({ type: 'record', where, why });
}

const wordsFor: Readonly<Record<HistoryItem['kind'], string>> = {
  uploads: 'uploads',
  references: 'references',
  commit: 'one commit',
  thinned: 'one commit',
  event: 'one event',
  dropped: 'dropped versions',
  swept: 'swept items',
  expired: 'expired versions',
  purged: 'a purged commit',
};

async function replayBrokenCommit(
  core: VaultCore,
  item: HistoryItem,
  options: ReplayOptions,
): Promise<void> {
  const { commit, receipt } = decodeStoredCommit(item.payload);
  const body = decodeReceiptBody(receipt.body);
  const { agentId, chainId, sequence, commitHash: hash, receivedAtMs, lossHash } = body;
  const leaf = leafPlaceOf(core, item, commitLeaf(agentId, hash, receivedAtMs, lossHash));
  requireFit(core, body, leaf, options.nameOf(item.place));
  await orPassedOver(core, item, leaf, options, async () => {
    const row = core.registry.row(agentId);
    if (row === undefined)
      throw new StoreError('STORE_UNFIT', 'a commit of an agent that never enrolled');
    const { lineageId, enrolledAtMs } = row;
    const header = headerIn(commit, hash);
    const route = header && (await routeOf(core, lineageId, header, hash));
    const known = core.registry.lines(agentId)?.chainHead(chainId)?.branchId;
    const branchId =
      route === undefined || route.type === 'unknown-parent'
        ? (known ?? lineageId)
        : route.branchId;
    const change = new CatalogChange(core.catalog);
    const rows = new CommitRows({ blocks: [], lacking: [] });
    const effect = await applyCommit(change, {
      ...{ header: { agentId, chainId, sequence }, hash, rows, contents: contentsOf(rows) },
      lostVersions: 0,
      ...{ lineageId, branchId, earliestMs: enrolledAtMs, receipt, receiptBody: body, leaf },
    });
    await core.commitChange(change, item.end, effect);
    const broken = { agentId, branchId, sequence, hash, receivedAtMs, isEntered: false };
    core.noteBroken(leaf.leafIndex, broken);
  });
}

/** The header of a commit that is damaged, where it is the one that this hash names. */
function headerIn(commit: Uint8Array, hash: CommitHash): CommitHeader | undefined {
  try {
    const { header } = decodeSignedCommit(commit);
    return equalBytes(commitHash(header), hash) ? decodeCommitHeader(header) : undefined;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
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
  const effect = await applySwept(change, decodeStoredSwept(item.payload));
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

/** Puts the leaf of a record at the end of the log. */
function leafPlaceOf(core: VaultCore, { place }: HistoryItem, leaf: Uint8Array): LeafPlace {
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
    if (item.kind === 'commit' || item.kind === 'thinned') {
      const change = new CatalogChange(core.catalog);
      await applyLeafOnly(change, 'commit', place);
      await core.commitChange(change, item.end);
    } else await enterUnread(core, item, place);
    onUnfit?.({ type: 'record', where: nameOf(item.place), why: error.message });
  }
}

/** Enters the leaf of an event alone, and that nobody knows what it said. */
async function enterUnread(core: VaultCore, item: HistoryItem, place: LeafPlace): Promise<void> {
  const { leafIndex } = place;
  const change = new CatalogChange(core.catalog);
  await applyLeafOnly(change, 'event', place);
  change.put(keys.unreadEvent(leafIndex), Buffer.alloc(0));
  await core.commitChange(change, item.end, (live) => {
    live.unreadEvents = [...live.unreadEvents, leafIndex];
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

/** The receipt is for the log with this leaf, which stands at its end. */
function requireFit(
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

function corrupt(where: string, why: string, cause?: unknown): StoreError {
  const says = `${where}: ${why}; aliquot fsck --data DIR tells more`;
  return new StoreError('STORE_CORRUPT', says, { cause });
}
