import {
  decodeSignedCommit,
  decodeStoredEvent,
  encodeHistoryCommit,
  type LineageId,
  type SignedCommit,
} from '@aliquot/proto';
import { lossHash } from '@aliquot/shared/commit/loss';
import { lostMarks } from '@aliquot/shared/commit/lost-marks';
import { CommitRows, commitHash } from '@aliquot/shared/commit/rows';
import { bitsOf } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { read } from '../catalog/row-codec.ts';
import { decodeHead } from '../catalog/version-rows.ts';
import { passedOver } from '../errors.ts';
import type { BrokenCommit, PlacedEvent, ProvedEvent } from '../vault-records.ts';
import { united } from './apply-dropped.ts';
import type { VaultCore } from './core.ts';
import { DroppedSlots, droppedMarks } from './dropped-slots.ts';

/*
 * What lets a reader prove that an answer leaves nothing out: leaves, the commits of a lineage
 * without their rows, and the events by which files are gone.
 */

/** The leaves from one on, up to a size of the log. */
export async function* leavesOf(
  core: VaultCore,
  from: number,
  size: number,
): AsyncGenerator<Uint8Array> {
  for await (const [, value] of core.catalog.scan(ranges.leavesBetween(from, size)))
    yield read.leaf(value).bytes;
}

/** The events among the leaves of a part of the log. */
export async function* eventsOf(
  core: VaultCore,
  from: number,
  size: number,
): AsyncGenerator<PlacedEvent> {
  let leafIndex = from;
  for await (const [, value] of core.catalog.scan(ranges.leavesBetween(from, size))) {
    const at = leafIndex;
    leafIndex += 1;
    if (read.leaf(value).type !== 'event') continue;
    const { event } = decodeStoredEvent((await core.leafRecord(at)).payload);
    yield { leafIndex: at, event };
  }
}

interface CommitPlace {
  readonly leafIndex: number;
  readonly receivedAtMs: number;
  readonly branchId: LineageId;
  readonly sequence: number;
}

/**
 * Every commit of all agents of a lineage between two sizes of the log, in the order of the leaves,
 * as encoded `HistoryCommit`. Memory is one commit, and 50 bytes for each.
 */
export async function* historyCommits(
  core: VaultCore,
  lineageId: LineageId,
  from: number,
  size: number,
): AsyncGenerator<Uint8Array | BrokenCommit> {
  const places: CommitPlace[] = [];
  for (const { agentId, lineageId: of } of core.registry.records()) {
    if (!equalBytes(of, lineageId)) continue;
    const lines = core.registry.lines(agentId);
    for await (const [key, value] of core.catalog.scan(ranges.linksOf(agentId))) {
      const link = read.link(value);
      if (link.leafIndex < from || link.leafIndex >= size) continue;
      const isJoined = lines?.history(link.branchId)?.state === 'restored';
      const sequence = readKey.linkSequence(key);
      places.push({ ...link, sequence, branchId: isJoined ? lineageId : link.branchId });
    }
  }
  places.sort((a, b) => a.leafIndex - b.leafIndex);
  const dropped = new DroppedSlots(core.catalog, from, size);
  try {
    for (const { leafIndex, receivedAtMs, branchId, sequence } of places) {
      const stored = await core.storedCommit(leafIndex).catch(passedOver);
      if (stored === undefined) {
        const row = await core.catalog.get(keys.leaf(leafIndex));
        if (row !== undefined) yield { leafIndex, leaf: read.leaf(row).bytes, sequence, branchId };
        continue;
      }
      const commit = decodeSignedCommit(stored.commit);
      const rows = new CommitRows(commit, stored.facts);
      const isWhole = !commit.headerOnly;
      const lossOf = commit.lossSignature && lossHash(commitHash(commit.header), commit.lacking);
      yield encodeHistoryCommit({
        header: commit.header,
        signature: commit.signature,
        leafIndex,
        receivedAtMs,
        branchId,
        summary: isWhole ? rows.summary : new Uint8Array(0),
        lost: isWhole ? lostMarks(rows) : new Uint8Array(0),
        lossHash: lossOf,
        dropped: droppedMarks(rows, united(await dropped.of(leafIndex), missingIn(commit))),
      });
    }
  } finally {
    await dropped.close();
  }
}

/** What was thinned away was dropped before, also where the record has rotted that says so. */
function missingIn(commit: SignedCommit): Uint8Array {
  if (!commit.blocks.some(({ gone }) => gone !== undefined)) return new Uint8Array(0);
  const missing: number[] = [];
  new CommitRows(commit).eachMissing((_mark, slot) => missing.push(slot));
  return bitsOf(missing);
}

/** The policies that the log has up to a size of it, each proved. */
export async function policyEvents(core: VaultCore, size: number): Promise<ProvedEvent[]> {
  const leaves: number[] = [];
  for await (const [key] of core.catalog.scan(ranges.policies)) {
    const leafIndex = core.registry.desk.policyLeaf(readKey.number(key));
    if (leafIndex !== undefined && leafIndex < size) leaves.push(leafIndex);
  }
  return provedEvents(core, leaves, size);
}

/** The orders and approvals of purges that were done up to a size of the log, each proved. */
export async function purgeEvents(core: VaultCore, size: number): Promise<ProvedEvent[]> {
  const leaves = core.registry.purges
    .all()
    .flatMap(({ ordered, approved }) =>
      approved === undefined || approved.leaf >= size ? [] : [ordered.leaf, approved.leaf],
    );
  return provedEvents(core, leaves, size);
}

/** Events at leaves, less those that cannot be read. */
async function provedEvents(
  core: VaultCore,
  leaves: readonly number[],
  size: number,
): Promise<ProvedEvent[]> {
  const events: ProvedEvent[] = [];
  for (const leafIndex of leaves) {
    const record = await core.leafRecord(leafIndex).catch(passedOver);
    if (record === undefined) continue;
    const { event } = decodeStoredEvent(record.payload);
    events.push({ event, leafIndex, inclusion: await core.log.inclusionProof(leafIndex, size) });
  }
  return events;
}

/** The events up to a size of the log by which files of a history are gone now. */
export async function goneEvents(
  core: VaultCore,
  branchId: LineageId,
  size: number,
): Promise<ProvedEvent[]> {
  const history = core.registry.lineage(branchId)?.number;
  const leaves = new Set<number>();
  if (history !== undefined)
    for await (const [, value] of core.catalog.scan(ranges.heads(history))) {
      const { kind, leafIndex } = decodeHead(value);
      if (kind === 'gone' && leafIndex < size) leaves.add(leafIndex);
    }
  // Where retention has dropped all of a file, its "gone" too.
  for await (const [key] of core.catalog.scan(ranges.droppedBetween(0, size)))
    leaves.add(readKey.droppedLeaf(key));
  const events: ProvedEvent[] = [];
  for (const leafIndex of [...leaves].sort((a, b) => a - b)) {
    const row = await core.catalog.get(keys.leaf(leafIndex));
    if (row === undefined || read.leaf(row).type !== 'event') continue;
    const { event } = decodeStoredEvent((await core.leafRecord(leafIndex)).payload);
    events.push({ event, leafIndex, inclusion: await core.log.inclusionProof(leafIndex, size) });
  }
  return events;
}
