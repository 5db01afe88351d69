import type { ChunkId, StoredKind } from '@aliquot/proto';
import type { PiecesHeld } from './slab-pieces.ts';

/**
 * A stored item before it has a place: that its bytes are what id and kind say, the caller proved.
 */
export interface PackItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  readonly bytes: Uint8Array;
}

/** Where an item lies: its record begins at `offset` of that pack, its bytes are `length`. */
export interface Place {
  readonly pack: number;
  readonly offset: number;
  readonly length: number;
}

/** Negative when `a` comes before `b` in the order of the packs. */
export function comparePlaces(a: Place, b: Place): number {
  return a.pack === b.pack ? a.offset - b.offset : a.pack - b.pack;
}

/** An item that somebody wants to read. */
export interface PlacedItem {
  readonly id: ChunkId;
  readonly place: Place;
}

/** One row of a pack's index. */
export interface PackRow extends PlacedItem {
  readonly kind: StoredKind;
  /** Of a slab. */
  readonly pieces: PiecesHeld | undefined;
  /** False when its bytes were read and are not what the id says. True is the index's word only. */
  readonly sound: boolean;
}

/** How much of a pack there is. */
export interface PackExtent {
  readonly pack: number;
  readonly bytes: number;
  /** How many of these bytes are on stable storage. */
  readonly syncedBytes: number;
  /** A closed pack never changes again, but for being removed. */
  readonly closed: boolean;
}

/** Where an item lies in the bytes of its run. */
export interface HeldItem {
  readonly id: ChunkId;
  readonly kind: StoredKind;
  readonly offset: number;
  readonly length: number;
}

/**
 * Items that were read together. The bytes are the caller's, also the `ITEM_ROOM_BYTES` in front of
 * each item: there is room for what its next station writes before it.
 */
export type PackRun =
  | { readonly type: 'run'; readonly bytes: Uint8Array; readonly items: readonly HeldItem[] }
  | { readonly type: 'damaged'; readonly ids: readonly ChunkId[] };

/** Bytes in front of each item of a run that the caller may write over. */
export const ITEM_ROOM_BYTES = 52;

/** What tells one kind of pack store from another; callers and the conformance suite look at it. */
export interface PackCapabilities {
  /**
   * Whether a pack that was synced may still grow. Where it may not, each `sync` closes the pack:
   * who syncs often makes many small ones.
   */
  readonly grows: boolean;
  /** Bytes put and not synced that the store may hold in memory; 0 where it writes at once. */
  readonly heldBytes: number;
}

/** How a pack store is opened. */
export interface PackOpening {
  /**
   * What is known to have been on stable storage, from the catalog's checkpoint or from the store
   * that failed. What is broken before these ends is damage, never a torn tail; and no pack gets a
   * number that was given before, not after later openings either: the highest is remembered.
   */
  readonly durable?: readonly Pick<PackExtent, 'pack' | 'syncedBytes'>[];
  /**
   * After a failed write or sync: whatever stands behind `durable` may be in the page cache only,
   * and is dropped however sound it looks.
   */
  readonly discard?: boolean;
}

/**
 * The bytes of one vault: chunks, pages and slabs in packs, found by id and place alone. Packs have
 * no order; a number that is missing is no damage here (the catalog knows what lay there); an id
 * may lie in two packs. What was accepted, and in which order, is the `HistoryLog`'s to know.
 *
 * **Durability.** What `put` has placed can be read at once, and is durable when a `sync` that was
 * called later has resolved. What was put and never synced may be gone, whole or in part, after a
 * crash: an opening keeps the sound records, cuts a torn tail, and makes what it keeps durable
 * before it resolves. A removal is durable when it resolves, and a number is never given twice.
 *
 * **Repetition.** `put` stores what it is given, also an id that it holds: who may spare that asks
 * the catalog. `sync` with nothing to do costs nothing. Removing what is not there does nothing.
 *
 * **Concurrency.** Any calls may overlap. `put`, `sync`, `closeNewest` and `remove` take effect in
 * the order of the calls; reads run beside them. An item that is read while its pack is removed
 * comes whole or as damaged.
 *
 * **Errors.** `put` is all or nothing. After `STORE_NO_SPACE` the store is as it was and may be
 * used on; after `STORE_FAILED` only reads and `close` are of use: open it again with the extents
 * of the one that failed, and `discard`. Whatever keeps an item from being read as it was stored (a
 * pack that is gone, cut, or another vault's; bytes that rotted) is `STORE_DAMAGED`, or a `damaged`
 * run, and names the file; it never concerns another item. `rows` throws `STORE_CORRUPT`, naming
 * the pack and the way out, when a pack as a whole is not what its name says: another vault's,
 * renamed, doubled, of a later release; and so does an opening of the newest one. Else an opening
 * throws for trouble with the medium only.
 *
 * **Slabs** may lack pieces, and their ids cover the hashes of pieces only: a record's plan of
 * proof (`slabPlan`) says what is hashed of one. The same slab may lie in two places with other
 * holes.
 *
 * **An object store** is a tenant without growing packs: it holds what is put in memory, so that it
 * can be read at once, and `sync` puts the whole as one object, a closed pack byte for byte, that
 * is never appended to or renamed. A number is kept from being given twice by an empty object
 * beside the newest pack that was removed. `collector/testing/store/object-packs.ts` is that tenant
 * over a folder. **PostgreSQL** is another: a pack is a row of a table of packs, its items rows of
 * a second, `sync` commits the transaction that `put` has been filling, and numbers come from a
 * sequence.
 */
export interface PackStore {
  readonly capabilities: PackCapabilities;
  /** Bytes of all packs. */
  readonly bytes: number;
  /** Bytes that a crash would take. */
  readonly unsyncedBytes: number;

  /** Places the items in one pack, next to each other and in this order. */
  put(items: readonly PackItem[]): Promise<readonly Place[]>;

  /** Makes durable what was put before this call. */
  sync(): Promise<void>;

  /** An item's bytes, proved against its id. */
  read(id: ChunkId, place: Place): Promise<{ kind: StoredKind; bytes: Uint8Array }>;

  /**
   * What still proves of a slab that `read` finds damaged there, with holes where a piece does not;
   * undefined when nothing does.
   */
  salvage(id: ChunkId, place: Place): Promise<Uint8Array | undefined>;

  /**
   * What `read` gives, of many, in the order of the question; what lies near is read together, a
   * few runs ahead. The headers are proved and the bytes are not: whoever opens an item proves it
   * anyway, and asks `read` for one that has rotted.
   */
  readRuns(items: readonly PlacedItem[]): AsyncIterable<PackRun>;

  /** All packs, by number. */
  packs(): readonly PackExtent[];

  /**
   * The items whose records begin at `from` or behind it, as they lie, some thousand at a time:
   * from the pack's own index, or from its records where it has none. Reads no bytes of a closed
   * pack that has one, but of slabs with holes which those are. Throws `STORE_DAMAGED` when the
   * pack is not there.
   */
  rows(pack: number, from?: number): AsyncIterable<readonly PackRow[]>;

  /** Throws, as `rows`, when what lies in a pack's place is another one: by its first bytes. */
  look(pack: number): Promise<void>;

  /** Closes the pack that grows: what is put next goes into another one. */
  closeNewest(): Promise<void>;

  /** Takes a pack away, whatever it holds: the caller has proved that nothing needs it. */
  remove(pack: number): Promise<void>;

  /** Closes the files; does not sync. Later calls throw `STORE_CLOSED`. */
  close(): Promise<void>;
}
