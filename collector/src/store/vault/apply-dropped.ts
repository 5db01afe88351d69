import type { FileId, LeafSlots, ResultId, StoredDropped } from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import { neverSwept } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { encodeDroppedNote } from '../catalog/dropped-note.ts';
import { approvalOfRun } from '../catalog/purge-row.ts';
import { idName } from '../catalog/reference-walk.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import {
  type DroppedNext,
  encodeHead,
  type HeadRow,
  type KnownVersion,
  placeName,
  type VersionPlace,
} from '../catalog/version-rows.ts';
import type { SweepRow } from '../vault-records.ts';
import { sumsOf } from './apply.ts';
import { forgetDropped } from './apply-retention.ts';
import { type Effect, IDLE } from './effect.ts';
import { FileVersions } from './file-versions.ts';
import type { NamedVersion } from './named-versions.ts';

/*
 * How versions leave the catalog. What is left of a file stands as if they had never been there,
 * but for three things: what took the place of the one before them stays known, the one behind them
 * keeps its time, and which they were is written down.
 */

/** Reads in a commit how large a version of it is. */
export type SizeOf = (place: VersionPlace) => Promise<number>;

/** A file or result of which versions are dropped, by their places. */
interface ThinnedFile {
  readonly id: Uint8Array;
  readonly isResult: boolean;
  readonly dropped: Map<string, NamedVersion>;
}

/** A version in its chain, and what took its place, where that was dropped before. */
interface ChainLink {
  readonly version: KnownVersion;
  readonly replacedBy: DroppedNext | undefined;
}

interface Thinned {
  readonly removed: readonly NamedVersion[];
  readonly before: HeadRow | undefined;
  readonly after: HeadRow | undefined;
}

/**
 * Takes versions out of a history. `named` is what their commits and events say of them; what those
 * do not say any more, because the record has rotted or was thinned, stands in no chain either.
 */
export async function applyDropped(
  change: CatalogChange,
  { run, branchId, leaves }: StoredDropped,
  named: readonly NamedVersion[],
  registry: Registry,
  sizeOf: SizeOf,
): Promise<Effect> {
  for (const leaf of leaves) await markDropped(change, run, leaf);
  const stored = await change.get(keys.lineage(branchId));
  if (stored === undefined) return IDLE;
  const known = read.lineage(stored);
  const runs = approvalOfRun(run) === undefined ? [run] : registry.runs.all().map((of) => of.run);
  for (const of of runs) await forgetDropped(change, known.number, { run: of, leaves });
  const chains = new Chains(change, known.number, run, sizeOf);
  let [versions, rawBytes, files, bytes] = [0, 0n, 0, 0n];
  let droppedVersions = 0;
  for (const file of thinnedFiles(named)) {
    const { removed, before, after } = await chains.thin(file);
    droppedVersions += removed.length;
    if (file.isResult) continue;
    for (const { isEvent, size } of removed) {
      // What an operator said of files is no version that a PC has sent.
      if (isEvent) continue;
      versions += 1;
      rawBytes += BigInt(size);
    }
    files += liveFiles(after) - liveFiles(before);
    bytes += BigInt(after?.size ?? 0) - BigInt(before?.size ?? 0);
  }
  chains.finish();
  const sums = await sumsOf(change);
  change.put(
    keys.sums,
    values.sums({
      ...sums,
      versions: sums.versions - versions,
      rawBytes: sums.rawBytes - rawBytes,
      files: sums.files + files,
      liveBytes: sums.liveBytes + bytes,
    }),
  );
  const lineage = { ...known, files: known.files + files, bytes: known.bytes + bytes };
  change.put(keys.lineage(branchId), values.lineage(lineage));
  const lineageId = registry.lineageOf(branchId) ?? branchId;
  const swept = await change.get(keys.sweep(lineageId));
  const progress = swept === undefined ? neverSwept : read.sweep(swept);
  const sweep: SweepRow = {
    ...progress,
    droppedVersions: progress.droppedVersions + droppedVersions,
    droppedBytes: progress.droppedBytes + rawBytes,
  };
  change.put(keys.sweep(lineageId), values.sweep(sweep));
  return (live) => {
    live.setLineage(branchId, lineage);
    live.setSweep(lineageId, sweep);
  };
}

/** Adds slots to those that were dropped after a run. */
async function markDropped(
  change: CatalogChange,
  run: number,
  { leafIndex, slots }: LeafSlots,
): Promise<void> {
  const key = keys.dropped(leafIndex, run);
  change.put(key, united((await change.get(key)) ?? NOTHING, slots));
}

const NOTHING = new Uint8Array(0);

/** The bits of both. */
export function united(one: Uint8Array, other: Uint8Array): Buffer {
  const [longer, shorter] = one.length < other.length ? [other, one] : [one, other];
  const bits = Buffer.from(longer);
  for (const [at, byte] of shorter.entries()) bits[at] = (bits[at] ?? 0) | byte;
  return bits;
}

function thinnedFiles(named: readonly NamedVersion[]): Iterable<ThinnedFile> {
  const files = new Map<string, ThinnedFile>();
  for (const version of named) {
    const { id, isResult } = version;
    const name = `${isResult ? 'R' : 'H'}${idName(id)}`;
    const file = files.get(name) ?? { id, isResult, dropped: new Map() };
    file.dropped.set(placeName(version), version);
    files.set(name, file);
  }
  return files.values();
}

