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
  decodeStoredUploads,
  FormatError,
  type StoredKind,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { commitHash } from '@aliquot/shared/commit/commit';
import { applyCommit, applyEvent, applyItem, applyUploads, type Effect } from './apply.ts';
import { gatherFacts } from './commit-facts.ts';
import { FLUSH_CHANGES, type VaultCore } from './core.ts';
import { StoreError } from './errors.ts';
import type { Journal, ReplayItem } from './journal.ts';
import type { Position } from './position.ts';

type ReplayRecord = Extract<ReplayItem, { type: 'record' }>;

/**
 * Takes everything behind `from` into the catalog, as the live store did when it appended it. Memory stays bounded: the
 * catalog is flushed now and then (the journal was synced when it was opened).
 */
export async function replayInto(core: VaultCore, journal: Journal, from: Position): Promise<void> {
  for await (const item of journal.replay(from)) {
    if (item.type === 'damaged' || item.header.kind === 'chunk' || item.header.kind === 'page') {
      const { id, kind, length } = item.header;
      const change = core.catalog.begin();
      await applyItem(change, { id: asChunkId(id), kind: kind as StoredKind, length, position: item.position });
      await core.commitChange(change, item.end);
      if (item.type === 'damaged') core.setDamaged(asChunkId(id));
    } else {
      await replayRecord(core, item);
    }
    if (core.catalog.pendingChanges >= FLUSH_CHANGES) await core.catalog.flush();
  }
}

async function replayRecord(core: VaultCore, item: ReplayRecord): Promise<void> {
  try {
    if (item.header.kind === 'uploads') await replayUploads(core, item);
    else if (item.header.kind === 'event') await replayEvent(core, item);
    else if (item.header.kind === 'commit') await replayCommit(core, item);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw unfit(item, error.message, error);
  }
}

async function replayUploads(core: VaultCore, item: ReplayRecord): Promise<void> {
  const change = core.catalog.begin();
  const effect = await applyUploads(change, decodeStoredUploads(payloadOf(item)));
  await core.commitChange(change, item.end, effect);
}

async function replayEvent(core: VaultCore, item: ReplayRecord): Promise<void> {
  const stored = decodeStoredEvent(payloadOf(item));
  const event = decodeEventBody(stored.event);
  const leafIndex = core.log.size;
  const { timeMs } = decodeLogLeaf(stored.leaf);
  const nodes = core.stageLeaf(stored.leaf);
  const change = core.catalog.begin();
  const place = { leafIndex, timeMs, nodes, position: item.position, length: item.header.length };
  const effect: Effect = await applyEvent(change, event, place, core.registry);
  await core.commitChange(change, item.end, effect);
  core.noteOpening(event, leafIndex, stored.leaf);
}

async function replayCommit(core: VaultCore, item: ReplayRecord): Promise<void> {
  const stored = decodeStoredCommit(payloadOf(item));
  const signed = decodeSignedCommit(stored.commit);
  const header = decodeCommitHeader(signed.header);
  const receiptBody = decodeReceiptBody(stored.receipt.body);
  const row = core.registry.row(header.agentId as AgentId);
  if (row === undefined) throw unfit(item, 'a commit of an agent that never enrolled');
  const entries = signed.slots.map((slot) => (slot.type === 'entry' ? decodeEntry(slot.bytes) : undefined));
  const known = entries.filter((entry) => entry !== undefined);
  const gathered = await gatherFacts(known, core.factsOf(row.lineageId), 'lenient');
  if (gathered.type !== 'facts') throw unfit(item, 'a commit that refers to what cannot be');
  const leafIndex = core.log.size;
  const nodes = core.stageLeaf(stored.leaf);
  const { head } = receiptBody;
  if (receiptBody.leafIndex !== leafIndex || !equalBytes(head.root, core.log.root) || head.logEpoch !== core.sums.logEpoch) {
    throw unfit(item, `the receipt of leaf ${receiptBody.leafIndex} does not fit the log of ${leafIndex} leaves before it`);
  }
  const { timeMs } = decodeLogLeaf(stored.leaf);
  const change = core.catalog.begin();
  const effect = await applyCommit(change, {
    header,
    hash: commitHash(signed.header),
    entries,
    facts: gathered.facts,
    lineageId: row.lineageId,
    enrolledAtMs: row.enrolledAtMs,
    receipt: stored.receipt,
    receiptBody,
    leaf: { leafIndex, timeMs, nodes, position: item.position, length: item.header.length },
  });
  await core.commitChange(change, item.end, effect);
}

function payloadOf(item: ReplayRecord): Buffer {
  if (item.payload === undefined) throw new TypeError('a payload was not read');
  return item.payload;
}

function unfit(item: ReplayRecord, why: string, cause?: unknown): StoreError {
  const { pack, offset } = item.position;
  return new StoreError('STORE_CORRUPT', `pack ${pack}, byte ${offset}: ${why}; aliquot fsck --data DIR tells more`, { cause });
}
