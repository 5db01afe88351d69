import type { FileId, ResultId } from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import {
  decodeEarlier,
  decodeHead,
  decodeLive,
  type EarlierVersion,
  encodeEarlier,
  encodeHead,
  encodeLive,
  GROUP_SLOTS,
  groupOf,
  type HeadRow,
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

/**
 * How one history's versions change: the newest of each file, which of them are live, and for each
 * that followed another where that one is. So the versions of a file are a chain from its newest one
 * back. Rows stay taken apart until `finish`: many versions share one.
 */
export class FileVersions {
  readonly #change: CatalogChange;
  readonly #history: number;
  readonly #live = new Map<string, Group<Bits>>();
  readonly #earlier = new Map<string, Group<Map<number, EarlierVersion>>>();

  /** @param history the number of the history (`LineageRow`). */
  constructor(change: CatalogChange, history: number) {
    this.#change = change;
    this.#history = history;
  }

  /** Reads the newest versions of these files at once, and what changes where others follow them. */
  async prefetch(files: readonly FileId[]): Promise<void> {
    await this.#change.prefetch(files.map((file) => keys.head(this.#history, file)));
    const groups = new Map<string, Buffer>();
    for (const file of files) {
      const head = await this.head(file);
      if (head === undefined || head.kind === 'gone') continue;
      const { leafIndex, slot } = head;
      groups.set(nameOf(head), keys.live(this.#history, leafIndex, groupOf(slot)));
    }
    await this.#change.prefetch([...groups.values()]);
  }

  async head(file: FileId): Promise<HeadRow | undefined> {
    const row = await this.#change.get(keys.head(this.#history, file));
    return row === undefined ? undefined : decodeHead(row);
  }

  /** Enters a file's newest version, which follows `before`. */
  async enter(
    file: FileId,
    before: HeadRow | undefined,
    head: HeadRow,
    afterMs?: number,
  ): Promise<void> {
    this.#change.put(keys.head(this.#history, file), encodeHead(head));
    if (before !== undefined) {
      await this.setEarlier(head, before);
      await this.setLive(before, false);
    }
    if (head.kind !== 'gone') await this.setLive(head, true, afterMs);
  }

  async resultHead(result: ResultId): Promise<HeadRow | undefined> {
    const row = await this.#change.get(keys.result(this.#history, result));
    return row === undefined ? undefined : decodeHead(row);
  }

  /** Enters a result's newest version, which follows `before`. No listing of files shows it. */
  async enterResult(result: ResultId, before: HeadRow | undefined, head: HeadRow): Promise<void> {
    this.#change.put(keys.result(this.#history, result), encodeHead(head));
    if (before !== undefined) await this.setEarlier(head, before);
  }

  /** Says whether a version is live; `afterMs` is its commit's. */
  async setLive(place: VersionPlace, live: boolean, afterMs?: number): Promise<void> {
    const { row } = await this.#liveAt(place);
    if (live && afterMs !== undefined) row.afterMs = afterMs;
    const inGroup = place.slot % GROUP_SLOTS;
    const byte = inGroup >>> 3;
    const bit = 1 << (inGroup & 7);
    row.bits[byte] = live ? (row.bits[byte] ?? 0) | bit : (row.bits[byte] ?? 0) & ~bit;
  }

  /** What a version followed; undefined when it is the first of its file. */
  async earlier(place: VersionPlace): Promise<EarlierVersion | undefined> {
    return (await this.#earlierAt(place)).row.get(place.slot % GROUP_SLOTS);
  }

  /** Says what a version followed. */
  async setEarlier(version: KnownVersion, before: KnownVersion | undefined): Promise<void> {
    const { row } = await this.#earlierAt(version);
    const inGroup = version.slot % GROUP_SLOTS;
    if (before === undefined) row.delete(inGroup);
    else {
      const { timeMs, leafIndex, slot, kind } = before;
      row.set(inGroup, { timeMs, leafIndex, slot, kind, followedMs: version.timeMs });
    }
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

  async #liveAt(place: VersionPlace): Promise<Group<Bits>> {
    const name = nameOf(place);
    const known = this.#live.get(name);
    if (known !== undefined) return known;
    const key = keys.live(this.#history, place.leafIndex, groupOf(place.slot));
    const stored = await this.#change.get(key);
    const row =
      stored === undefined
        ? { afterMs: undefined, bits: new Uint8Array(GROUP_SLOTS / 8) }
        : decodeLive(stored);
    const group = { key, row };
    this.#live.set(name, group);
    return group;
  }

  async #earlierAt(place: VersionPlace): Promise<Group<Map<number, EarlierVersion>>> {
    const name = nameOf(place);
    const known = this.#earlier.get(name);
    if (known !== undefined) return known;
    const key = keys.earlier(this.#history, place.leafIndex, groupOf(place.slot));
    const stored = await this.#change.get(key);
    const group = { key, row: stored === undefined ? new Map() : decodeEarlier(stored) };
    this.#earlier.set(name, group);
    return group;
  }
}

function nameOf({ leafIndex, slot }: VersionPlace): string {
  return `${leafIndex}/${groupOf(slot)}`;
}
