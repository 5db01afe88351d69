import type { DerivedIndex, Row } from '@aliquot/shared/derived/derived-index';
import { familyRange, prefixRange } from './index-rows.ts';
import {
  BLOCK_FILES,
  decodeColumns,
  encodeColumns,
  type KnownRow,
  packKnown,
  unpackKnown,
} from './known-block.ts';
import {
  besideCost,
  besideIn,
  isBefore,
  isNamed,
  type KnownName,
  keyOf,
  merged,
  namedIn,
  nameIn,
  nameOf,
  rangeOf,
  rowsOf,
} from './known-order.ts';
import { besideBefore, nextName, Peeked, passed } from './known-reading.ts';
import type { KnownRecord } from './payloads.ts';

/*
 * Known files in the index: a million of them must not be a million rows. They stand in blocks, in
 * the order of their paths, each under its first path; a block reaches to the first path of the
 * next. Changes of a few files stand beside the blocks, one row each, and take precedence. Where a
 * flush changes many files of one block, or many changes stand beside, blocks are written anew.
 *
 * A flush writes changes, blocks and the mark of the index at once, so blocks and what stands
 * beside them always say together what the records said (I-A5b). Where one block ends and the next
 * begins depends on the flushes, and differs after a rebuild.
 */

/** What a record says of one path: what is known of it now, or that nothing is. */
export interface KnownChange {
  readonly path: Uint8Array;
  readonly known: KnownRecord | undefined;
}

/** A block as it is written, and how far it reaches. */
interface Place {
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
  /** The name of the next block; undefined: there is none. */
  readonly end: string | undefined;
}

/** So many changes of one block have it written anew; fewer stand beside it. */
const ANEW_FROM = 8;
/** After so many vain looks, so many changes are written without one. */
const MOST_SKIPPED = 16;
/** What may stand beside the blocks before a part of it goes into them with every flush. */
const MOST_BESIDE_BYTES = 512 * 1024;
/** Changes for each of which a block is written anew then. */
const CHANGES_PER_BLOCK = 4;

/** Blocks after which a listing begins anew: some 4 MiB. */
const PAGE_BLOCKS = 512;

const nothing = new Uint8Array(0);

/**
 * The known files of one index. Changes wait in memory until `fold`, and are written by its flush.
 */
export class KnownRows {
  readonly #index: DerivedIndex;
  #waiting = new Map<string, KnownRow | undefined>();
  /** What the flush under way writes. */
  #flushing: ReadonlyMap<string, KnownRow | undefined> = new Map();
  #besideBytes: number;
  /**
   * From where on what stands beside is taken into blocks next; undefined: that begins anew. And
   * what was put there since it began.
   */
  #foldFrom: string | undefined;
  #besideSince = 0;

  /** `besideBytes` as it was at the last flush. */
  constructor(index: DerivedIndex, besideBytes: number) {
    this.#index = index;
    this.#besideBytes = besideBytes;
  }

  /** Changes that wait. */
  get staged(): number {
    return this.#waiting.size;
  }

  /** Bytes that stand beside the blocks: at most so many. */
  get besideBytes(): number {
    return this.#besideBytes;
  }

  stage(changes: readonly KnownChange[]): void {
    for (const { path, known } of changes) {
      const row = known === undefined ? undefined : { path, columns: encodeColumns(known) };
      this.#waiting.set(nameOf(path), row);
    }
  }