/** The chains of one history. */
class Chains {
  readonly #change: CatalogChange;
  readonly #history: number;
  readonly #run: number;
  readonly #versions: FileVersions;
  readonly #sizeOf: SizeOf;

  constructor(change: CatalogChange, history: number, run: number, sizeOf: SizeOf) {
    this.#change = change;
    this.#history = history;
    this.#run = run;
    this.#versions = new FileVersions(change, history);
    this.#sizeOf = sizeOf;
  }

  /** Takes versions out of the chain of one file or result. */
  async thin({ id, isResult, dropped }: ThinnedFile): Promise<Thinned> {
    const before = await (isResult
      ? this.#versions.resultHead(id as ResultId)
      : this.#versions.head(id as FileId));
    const links = await this.#linksTo(before, dropped);
    const removed = links.flatMap(({ version }) => dropped.get(placeName(version)) ?? []);
    if (before === undefined || removed.length === 0) return { removed, before, after: before };
    const kept = links.flatMap(({ version }, at) => (dropped.has(placeName(version)) ? [] : [at]));
    this.#note(links, dropped);
    for (const [at, place] of kept.entries()) await this.#join(links, place, kept[at + 1]);
    for (const version of removed) await this.#versions.forget(version);
    const newest = links[kept[0] ?? -1]?.version;
    if (newest === links[0]?.version) return { removed, before, after: before };
    const after = await this.#newHead(isResult, before, newest);
    const key = isResult
      ? keys.result(this.#history, id as ResultId)
      : keys.head(this.#history, id as FileId);
    if (after === undefined) this.#change.del(key);
    else this.#change.put(key, encodeHead(after));
    return { removed, before, after };
  }

  finish(): void {
    this.#versions.finish();
  }

  /** The chain from its newest version back, as far as the first that stays behind all others. */
  async #linksTo(
    head: KnownVersion | undefined,
    dropped: ReadonlyMap<string, NamedVersion>,
  ): Promise<ChainLink[]> {
    const links: ChainLink[] = [];
    let left = dropped.size;
    let link: ChainLink | undefined = head && { version: head, replacedBy: undefined };
    for (let isLast = false; link !== undefined && !isLast; ) {
      links.push(link);
      const isDropped = dropped.has(placeName(link.version));
      if (isDropped) left -= 1;
      isLast = left === 0 && !isDropped;
      const earlier = await this.#versions.earlier(link.version);
      link = earlier && { version: earlier, replacedBy: earlier.replacedBy };
    }
    return links;
  }

  /** Notes what goes, for who asks where it went; nothing follows from that. */
  #note(links: readonly ChainLink[], dropped: ReadonlyMap<string, NamedVersion>): void {
    for (const [at, { version, replacedBy }] of links.entries()) {
      const named = dropped.get(placeName(version));
      if (named === undefined) continue;
      const { leafIndex, slot, timeMs, kind } = version;
      const untilMs = (replacedBy ?? links[at - 1]?.version)?.timeMs;
      const [isGone, size] = [kind === 'gone', named.size];
      this.#change.put(
        keys.droppedVersion(this.#history, named.id, leafIndex, slot),
        encodeDroppedNote({ run: this.#run, fromMs: timeMs, untilMs, size, isGone }),
      );
    }
  }

  /** Joins a version that stays to the next one before it that does. */
  async #join(links: readonly ChainLink[], at: number, next: number | undefined): Promise<void> {
    const version = links[at]?.version;
    if (version === undefined || next === at + 1) return;
    const earlier = next === undefined ? undefined : links[next];
    if (next === undefined || earlier === undefined) {
      // Behind the last that was looked at stands what stood there.
      if (at + 1 < links.length) await this.#versions.setAlone(version);
      return;
    }
    const { leafIndex, slot, timeMs } = links[next - 1]?.version ?? version;
    const replacedBy = earlier.replacedBy ?? { leafIndex, slot, timeMs };
    await this.#versions.setEarlier(version, earlier.version, replacedBy);
  }

  /** Makes the newest that is left the newest of its file, if any is. */
  async #newHead(
    isResult: boolean,
    { leafIndex, slot, kind }: HeadRow,
    newest: KnownVersion | undefined,
  ): Promise<HeadRow | undefined> {
    const isListed = (of: KnownVersion['kind']): boolean => !isResult && of !== 'gone';
    if (isListed(kind)) await this.#versions.setLive({ leafIndex, slot }, false);
    if (newest === undefined) return undefined;
    if (isListed(newest.kind)) await this.#versions.setLive(newest, true);
    if ((await this.#versions.earlier(newest)) === undefined) await this.#versions.setAlone(newest);
    const { leafIndex: leaf, slot: place, kind: of, timeMs } = newest;
    const size = of === 'gone' ? 0 : await this.#sizeOf(newest);
    return { timeMs, leafIndex: leaf, slot: place, kind: of, size };
  }
}

function liveFiles(head: HeadRow | undefined): number {
  return head?.kind === 'file' ? 1 : 0;
}
