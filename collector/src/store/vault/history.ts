import {
  decodeCommitHeader,
  decodeReceiptBody,
  decodeSignedCommit,
  type FileId,
  type LineageId,
  type ResultId,
  type StateRecord,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { clampVersionTime } from '@aliquot/shared/log/version-time';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import { countSet, isSet } from '../catalog/item-row.ts';
import { read } from '../catalog/row-codec.ts';
import {
  decodeEarlier,
  decodeEarlierRow,
  decodeHead,
  decodeLive,
  GROUP_SLOTS,
  groupOf,
  type KnownVersion,
  type LiveRow,
  timesIn,
  untilOf,
} from '../catalog/version-rows.ts';
import { StoreError } from '../errors.ts';
import type { OnLost } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import { FoundVersions, type Places } from './found-versions.ts';
import { tellUnentered, unlessLost } from './lost-commits.ts';

/** One version of interest in a commit. */
interface Slot {
  readonly slot: number;
  readonly timeMs: number;
}

/** A group of slots of a commit, with which of them are live. */
interface LiveGroup extends LiveRow {
  readonly group: number;
}

/**
 * The history's live versions now, grouped by commit: one range scan over which are live. Memory is
 * one commit.
 */
export async function* liveNow(
  core: VaultCore,
  branchId: LineageId,
  onLost?: OnLost,
): AsyncGenerator<StateRecord> {
  const history = core.registry.lineage(branchId)?.number;
  if (history === undefined) return;
  tellUnentered(core, branchId, onLost);
  let leaf: number | undefined;
  let groups: LiveGroup[] = [];
  const found = async (leafIndex: number): Promise<StateRecord[]> => {
    const versions = groups.reduce((sum, { bits }) => sum + countSet(bits), 0);
    const record = await unlessLost(core, leafIndex, { versions, onLost }, () =>
      liveRecord(core, history, leafIndex, groups),
    );
    return record === undefined ? [] : [record];
  };
  for await (const [key, value] of core.catalog.scan(ranges.live(history))) {
    const { leafIndex, group } = readKey.group(key);
    if (leaf !== undefined && leafIndex !== leaf) {
      yield* await found(leaf);
      groups = [];
    }
    leaf = leafIndex;
    groups.push({ group, ...decodeLive(value) });
  }
  if (leaf !== undefined) yield* await found(leaf);
}

/**
 * The live versions of one commit at their times: those that followed another have it in their row,
 * the others' follows from what the commit says.
 */
async function liveRecord(
  core: VaultCore,
  history: number,
  leafIndex: number,
  groups: readonly LiveGroup[],
): Promise<StateRecord> {
  const { record, receivedAtMs } = await commitOf(core, leafIndex);
  const { rows } = readCommit(record.commit);
  const followed = await core.catalog.getMany(
    groups.map(({ group }) => keys.earlier(history, leafIndex, group)),
  );
  const slots: Slot[] = [];
  for (const [index, { group, afterMs, bits }] of groups.entries()) {
    const row = followed[index];
    const times = row === undefined ? undefined : timesIn(decodeEarlierRow(row));
    for (let inGroup = 0; inGroup < GROUP_SLOTS; inGroup += 1) {
      if (!isSet(bits, inGroup)) continue;
      const slot = group * GROUP_SLOTS + inGroup;
      const claimedMs = rows.entry(slot)?.capturedAtMs ?? 0;
      const timeMs = times?.get(inGroup) ?? clampVersionTime(claimedMs, afterMs, receivedAtMs);
      slots.push({ slot, timeMs });
    }
  }
  return withSlots(record, slots);
}

/**
 * The history's files as they were at `atMs`: of each file the newest version not later than that,
 * unless it is "gone". Reads the rows of its versions once, in order, then each commit that is
 * still of interest. 24 bytes a file.
 */
export async function* liveAt(
  core: VaultCore,
  branchId: LineageId,
  atMs: number,
  onLost?: OnLost,
): AsyncGenerator<StateRecord> {
  tellUnentered(core, branchId, onLost);
  const found = new FoundVersions();
  for await (const { version, untilMs } of everyKnown(core, branchId))
    if (version.kind !== 'gone' && version.timeMs <= atMs && (untilMs ?? atMs + 1) > atMs)
      found.add(version);
  yield* byCommit(core, found, 'oldest first', onLost);
}

/**
 * Every version of every file of the history, "gone" facts too, the newest commit first. 24 bytes a
 * version.
 */
export async function* everyVersion(
  core: VaultCore,
  branchId: LineageId,
  onLost?: OnLost,
): AsyncGenerator<StateRecord> {
  tellUnentered(core, branchId, onLost);
  const found = new FoundVersions();
  for await (const { version } of everyKnown(core, branchId))
    if (version.kind !== 'gone' || !(await isEvent(core, version.leafIndex))) found.add(version);
  yield* byCommit(core, found, 'newest first', onLost);
}

/**
 * Every version, in no order, and until when it was the newest of its file: the newest ones have
 * rows of their own, and every other is what some version followed. In this order none is missed
 * when a commit comes in between; what it follows is then told twice.
 */
async function* everyKnown(core: VaultCore, branchId: LineageId): AsyncGenerator<KnownUntil> {
  const history = core.registry.lineage(branchId)?.number;
  if (history === undefined) return;
  for await (const [, value] of core.catalog.scan(ranges.heads(history)))
    yield { version: decodeHead(value), untilMs: undefined };
  yield* everyEarlier(core, history, (kind) => kind !== 'result');
}

/** Every version that another followed, of files or of results. */
async function* everyEarlier(
  core: VaultCore,
  history: number,
  isMeant: (kind: KnownVersion['kind']) => boolean,
): AsyncGenerator<KnownUntil> {
  for await (const [, value] of core.catalog.scan(ranges.earlier(history)))
    for (const earlier of decodeEarlier(value).values())
      if (isMeant(earlier.kind)) yield { version: earlier, untilMs: untilOf(earlier) };
}

/** A version, and until when it was the newest. */
interface KnownUntil {
  readonly version: KnownVersion;
  readonly untilMs: number | undefined;
}

/**
 * The history's results as they stood at `atMs` (undefined: now), grouped by commit, the oldest
 * first. 24 bytes a result.
 */
export async function* resultsAt(
  core: VaultCore,
  branchId: LineageId,
  atMs: number | undefined,
  onLost?: OnLost,
): AsyncGenerator<StateRecord> {
  tellUnentered(core, branchId, onLost);
  const history = core.registry.lineage(branchId)?.number;
  if (history === undefined) return;
  const found = new FoundVersions();
  for await (const [, value] of core.catalog.scan(ranges.results(history))) {
    const head = decodeHead(value);
    if (atMs === undefined || head.timeMs <= atMs) found.add(head);
  }
  if (atMs !== undefined)
    for await (const { version, untilMs } of everyEarlier(core, history, isResult))
      if (version.timeMs <= atMs && (untilMs ?? 0) > atMs) found.add(version);
  yield* byCommit(core, found, 'oldest first', onLost);
}

const isResult = (kind: KnownVersion['kind']): boolean => kind === 'result';

/** Every version of one result, oldest first. */
export async function* resultVersionsOf(
  core: VaultCore,
  branchId: LineageId,
  resultId: ResultId,
  onLost?: OnLost,
): AsyncGenerator<StateRecord> {
  tellUnentered(core, branchId, onLost);
  const keyOf = (history: number) => keys.result(history, resultId);
  yield* chainRecords(core, await chainOf(core, branchId, keyOf), onLost);
}

async function* byCommit(
  core: VaultCore,
  { leaves, slots, times }: Places,
  order: 'oldest first' | 'newest first',
  onLost: OnLost | undefined,
): AsyncGenerator<StateRecord> {
  const at = (column: Float64Array, row: number): number => column[row] ?? 0;
  const sign = order === 'oldest first' ? 1 : -1;
  const rows = new Uint32Array(leaves.length).map((_, index) => index);
  rows.sort((a, b) => sign * (at(leaves, a) - at(leaves, b)) || at(slots, a) - at(slots, b));
  let leaf: number | undefined;
  let of: Slot[] = [];
  for (const row of rows) {
    if (leaf !== undefined && at(leaves, row) !== leaf) {
      yield* await recordsOf(core, leaf, of, onLost);
      of = [];
    }
    leaf = at(leaves, row);
    const slot = at(slots, row);
    if (of.at(-1)?.slot !== slot) of.push({ slot, timeMs: at(times, row) });
  }
  if (leaf !== undefined) yield* await recordsOf(core, leaf, of, onLost);
}

/**
 * Every version of one file, oldest first; "gone" facts are versions too, unless an operator said
 * so: that stands in no commit. Follows the file's chain from its newest version back.
 */
export async function* versionsOf(
  core: VaultCore,
  branchId: LineageId,
  fileId: FileId,
  onLost?: OnLost,
): AsyncGenerator<StateRecord> {
  tellUnentered(core, branchId, onLost);
  const keyOf = (history: number) => keys.head(history, fileId);
  yield* chainRecords(core, await chainOf(core, branchId, keyOf), onLost);
}

/** A chain's versions grouped by commit, less those that stand in none. */
async function* chainRecords(
  core: VaultCore,
  chain: readonly KnownVersion[],
  onLost: OnLost | undefined,
): AsyncGenerator<StateRecord> {
  let leaf: number | undefined;
  let slots: Slot[] = [];
  for (const { leafIndex, slot, timeMs, kind } of chain) {
    if (kind === 'gone' && (await isEvent(core, leafIndex))) continue;
    if (leaf !== undefined && leafIndex !== leaf) {
      yield* await recordsOf(core, leaf, slots, onLost);
      slots = [];
    }
    leaf = leafIndex;
    slots.push({ slot, timeMs });
  }
  if (leaf !== undefined) yield* await recordsOf(core, leaf, slots, onLost);
}

async function chainOf(
  core: VaultCore,
  branchId: LineageId,
  keyOf: (history: number) => Buffer,
): Promise<KnownVersion[]> {
  const history = core.registry.lineage(branchId)?.number;
  if (history === undefined) return [];
  const head = await core.catalog.get(keyOf(history));
  const chain: KnownVersion[] = [];
  let at: KnownVersion | undefined = head === undefined ? undefined : decodeHead(head);
  while (at !== undefined) {
    chain.push(at);
    const row: Buffer | undefined = await core.catalog.get(
      keys.earlier(history, at.leafIndex, groupOf(at.slot)),
    );
    at = row === undefined ? undefined : decodeEarlier(row).get(at.slot % GROUP_SLOTS);
  }
  return chain.reverse();
}

/**
 * Records less the files that another history has a version of, "gone" included. Each entry is
 * opened as far as its file id, which is in clear.
 */
export async function* withoutFilesOf(
  core: VaultCore,
  beside: LineageId,
  records: AsyncIterable<StateRecord>,
): AsyncGenerator<StateRecord> {
  const history = core.registry.lineage(beside)?.number;
  if (history === undefined) {
    yield* records;
    return;
  }
  for await (const record of records) {
    const { rows } = readCommit(record.commit);
    const files = record.live.map((slot) => rows.entry(slot)?.fileId);
    const heads = await core.catalog.getMany(
      files.flatMap((file) => (file === undefined ? [] : [keys.head(history, file)])),
    );
    let next = 0;
    const kept = files.map((file) => file !== undefined && heads[next++] === undefined);
    if (!kept.includes(true)) continue;
    yield {
      ...record,
      live: record.live.filter((_, index) => kept[index] === true),
      versionTimesMs: record.versionTimesMs.filter((_, index) => kept[index] === true),
    };
  }
}

async function isEvent(core: VaultCore, leafIndex: number): Promise<boolean> {
  const row = await core.catalog.get(keys.leaf(leafIndex));
  return row !== undefined && read.leaf(row).type === 'event';
}

/** The record of a commit, or none, where it is lost. */
async function recordsOf(
  core: VaultCore,
  leafIndex: number,
  slots: readonly Slot[],
  onLost: OnLost | undefined,
): Promise<StateRecord[]> {
  const found = await unlessLost(core, leafIndex, { versions: slots.length, onLost }, () =>
    commitOf(core, leafIndex),
  );
  return found === undefined ? [] : [withSlots(found.record, slots)];
}

/** A commit with what verifies it, no version of interest yet. */
async function commitOf(
  core: VaultCore,
  leafIndex: number,
): Promise<{ readonly record: StateRecord; readonly receivedAtMs: number }> {
  const { type } = await core.leafRecord(leafIndex);
  if (type !== 'commit')
    throw new StoreError(
      'STORE_CATALOG',
      `leaf ${leafIndex} is no commit; run aliquot fsck --repair`,
    );
  const { commit, receipt } = await core.servedCommit(leafIndex);
  const { agentId } = decodeCommitHeader(decodeSignedCommit(commit).header);
  const certificate = core.registry.signedCertificate(agentId);
  if (certificate === undefined)
    throw new StoreError(
      'STORE_CATALOG',
      `the agent of leaf ${leafIndex} is not known; run aliquot fsck --repair`,
    );
  const record = { ...certificate, commit, receipt, live: [], versionTimesMs: [] };
  const { receivedAtMs } = decodeReceiptBody(receipt.body);
  return { record, receivedAtMs: core.registry.times.of(leafIndex, receivedAtMs) };
}

function withSlots(record: StateRecord, slots: readonly Slot[]): StateRecord {
  const there = stillThere(record, slots);
  return {
    ...record,
    live: there.map(({ slot }) => slot),
    versionTimesMs: there.map(({ timeMs }) => timeMs),
  };
}

/** Less what was thinned away, where the record has rotted that says that it was dropped before. */
function stillThere({ commit }: StateRecord, slots: readonly Slot[]): readonly Slot[] {
  if (!decodeSignedCommit(commit).blocks.some(({ gone }) => gone !== undefined)) return slots;
  const { rows } = readCommit(commit);
  return slots.filter(({ slot }) => rows.placeOf(slot) !== undefined);
}