  /** What is known of a path, with what waits. */
  async get(path: Uint8Array): Promise<KnownRecord | undefined> {
    const name = nameOf(path);
    for (const changes of [this.#waiting, this.#flushing]) {
      const row = changes.get(name);
      if (row !== undefined) return decodeColumns(row);
      if (changes.has(name)) return undefined;
    }
    return this.written(path);
  }

  /** What is known of a path, of what was written. */
  async written(path: Uint8Array): Promise<KnownRecord | undefined> {
    const name = nameOf(path);
    // What stands beside comes first, and is asked first: meanwhile it may go into a block.
    const [beside] = await this.#index.getWritten([keyOf('k', name)]);
    if (beside !== undefined) {
      const [row] = beside.length === 0 ? [] : unpackKnown(beside);
      return row === undefined ? undefined : decodeColumns(row);
    }
    const block = await this.#blockAt(name);
    const found = block === undefined ? undefined : namedIn(block[1]).find(isNamed(name));
    return found?.row === undefined ? undefined : decodeColumns(found.row);
  }

  /** Every known file whose path begins so, in order, of what was written; many at a time. */
  async *batches(prefix: Uint8Array): AsyncGenerator<readonly KnownRecord[], void, void> {
    for await (const block of this.blocks(prefix)) yield unpackKnown(block).map(decodeColumns);
  }

  /**
   * The same as blocks. A listing of many begins anew from time to time, so that it holds no old
   * state of the index for as long as it takes: each file is as it was at one moment of it.
   */
  async *blocks(prefix: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
    const first = nameOf(prefix);
    const { lt } = prefixRange(Buffer.from(first, 'latin1'));
    const last = lt === undefined ? undefined : Buffer.from(lt).toString('latin1');
    for (let from: string | undefined = first; from !== undefined; )
      from = yield* this.#page(from, last);
  }

  /** Blocks from a name on; gives the name to go on from. */
  async *#page(
    first: string,
    last: string | undefined,
  ): AsyncGenerator<Uint8Array, string | undefined, void> {
    const isIn = ({ name }: KnownName): boolean =>
      name >= first && (last === undefined || name < last);
    // In this order: what goes into a block meanwhile is seen in one of the two at least.
    const beside = new Peeked(this.#index.batches(rangeOf('k', first, last)));
    try {
      await beside.peek();
      const begins = await this.#blockAt(first);
      const blocks = new Peeked(
        this.#index.batches(rangeOf('K', begins === undefined ? first : nameIn(begins[0]), last)),
      );
      try {
        yield* besideBefore(beside, await nextName(blocks));
        for (let count = 1; ; count += 1) {
          const block = await blocks.pass();
          if (block === undefined) return undefined;
          const end = await nextName(blocks);
          const changes = await passed(beside, end);
          const isInside = nameIn(block[0]) >= first && (end !== undefined || last === undefined);
          if (changes.length === 0 && isInside) yield block[1];
          else
            for (const { bytes } of packKnown(
              rowsOf(merged(namedIn(block[1]), changes).filter(isIn)),
            ))
              yield bytes;
          if (count >= PAGE_BLOCKS) return end;
        }
      } finally {
        await blocks.close();
      }
    } finally {
      await beside.close();
    }
  }

  /** Everything that is written, file by file, as fsck compares it. */
  async *rows(): AsyncGenerator<KnownRow & { readonly name: string }, void, void> {
    for await (const block of this.blocks(nothing))
      for (const { name, row } of namedIn(block)) if (row !== undefined) yield { name, ...row };
  }

  /**
   * What is wrong with the order of the written blocks; undefined when nothing is. Rows that were
   * lost or changed the index finds by itself.
   */
  async disorder(): Promise<string | undefined> {
    let reached: string | undefined;
    for await (const rows of this.#index.batches(familyRange('K'))) {
      for (const [key, value] of rows) {
        const files = namedIn(value);
        if (files.length === 0 || files.length > BLOCK_FILES) return 'a block is of no good size';
        if (files[0]?.name !== nameIn(key)) return 'a block is not where it belongs';
        for (const { name } of files) {
          if (reached !== undefined && name <= reached) return 'blocks are out of order';
          reached = name;
        }
      }
    }
    return undefined;
  }

  /** Stages what waits as rows of the index; its next flush has to follow. */
  async fold(): Promise<void> {
    this.#flushing = this.#waiting;
    this.#waiting = new Map();
    if (this.#flushing.size === 0) return;
    const changes: KnownName[] = [];
    this.#flushing.forEach((row, name) => {
      changes.push({ name, row });
    });
    changes.sort((a, b) => (a.name < b.name ? -1 : 1));
    const rest = await this.#foldBeside(changes);
    let at = 0;
    let skip = 1;
    while (rest.length - at >= ANEW_FROM) {
      const place = await this.#placeOf((rest[at] as KnownName).name);
      let to = at + 1;
      while (to < rest.length && isBefore(rest[to] as KnownName, place.end)) to += 1;
      if (to - at >= ANEW_FROM) {
        await this.#writeAnew(place, rest.slice(at, to));
        skip = 1;
      } else {
        // Scattered changes: a look for each would cost more than it can save.
        to = Math.min(rest.length, Math.max(to, at + skip));
        skip = Math.min(MOST_SKIPPED, skip * 2);
        for (const change of rest.slice(at, to)) this.#putBeside(change);
      }
      at = to;
    }
    for (const change of rest.slice(at)) this.#putBeside(change);
  }

