import { join } from 'node:path';
import {
  type AgentId,
  asChunkId,
  decodeCommitHeader,
  decodeEntry,
  decodeEventBody,
  decodeLogLeaf,
  decodeReceiptBody,
  decodeSignedCommit,
  decodeStoredCommit,
  decodeStoredEvent,
  decodeStoredReferences,
  decodeStoredUploads,
  FormatError,
  type ReceiptBody,
  type StoredCommit,
  type StoredEvent,
  type StoredKind,
  type StoredReferences,
} from '@aliquot/proto';
import { commitHash } from '@aliquot/shared/commit/commit';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  applyCommit,
  applyEvent,
  applyItem,
  applyLeafOnly,
  applyReferences,
  applyUploads,
  type Effect,
  type LeafPlace,
} from './apply.ts';
import { FLUSH_CHANGES } from './catalog.ts';
import { keys } from './catalog-keys.ts';
import type { VaultCore } from './core.ts';
import { StoreError } from './errors.ts';
import type { Journal, JournalPorts } from './journal.ts';
import type { ReplayItem } from './journal-scan.ts';
import { packFileName } from './pack-source.ts';
import { comparePositions, type Position } from './position.ts';
import { isData } from './record.ts';
import { routeOf } from './route.ts';

/**
 * Looks at each commit and event before it is taken in: fsck's way to prove what a start takes on
 * trust.
 */
export interface ReplayAudit {
  commit(core: VaultCore, stored: StoredCommit, place: Position): Promise<void>;
  event(core: VaultCore, stored: StoredEvent, place: Position): Promise<void>;
  references(core: VaultCore, stored: StoredReferences, place: Position): Promise<void>;
}

export interface ReplayOptions {
  readonly audit?: ReplayAudit | undefined;
  readonly until?: Position;
  readonly onUnfit?: JournalPorts['onUnfit'];
}

/** Items whose rows are looked up together. */
const ITEMS_AT_ONCE = 1000;

type ReplayRecord = Extract<ReplayItem, { type: 'record' }>;

/**
 * Takes everything behind `from` into the catalog, as the live store did when it appended it.
 * Memory stays bounded: the catalog is flushed now and then (the journal was synced when it was
 * opened). Stops at `until` when that is given, and tells whether it came by.
 */
export async function replayInto(
  core: VaultCore,
  journal: Journal,
  from: Position,
  { audit, until, onUnfit }: ReplayOptions = {},
): Promise<boolean> {
  if (until !== undefined && comparePositions(from, until) === 0) return true;
  let items: ReplayItem[] = [];
  const takeItems = async (): Promise<void> => {
    await replayItems(core, items);
    items = [];
    if (core.catalog.pendingChanges >= FLUSH_CHANGES) await core.catalog.flush();
  };
  for await (const item of journal.replay(from)) {
    if (item.type === 'damaged' || isData(item.header.kind)) {
      items.push(item);
    } else {
      await takeItems();
      await replayRecord(core, item, { audit, onUnfit });
    }
    const order = until === undefined ? -1 : comparePositions(item.end, until);
    if (items.length >= ITEMS_AT_ONCE || order >= 0) await takeItems();
    if (order >= 0) return order === 0;
  }
  await takeItems();
  return false;
}

/** Chunks and pages that stand next to each other. */
async function replayItems(core: VaultCore, items: readonly ReplayItem[]): Promise<void> {
  const last = items.at(-1);
  if (last === undefined) return;
  const change = core.catalog.begin();
  await change.prefetch(items.map(({ header }) => keys.item(header.id)));
  // A second record of an id is written only when the first was found damaged.
  for (const item of items) {
    const id = asChunkId(item.header.id);
    const again = core.isDamaged(id) && (await change.get(keys.item(id))) !== undefined;
    await applyItem(change, {
      id,
      kind: item.header.kind as StoredKind,
      length: item.header.length,
      position: item.position,
    });
    if (item.type === 'damaged') core.setDamaged(id);
    else if (again) core.mended(id);
  }
  await core.commitChange(change, last.end);
}

async function replayRecord(
  core: VaultCore,
  item: ReplayRecord,
  { audit, onUnfit }: ReplayOptions,
): Promise<void> {
  try {
    if (item.header.kind === 'uploads') await replayUploads(core, item);
    else if (item.header.kind === 'references') await replayReferences(core, item, audit);
    else if (item.header.kind === 'event') await replayEvent(core, item, { audit, onUnfit });
    else if (item.header.kind === 'commit') await replayCommit(core, item, { audit, onUnfit });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw corrupt(item, error.message, error);
  }
}

async function replayUploads(core: VaultCore, item: ReplayRecord): Promise<void> {
  const change = core.catalog.begin();
  const effect = await applyUploads(change, decodeStoredUploads(payloadOf(item)));
  await core.commitChange(change, item.end, effect);
}

