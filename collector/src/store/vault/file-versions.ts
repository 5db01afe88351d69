import { type FileId, ID_BYTES, type ResultId } from '@aliquot/proto';
import { headKeys, keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import {
  type DroppedNext,
  decodeEarlierRow,
  decodeHead,
  decodeLive,
  type EarlierVersion,
  encodeEarlier,
  encodeHead,
  encodeLive,
  GROUP_SLOTS,
  groupOf,
  type HeadRow,
  headText,
  type KnownVersion,
  type VersionPlace,
} from '../catalog/version-rows.ts';

/** A group of slots of one commit, taken apart while it changes. */
interface Group<Row> {
  readonly key: Buffer;
  readonly row: Row;
}

interface Bits {
  afterMs: number | undefined;
  readonly bits: Uint8Array;
}

interface Earlier {
  readonly earlier: Map<number, EarlierVersion>;
  readonly alone: Map<number, number>;
}

/**
 * How one history's versions change: the newest of each file, which of them are live, and for each
 * that followed another where that one is. So the versions of a file are a chain from its newest
 * one back. Rows stay taken apart until `finish`: many versions share one.
 */
export class FileVersions {
  readonly #change: CatalogChange;
  readonly #history: number;
  readonly #live = new Map<string, Group<Bits>>();
  readonly #earlier = new Map<string, Group<Earlier>>();

  /** @param history the number of the history (`LineageRow`). */
  constructor(change: CatalogChange, history: number) {
    this.#change = change;
    this.#history = history;
  }

  /**
   * Reads at once the newest versions of many files, and what changes where others follow them: an
   * answer for each run of ids, 16 bytes each.
   */
  async headsOf(runs: readonly Uint8Array[]): Promise<Heads[]> {
    const runsOfKeys = runs.map((ids) => headKeys(this.#history, ids));
    const stored = await this.#change.readMany(runsOfKeys.flatMap(({ keys: all }) => all));
    const groups = new Map<string, Buffer>();
    for (const row of stored) {
      const head = row === undefined ? undefined : decodeHead(row);
      if (head === undefined || head.kind === 'gone') continue;
      const key = keys.live(this.#history, head.leafIndex, groupOf(head.slot));
      groups.set(groupName(head), key);
    }
    const live = await this.#change.readMany([...groups.values()]);
    for (const [at, [name, key]] of [...groups].entries())
      if (!this.#live.has(name)) this.#live.set(name, { key, row: bitsIn(live[at]) });
    let from = 0;
    return runsOfKeys.map(({ names }) => {
      from += names.length;
      return new Heads(this, this.#change, names, stored.slice(from - names.length, from));
    });
  }

  async head(file: FileId): Promise<HeadRow | undefined> {
    const row = await this.#change.get(keys.head(this.#history, file));
    return row === undefined ? undefined : decodeHead(row);
  }

  async resultHead(result: ResultId): Promise<HeadRow | undefined> {
    const row = await this.#change.get(keys.result(this.#history, result));
    return row === undefined ? undefined : decodeHead(row);
  }

  /** Enters a result's newest version, which follows `before`. No listing of files shows it. */
  enterResult(result: ResultId, before: HeadRow | undefined, head: HeadRow): void {
    this.#change.put(keys.result(this.#history, result), encodeHead(head));
    if (before !== undefined) followed(this.#newEarlier(head), head, before);
  }

  /** What the newest version of a file, of a leaf that is being applied, makes of others. */
  follow(head: HeadRow, before: HeadRow | undefined, afterMs: number | undefined): void {
    if (before !== undefined) {
      followed(this.#newEarlier(head), head, before);
      if (before.kind !== 'gone') setBit(this.#newLive(before), before, false);
    }
    if (head.kind === 'gone') return;
    const bits = this.#newLive(head);
    if (afterMs !== undefined) bits.afterMs = afterMs;
    setBit(bits, head, true);
  }

  /** Says whether a version is live. */
  async setLive(place: VersionPlace, live: boolean): Promise<void> {
    const name = groupName(place);
    if (!this.#live.has(name)) {
      const key = keys.live(this.#history, place.leafIndex, groupOf(place.slot));
      this.#live.set(name, { key, row: bitsIn(await this.#change.get(key)) });
    }
    setBit(this.#newLive(place), place, live);
  }

  /** What a version followed; undefined when it is the first of its file. */
  async earlier(place: VersionPlace): Promise<EarlierVersion | undefined> {
    return (await this.#earlierAt(place)).earlier.get(place.slot % GROUP_SLOTS);
  }

  /**
   * Says what a version followed, and what had taken that one's place, where it was dropped since.
   */
  async setEarlier(
    version: KnownVersion,
    before: KnownVersion | undefined,
    replacedBy?: DroppedNext,
  ): Promise<void> {
    const row = await this.#earlierAt(version);
    if (before === undefined) row.earlier.delete(version.slot % GROUP_SLOTS);
    else followed(row, version, before, replacedBy);
  }

  /** Says that nothing is left before a version. */
  async setAlone(version: KnownVersion): Promise<void> {
    const { earlier, alone } = await this.#earlierAt(version);
    const inGroup = version.slot % GROUP_SLOTS;
    earlier.delete(inGroup);
    alone.set(inGroup, version.timeMs);
  }

  /** Forgets what a version followed: it is dropped. */
  async forget(place: VersionPlace): Promise<void> {
    const { earlier, alone } = await this.#earlierAt(place);
    earlier.delete(place.slot % GROUP_SLOTS);
    alone.delete(place.slot % GROUP_SLOTS);
  }

  /** Writes what has gathered. Nothing else may be asked of it then. */
  finish(): void {
    for (const { key, row } of this.#live.values()) this.#write(key, encodeLive(row));
    for (const { key, row } of this.#earlier.values()) this.#write(key, encodeEarlier(row));
  }

  #write(key: Buffer, value: Buffer | undefined): void {
    if (value === undefined) this.#change.del(key);
    else this.#change.put(key, value);
  }

  /** Of a leaf that is being applied, for which there is no row yet; or of one that was read. */
  #newLive(place: VersionPlace): Bits {
    const name = groupName(place);
    let group = this.#live.get(name);
    if (group === undefined) {
      const key = keys.live(this.#history, place.leafIndex, groupOf(place.slot));
      group = { key, row: bitsIn(undefined) };
      this.#live.set(name, group);
    }
    return group.row;
  }

  #newEarlier(place: VersionPlace): Earlier {
    const name = groupName(place);
    let group = this.#earlier.get(name);
    if (group === undefined) {
      const key = keys.earlier(this.#history, place.leafIndex, groupOf(place.slot));
      group = { key, row: nothingEarlier() };
      this.#earlier.set(name, group);
    }
    return group.row;
  }

  async #earlierAt(place: VersionPlace): Promise<Earlier> {
    const name = groupName(place);
    const known = this.#earlier.get(name);
    if (known !== undefined) return known.row;
    const key = keys.earlier(this.#history, place.leafIndex, groupOf(place.slot));
    const stored = await this.#change.get(key);
    const row = stored === undefined ? nothingEarlier() : decodeEarlierRow(stored);
    const group = { key, row };
    this.#earlier.set(name, group);
    return group.row;
  }
}

/** The newest versions of a run of files, by their place in it. */
class Heads {
  readonly #versions: FileVersions;
  readonly #change: CatalogChange;
  readonly #names: readonly string[];
  readonly #stored: readonly (Buffer | undefined)[];

  constructor(
    versions: FileVersions,
    change: CatalogChange,
    names: readonly string[],
    stored: readonly (Buffer | undefined)[],
  ) {
    this.#versions = versions;
    this.#change = change;
    this.#names = names;
    this.#stored = stored;
  }

  /** With what this change has entered itself. */
  at(place: number): HeadRow | undefined {
    const row = this.#change.entered(this.#names[place] ?? '') ?? this.#stored[place];
    return row === undefined ? undefined : decodeHead(row);
  }

  /** Enters a file's newest version, of the leaf that is being applied; it follows `before`. */
  enter(place: number, before: HeadRow | undefined, head: HeadRow, afterMs?: number): void {
    this.#change.enter(this.#names[place] ?? '', headText(head));
    this.#versions.follow(head, before, afterMs);
  }
}

/** The ids of files as one run: see `FileVersions.headsOf`. */
export function runOf(files: readonly FileId[]): Uint8Array {
  const run = new Uint8Array(files.length * ID_BYTES);
  for (const [at, file] of files.entries()) run.set(file, at * ID_BYTES);
  return run;
}

function nothingEarlier(): Earlier {
  return { earlier: new Map(), alone: new Map() };
}

function followed(
  { earlier, alone }: Earlier,
  version: KnownVersion,
  before: KnownVersion,
  replacedBy?: DroppedNext,
): void {
  const { timeMs, leafIndex, slot, kind } = before;
  const inGroup = version.slot % GROUP_SLOTS;
  alone.delete(inGroup);
  const followedMs = version.timeMs;
  earlier.set(inGroup, { timeMs, leafIndex, slot, kind, followedMs, replacedBy });
}

function setBit({ bits }: Bits, { slot }: VersionPlace, live: boolean): void {
  const inGroup = slot % GROUP_SLOTS;
  const byte = inGroup >>> 3;
  const bit = 1 << (inGroup & 7);
  bits[byte] = live ? (bits[byte] ?? 0) | bit : (bits[byte] ?? 0) & ~bit;
}

function bitsIn(stored: Uint8Array | undefined): Bits {
  return stored === undefined
    ? { afterMs: undefined, bits: new Uint8Array(GROUP_SLOTS / 8) }
    : decodeLive(stored);
}

function groupName({ leafIndex, slot }: VersionPlace): string {
  return `${leafIndex}/${groupOf(slot)}`;
}