  /** The flush is done. */
  flushed(): void {
    this.#flushing = new Map();
  }

  /**
   * Takes a part of what stands beside into its blocks, when that is much: with every flush the
   * next blocks, so that it costs each change the same. Gives the changes that did not go with it.
   */
  async #foldBeside(changes: readonly KnownName[]): Promise<readonly KnownName[]> {
    let rest = changes;
    let blocks = Math.ceil(changes.length / CHANGES_PER_BLOCK);
    for (; this.#besideBytes > MOST_BESIDE_BYTES && blocks > 0; blocks -= 1) {
      if (this.#foldFrom === undefined) this.#besideSince = 0;
      const next = await this.#firstName('k', this.#foldFrom ?? '');
      if (next === undefined) {
        this.#wentAround();
        break;
      }
      const place = await this.#placeOf(next);
      const first = place.key === undefined ? '' : nameIn(place.key);
      const isHere = (change: KnownName): boolean =>
        change.name >= first && isBefore(change, place.end);
      await this.#writeAnew(place, rest.filter(isHere));
      rest = rest.filter((change) => !isHere(change));
      this.#foldFrom = place.end;
      if (place.end !== undefined) continue;
      this.#wentAround();
      break; // no flush may write a block twice
    }
    return rest;
  }

  /** What stands beside now was put there since it began. */
  #wentAround(): void {
    this.#besideBytes = Math.min(this.#besideBytes, this.#besideSince);
    this.#foldFrom = undefined;
  }

  /** Writes a block anew, with what stands beside it and these changes. */
  async #writeAnew(place: Place, changes: readonly KnownName[]): Promise<void> {
    const { key, value, end } = place;
    const mine = new Set(changes.map(({ name }) => name));
    const beside: KnownName[] = [];
    if (this.#besideBytes > 0) {
      const range = rangeOf('k', key === undefined ? '' : nameIn(key), end);
      for await (const rows of this.#index.batches(range)) {
        for (const row of rows) {
          const name = nameIn(row[0]);
          // Another change of it was put beside just now.
          if (this.#flushing.has(name) && !mine.has(name)) continue;
          beside.push(besideIn(row));
          this.#index.del(row[0]);
          this.#besideBytes = Math.max(0, this.#besideBytes - besideCost(row[0], row[1]));
        }
      }
    }
    const before = value === undefined ? [] : namedIn(value);
    const files = merged(merged(before, beside), changes);
    // What comes behind the others fills blocks; what comes between them leaves room in both
    // halves.
    const isLonger = (files.at(-1)?.name ?? '') > (before.at(-1)?.name ?? '');
    const halves = Math.ceil(files.length / Math.ceil(files.length / BLOCK_FILES));
    if (key !== undefined) this.#index.del(key);
    for (const { first, bytes } of packKnown(rowsOf(files), isLonger ? BLOCK_FILES : halves))
      this.#index.put(keyOf('K', nameOf(first.path)), bytes);
  }

  #putBeside({ name, row }: KnownName): void {
    const key = keyOf('k', name);
    const value = row === undefined ? nothing : (packKnown([row])[0]?.bytes ?? nothing);
    this.#index.put(key, value);
    const cost = besideCost(key, value);
    this.#besideBytes += cost;
    this.#besideSince += cost;
  }

  async #placeOf(name: string): Promise<Place> {
    const block = await this.#blockAt(name);
    // The key that follows at once: no other is between the two.
    const end = await this.#firstName('K', `${name}\0`);
    return { key: block?.[0], value: block?.[1], end };
  }

  /** The block that a name stands in, if it stands in one. */
  #blockAt(name: string): Promise<Row | undefined> {
    return this.#index.last(rangeOf('K', '', `${name}\0`));
  }

  async #firstName(family: 'k' | 'K', from: string): Promise<string | undefined> {
    for await (const [row] of this.#index.batches(rangeOf(family, from, undefined), { limit: 1 }))
      return row === undefined ? undefined : nameIn(row[0]);
    return undefined;
  }
}