async function replayReferences(
  core: VaultCore,
  item: ReplayRecord,
  audit: ReplayAudit | undefined,
): Promise<void> {
  const stored = decodeStoredReferences(payloadOf(item));
  await audit?.references(core, stored, item.position);
  const change = core.catalog.begin();
  const effect = await applyReferences(change, stored);
  await core.commitChange(change, item.end, effect);
}

async function replayEvent(
  core: VaultCore,
  item: ReplayRecord,
  { audit, onUnfit }: ReplayOptions,
): Promise<void> {
  const stored = decodeStoredEvent(payloadOf(item));
  await audit?.event(core, stored, item.position);
  const place = leafPlaceOf(core, item, stored.leaf);
  await orPassedOver(core, item, place, onUnfit, async () => {
    const event = decodeEventBody(stored.event);
    const change = core.catalog.begin();
    const effect: Effect = await applyEvent(change, event, place, core.registry);
    await core.commitChange(change, item.end, effect);
    core.noteOpening(event, place.leafIndex, stored.leaf);
  });
}

/** Puts the leaf of a record at the end of the log. */
function leafPlaceOf(
  core: VaultCore,
  { position, header }: ReplayRecord,
  leaf: Uint8Array,
): LeafPlace {
  const leafIndex = core.log.size;
  return {
    leafIndex,
    timeMs: decodeLogLeaf(leaf).timeMs,
    nodes: core.stageLeaf(leaf),
    position,
    length: header.length,
  };
}

/**
 * Applies a record whose leaf stands in the log. One that cannot be applied was taken in by a fault
 * of ours, and must not keep the vault from its history: only its leaf is entered, so that the log
 * and everything behind it stay whole.
 */
async function orPassedOver(
  core: VaultCore,
  item: ReplayRecord,
  place: LeafPlace,
  onUnfit: ReplayOptions['onUnfit'],
  apply: () => Promise<void>,
): Promise<void> {
  try {
    await apply();
  } catch (error) {
    const isUnfit =
      error instanceof FormatError || (error instanceof StoreError && error.code === 'STORE_UNFIT');
    if (!isUnfit) throw error;
    const change = core.catalog.begin();
    await applyLeafOnly(change, item.header.kind === 'commit' ? 'commit' : 'event', place);
    await core.commitChange(change, item.end);
    const { pack, offset } = item.position;
    onUnfit?.({
      where: `${join(core.journal.dir, packFileName(pack))}, byte ${offset}`,
      why: error.message,
    });
  }
}

async function replayCommit(
  core: VaultCore,
  item: ReplayRecord,
  { audit, onUnfit }: ReplayOptions,
): Promise<void> {
  const stored = decodeStoredCommit(payloadOf(item));
  await audit?.commit(core, stored, item.position);
  const receiptBody = decodeReceiptBody(stored.receipt.body);
  const leaf = leafPlaceOf(core, item, stored.leaf);
  const { head } = receiptBody;
  if (
    receiptBody.leafIndex !== leaf.leafIndex ||
    !equalBytes(head.root, core.log.root) ||
    head.logEpoch !== core.sums.logEpoch
  )
    throw corrupt(
      item,
      `the receipt of leaf ${receiptBody.leafIndex} does not fit the log of ${leaf.leafIndex} leaves before it`,
    );
  await orPassedOver(core, item, leaf, onUnfit, () =>
    enterCommit(core, item, stored, receiptBody, leaf),
  );
}

async function enterCommit(
  core: VaultCore,
  item: ReplayRecord,
  stored: StoredCommit,
  receiptBody: ReceiptBody,
  leaf: LeafPlace,
): Promise<void> {
  const signed = decodeSignedCommit(stored.commit);
  const header = decodeCommitHeader(signed.header);
  const row = core.registry.row(header.agentId as AgentId);
  if (row === undefined)
    throw new StoreError('STORE_UNFIT', 'a commit of an agent that never enrolled');
  const entries = signed.slots.map((slot) =>
    slot.type === 'entry' ? decodeEntry(slot.bytes) : undefined,
  );
  const hash = commitHash(signed.header);
  // What follows nothing here is told by fsck; it was accepted, so it is kept with the trunk.
  const route = await routeOf(core, row.lineageId, header, hash);
  const place =
    route.type === 'unknown-parent'
      ? { historyId: row.lineageId, parentReceivedMs: undefined }
      : route;
  const change = core.catalog.begin();
  const effect = await applyCommit(change, {
    header,
    hash,
    entries,
    lineageId: row.lineageId,
    historyId: place.historyId,
    earliestMs: place.parentReceivedMs ?? row.enrolledAtMs,
    receipt: stored.receipt,
    receiptBody,
    leaf,
  });
  await core.commitChange(change, item.end, effect);
}

function payloadOf(item: ReplayRecord): Buffer {
  if (item.payload === undefined) throw new TypeError('a payload was not read');
  return item.payload;
}

function corrupt(item: ReplayRecord, why: string, cause?: unknown): StoreError {
  const { pack, offset } = item.position;
  return new StoreError(
    'STORE_CORRUPT',
    `pack ${pack}, byte ${offset}: ${why}; aliquot fsck --data DIR tells more`,
    { cause },
  );
}
