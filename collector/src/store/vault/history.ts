import {
  decodeCommitHeader,
  decodeSignedCommit,
  decodeStoredCommit,
  type FileId,
  type LineageId,
  type StateRecord,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { keys, type Range, ranges, readKey } from '../catalog/catalog-keys.ts';
import { read } from '../catalog/row-codec.ts';
import { StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';

/** One version of interest in a commit. */
interface Slot {
  readonly slot: number;
  readonly timeMs: number;
}

/**
 * The history's live versions now, grouped by commit: one range scan over the list of live
 * versions. Memory is one commit.
 */
export async function* liveNow(core: VaultCore, branchId: LineageId): AsyncGenerator<StateRecord> {
  let leaf: number | undefined;
  let slots: Slot[] = [];
  for await (const [key, value] of core.catalog.scan(ranges.live(branchId))) {
    const place = readKey.live(key);
    if (leaf !== undefined && place.leafIndex !== leaf) {
      yield await recordOf(core, leaf, slots);
      slots = [];
    }
    leaf = place.leafIndex;
    slots.push({ slot: place.slot, timeMs: read.u64(value) });
  }
  if (leaf !== undefined) yield await recordOf(core, leaf, slots);
}

/** A growing column of numbers, 8 bytes each. */
class Column {
  #values = new Float64Array(1024);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length] = value;
    this.#length += 1;
  }

  get values(): Float64Array {
    return this.#values.subarray(0, this.#length);
  }
}

/**
 * The history's files as they were at `atMs`: of each file the newest version not later than that,
 * unless it is "gone". Scans its versions once, then reads each commit that is still of interest
 * once. 24 bytes a file.
 */
export async function* liveAt(
  core: VaultCore,
  branchId: LineageId,
  atMs: number,
): AsyncGenerator<StateRecord> {
  const leaves = new Column();
  const slots = new Column();
  const times = new Column();
  let file: string | undefined;
  let newest: { leafIndex: number; slot: number; timeMs: number; gone: boolean } | undefined;
  const keep = (): void => {
    if (newest === undefined || newest.gone) return;
    leaves.push(newest.leafIndex);
    slots.push(newest.slot);
    times.push(newest.timeMs);
  };
  for await (const [key, value] of core.catalog.scan(ranges.versionsOf(branchId))) {
    const version = readKey.version(key);
    if (version.file !== file) {
      keep();
      newest = undefined;
      file = version.file;
    }
    if (version.timeMs > atMs) continue;
    const { leafIndex, slot, timeMs } = version;
    newest = { leafIndex, slot, timeMs, gone: read.version(value).kind === 'gone' };
  }
  keep();
  yield* byCommit(
    core,
    { leaves: leaves.values, slots: slots.values, times: times.values },
    'oldest first',
  );
}

/**
 * Every version of every file of the history, "gone" facts too, the newest commit first. 24 bytes a
 * version.
 */
export async function* everyVersion(
  core: VaultCore,
  branchId: LineageId,
): AsyncGenerator<StateRecord> {
  const leaves = new Column();
  const slots = new Column();
  const times = new Column();
  for await (const [key] of core.catalog.scan(ranges.versionsOf(branchId))) {
    const { leafIndex, slot, timeMs } = readKey.version(key);
    leaves.push(leafIndex);
    slots.push(slot);
    times.push(timeMs);
  }
  yield* byCommit(
    core,
    { leaves: leaves.values, slots: slots.values, times: times.values },
    'newest first',
  );
}

/** Places of versions, a column for each part. */
interface Places {
  readonly leaves: Float64Array;
  readonly slots: Float64Array;
  readonly times: Float64Array;
}

async function* byCommit(
  core: VaultCore,
  { leaves, slots, times }: Places,
  order: 'oldest first' | 'newest first',
): AsyncGenerator<StateRecord> {
  const at = (column: Float64Array, row: number): number => column[row] ?? 0;
  const sign = order === 'oldest first' ? 1 : -1;
  const rows = new Uint32Array(leaves.length).map((_, index) => index);
  rows.sort((a, b) => sign * (at(leaves, a) - at(leaves, b)) || at(slots, a) - at(slots, b));
  let leaf: number | undefined;
  let of: Slot[] = [];
  for (const row of rows) {
    if (leaf !== undefined && at(leaves, row) !== leaf) {
      yield await recordOf(core, leaf, of);
      of = [];
    }
    leaf = at(leaves, row);
    of.push({ slot: at(slots, row), timeMs: at(times, row) });
  }
  if (leaf !== undefined) yield await recordOf(core, leaf, of);
}

/**
 * Every version of one file, oldest first; "gone" facts are versions too, unless an operator said
 * so: that stands in no commit.
 */
export async function* versionsOf(
  core: VaultCore,
  branchId: LineageId,
  fileId: FileId,
): AsyncGenerator<StateRecord> {
  const range: Range = ranges.versionsOfFile(branchId, fileId);
  let leaf: number | undefined;
  let slots: Slot[] = [];
  for await (const [key, value] of core.catalog.scan(range)) {
    const version = readKey.version(key);
    if (read.version(value).kind === 'gone' && (await isEvent(core, version.leafIndex))) continue;
    if (leaf !== undefined && version.leafIndex !== leaf) {
      yield await recordOf(core, leaf, slots);
      slots = [];
    }
    leaf = version.leafIndex;
    slots.push({ slot: version.slot, timeMs: version.timeMs });
  }
  if (leaf !== undefined) yield await recordOf(core, leaf, slots);
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
  for await (const record of records) {
    const { rows } = readCommit(record.commit);
    const files = record.live.map((slot) => rows.entry(slot)?.fileId);
    const heads = await core.catalog.getMany(
      files.flatMap((file) => (file === undefined ? [] : [keys.head(beside, file)])),
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

async function recordOf(
  core: VaultCore,
  leafIndex: number,
  slots: readonly Slot[],
): Promise<StateRecord> {
  const { type, payload } = await core.leafRecord(leafIndex);
  if (type !== 'commit')
    throw new StoreError(
      'STORE_CATALOG',
      `leaf ${leafIndex} is no commit; run aliquot fsck --repair`,
    );
  const { commit, receipt } = decodeStoredCommit(payload);
  const { agentId } = decodeCommitHeader(decodeSignedCommit(commit).header);
  const certificate = core.registry.signedCertificate(agentId);
  if (certificate === undefined)
    throw new StoreError(
      'STORE_CATALOG',
      `the agent of leaf ${leafIndex} is not known; run aliquot fsck --repair`,
    );
  return {
    ...certificate,
    commit,
    receipt,
    live: slots.map(({ slot }) => slot),
    versionTimesMs: slots.map(({ timeMs }) => timeMs),
  };
}
