import {
  asChunkId,
  type ChunkId,
  decodeSlab,
  encodeSlab,
  pieceOf,
  type SlabPiece,
} from '@aliquot/proto';
import { slabId } from '@aliquot/shared/content/slab';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { seededSource } from '@aliquot/shared/testing/random';
import { describe, expect, test } from 'vitest';
import { StoreError } from '../../src/store/errors.ts';
import {
  comparePlaces,
  ITEM_ROOM_BYTES,
  type PackItem,
  type PackOpening,
  type PackRow,
  type PackStore,
  type Place,
  type PlacedItem,
} from '../../src/store/packs/pack-store.ts';

/** A medium under test, empty at first: a store is opened on it again and again, one at a time. */
export interface PackFixture {
  /** Opens the store with packs of about `TEST_PACK_BYTES`. */
  open(opening?: PackOpening): Promise<PackStore>;
  /** One byte of an item rots, some one unless told which. No store is open. */
  rot(place: Place, byte?: number): Promise<void>;
  /** Somebody takes a pack away. No store is open. */
  lose(pack: number): Promise<void>;
}

export const TEST_PACK_BYTES = 16 * 1024;

const random = seededSource('packs');

/** An item of random bytes. */
function item(length: number, kind: PackItem['kind'] = 'chunk'): PackItem {
  const bytes = random.bytes(length);
  return { id: asChunkId(sha256(bytes)), kind, bytes };
}

/** A slab of pieces of these lengths, without those of these numbers, from 0 on. */
function slab(lengths: readonly number[], ...holes: readonly number[]): PackItem {
  const pieces = lengths.map((length, at): SlabPiece => {
    const sealed = random.bytes(length);
    return { length, hash: sha256(sealed), sealed: holes.includes(at) ? undefined : sealed };
  });
  const bytes = encodeSlab(pieces);
  return { id: slabId(decodeSlab(bytes)), kind: 'slab', bytes };
}

function items(count: number, length: number): PackItem[] {
  return Array.from({ length: count }, () => item(length));
}

const name = (id: ChunkId): string => Buffer.from(id).toString('hex');

async function codeOf(run: Promise<unknown>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}

async function allRows(store: PackStore, pack: number, from?: number): Promise<PackRow[]> {
  const rows: PackRow[] = [];
  for await (const some of store.rows(pack, from)) rows.push(...some);
  return rows;
}

/** Puts one after the other, so that they fill pack after pack. */
async function putEach(store: PackStore, all: readonly PackItem[]): Promise<PlacedItem[]> {
  const placed: PlacedItem[] = [];
  for (const one of all) {
    const [place] = await store.put([one]);
    if (place === undefined) throw new Error('it was given no place');
    placed.push({ id: one.id, place });
  }
  return placed;
}

/** Fills three packs at least, each synced. */
async function fill(store: PackStore): Promise<PlacedItem[]> {
  const placed: PlacedItem[] = [];
  for (let round = 0; round < 4; round += 1) {
    placed.push(...(await putEach(store, items(6, 2500))));
    await store.sync();
  }
  return placed;
}

async function expectSound(store: PackStore, placed: readonly PlacedItem[]): Promise<void> {
  for (const { id, place } of placed) {
    const { bytes } = await store.read(id, place);
    expect(name(asChunkId(sha256(bytes)))).toBe(name(id));
  }
}

/** What every pack store must do. A new one's test file is its fixture and one call of this. */
export function packStoreConformance(title: string, fixture: () => PackFixture): void {
  describe(`pack store: ${title}`, () => {
    const begin = async () => {
      const medium = fixture();
      return { medium, store: await medium.open() };
    };

    test('what was put is read at once by id and place, and the items of a put stand in one pack', async () => {
      const { store } = await begin();
      const put = [item(300), item(200, 'page'), item(1)];
      const places = await store.put(put);
      expect(places.map(({ length }) => length)).toEqual([300, 200, 1]);
      expect(new Set(places.map(({ pack }) => pack)).size).toBe(1);
      expect(places.toSorted(comparePlaces)).toEqual(places);
      for (const [at, { id, kind, bytes }] of put.entries())
        expect(await store.read(id, places[at] as Place)).toEqual({
          kind,
          bytes: Buffer.from(bytes),
        });
      expect(await store.put([])).toEqual([]);
      await store.close();
    });

    test('what is put behind the end of the newest pack lies in another one, and nothing is lost by it', async () => {
      const { medium, store } = await begin();
      await store.closeNewest();
      const [first] = await putEach(store, items(1, 300));
      await store.closeNewest();
      await store.closeNewest();
      expect(store.packs().at(-1)).toMatchObject({ pack: first?.place.pack, closed: true });
      const [second] = await putEach(store, items(1, 300));
      expect(second?.place.pack).toBeGreaterThan(first?.place.pack ?? 0);
      await store.sync();
      await store.close();
      const placed = [first, second].flatMap((one) => one ?? []);
      const again = await medium.open();
      await expectSound(again, placed);
      expect(await allRows(again, placed[0]?.place.pack ?? 0)).toHaveLength(1);
      await again.close();
    });

    test('what was synced is there after the next opening, and its rows tell where', async () => {
      const { medium, store } = await begin();
      const placed = await fill(store);
      const durable = store.packs();
      expect(store.bytes).toBe(durable.reduce((sum, { bytes }) => sum + bytes, 0));
      await store.close();
      for (const opening of [{}, { durable }, { durable, discard: true }]) {
        const again = await medium.open(opening);
        expect(again.packs()).toEqual(durable);
        expect(durable.length).toBeGreaterThan(2);
        await expectSound(again, placed);
        const rows = [];
        for (const { pack } of again.packs()) rows.push(...(await allRows(again, pack)));
        expect(rows.map(({ id, place, sound }) => ({ id: name(id), place, sound }))).toEqual(
          placed.map(({ id, place }) => ({ id: name(id), place, sound: true })),
        );
        await again.close();
      }
    });

    test('what was put and not synced is dropped by an opening that discards, and nothing else', async () => {
      const { medium, store } = await begin();
      const kept = await fill(store);
      const lost = await putEach(store, items(2, 100));
      expect(store.unsyncedBytes).toBeGreaterThan(0);
      const durable = store.packs();
      await store.close();
      const again = await medium.open({ durable, discard: true });
      await expectSound(again, kept);
      for (const { id, place } of lost)
        expect(await codeOf(again.read(id, place))).toBe('STORE_DAMAGED');
      const more = await putEach(again, items(4, 100));
      await again.sync();
      await expectSound(again, [...kept, ...more]);
      await again.close();
    });

    test('bytes that wait for a sync are counted, and a sync leaves none', async () => {
      const { store } = await begin();
      expect(store.unsyncedBytes).toBe(0);
      await store.put(items(3, 100));
      expect(store.unsyncedBytes).toBeGreaterThanOrEqual(300);
      await store.sync();
      expect(store.unsyncedBytes).toBe(0);
      for (const { bytes, syncedBytes } of store.packs()) expect(syncedBytes).toBe(bytes);
      await store.sync();
      await store.close();
    });

    test('a synced pack grows or is closed, as the capability says', async () => {
      const { medium, store } = await begin();
      const [first] = await putEach(store, items(1, 100));
      await store.sync();
      const [second] = await putEach(store, items(1, 100));
      await store.sync();
      expect(second?.place.pack === first?.place.pack).toBe(store.capabilities.grows);
      const durable = store.packs();
      for (const { closed } of durable) expect(closed).toBe(!store.capabilities.grows);
      await store.close();
      const again = await medium.open({ durable });
      const [third] = await putEach(again, items(1, 100));
      expect(third?.place.pack === first?.place.pack).toBe(store.capabilities.grows);
      await again.close();
    });

    test('a removed pack is gone for good, and nothing else is disturbed', async () => {
      const { medium, store } = await begin();
      const placed = await fill(store);
      const before = store.bytes;
      const gone = store.packs()[1]?.pack ?? 0;
      await store.remove(gone);
      await store.remove(gone);
      expect(store.bytes).toBeLessThan(before);
      const check = async (open: PackStore) => {
        expect(open.packs().some(({ pack }) => pack === gone)).toBe(false);
        expect(await codeOf(allRows(open, gone))).toBe('STORE_DAMAGED');
        const [away, rest] = [true, false].map((is) =>
          placed.filter(({ place }) => (place.pack === gone) === is),
        );
        expect(away?.length).toBeGreaterThan(0);
        for (const { id, place } of away ?? [])
          expect(await codeOf(open.read(id, place))).toBe('STORE_DAMAGED');
        await expectSound(open, rest ?? []);
      };
      await check(store);
      await store.close();
      const again = await medium.open();
      await check(again);
      await again.close();
    });

    test('a number is never given twice, also after all packs were removed', async () => {
      const { medium, store } = await begin();
      await fill(store);
      let highest = store.packs().at(-1)?.pack ?? 0;
      for (const { pack } of store.packs()) await store.remove(pack);
      const [early] = await putEach(store, items(1, 100));
      expect(early?.place.pack).toBeGreaterThan(highest);
      await store.sync();
      highest = early?.place.pack ?? 0;
      await store.remove(highest);
      await store.close();
      const again = await medium.open();
      expect(again.packs().some(({ pack }) => pack <= highest)).toBe(false);
      const [late] = await putEach(again, items(1, 100));
      expect(late?.place.pack).toBeGreaterThan(highest);
      await again.close();
    });

    test('a pack that somebody took away disturbs nothing, and its number is not given again', async () => {
      const { medium, store } = await begin();
      const placed = await fill(store);
      const durable = store.packs();
      await store.close();
      const numbers = durable.map(({ pack }) => pack);
      const lost = [numbers[1] ?? 0, numbers.at(-1) ?? 0];
      for (const pack of lost) await medium.lose(pack);
      const again = await medium.open({ durable });
      expect(again.packs().filter(({ pack }) => lost.includes(pack))).toEqual([]);
      for (const { id, place } of placed) {
        const code = await codeOf(again.read(id, place));
        expect(code).toBe(lost.includes(place.pack) ? 'STORE_DAMAGED' : undefined);
      }
      await again.close();
      // Told once: the catalog knows no more of what is gone by the next opening.
      const later = await medium.open();
      const [fresh] = await putEach(later, items(1, 100));
      expect(fresh?.place.pack).toBeGreaterThan(numbers.at(-1) ?? 0);
      await later.close();
    });

    test('an id may lie in two packs, and each place gives it', async () => {
      const { store } = await begin();
      const twice = item(500);
      const [one] = await putEach(store, [twice]);
      await fill(store);
      const [other] = await putEach(store, [twice]);
      await store.sync();
      expect(one?.place.pack).not.toBe(other?.place.pack);
      await expectSound(store, [one, other] as PlacedItem[]);
      const rows = [];
      for (const { pack } of store.packs()) rows.push(...(await allRows(store, pack)));
      expect(
        rows.filter(({ id }) => name(id) === name(twice.id)).map(({ place }) => place),
      ).toEqual([one?.place, other?.place]);
      await store.close();
    });

    test('an item that rotted is damaged, and no other is', async () => {
      const { medium, store } = await begin();
      const placed = await fill(store);
      const durable = store.packs();
      await store.close();
      const bad = [placed[1], placed[7], placed.at(-1)] as PlacedItem[];
      for (const { place } of bad) await medium.rot(place);
      const again = await medium.open({ durable });
      const isBad = ({ id }: PlacedItem) => bad.some((one) => name(one.id) === name(id));
      for (const one of placed)
        expect(await codeOf(again.read(one.id, one.place))).toBe(
          isBad(one) ? 'STORE_DAMAGED' : undefined,
        );
      // A run is not proved: what rotted comes as it is, or as damaged.
      const unproved: string[] = [];
      let came = 0;
      for await (const run of again.readRuns(placed)) {
        came += run.type === 'run' ? run.items.length : run.ids.length;
        if (run.type === 'damaged') unproved.push(...run.ids.map(name));
        else
          for (const { id, offset, length } of run.items)
            if (name(asChunkId(sha256(run.bytes.subarray(offset, offset + length)))) !== name(id))
              unproved.push(name(id));
      }
      expect(unproved.toSorted()).toEqual(bad.map(({ id }) => name(id)).toSorted());
      expect(came).toBe(placed.length);
      const rows = [];
      for (const { pack } of again.packs()) rows.push(...(await allRows(again, pack)));
      expect(rows.map(({ id }) => name(id)).toSorted()).toEqual(
        placed.map(({ id }) => name(id)).toSorted(),
      );
      const more = await putEach(again, items(2, 100));
      await again.sync();
      await expectSound(again, [...placed.filter((one) => !isBad(one)), ...more]);
      await again.close();
    });

    test('slabs are read whole or with holes, and rows tell what they have of their pieces, after an opening too', async () => {
      const { medium, store } = await begin();
      const most = Array.from({ length: 256 }, (_, at) => 2 + (at % 9));
      const all = [slab([100, 2, 900]), slab(most, 7, 255), slab([5]), slab([40, 50], 0)];
      const held = [
        { count: 3, here: undefined },
        { count: 256, here: Uint8Array.of(0x7f, ...Array(30).fill(0xff), 0x7f) },
        { count: 1, here: undefined },
        { count: 2, here: Uint8Array.of(0b10) },
      ];
      const check = async (open: PackStore, placed: readonly PlacedItem[]) => {
        for (const [at, { id, place }] of placed.entries())
          expect(await open.read(id, place)).toEqual({
            kind: 'slab',
            bytes: Buffer.from(all[at]?.bytes ?? []),
          });
        const rows = [];
        for (const { pack } of open.packs()) rows.push(...(await allRows(open, pack)));
        const slabs = rows.filter(({ kind }) => kind === 'slab');
        expect(slabs.map(({ pieces }) => pieces)).toEqual(held);
        expect(slabs.every(({ sound }) => sound)).toBe(true);
      };
      const placed = await putEach(store, all);
      await check(store, placed);
      await store.sync();
      const durable = store.packs();
      await store.close();
      const again = await medium.open({ durable });
      await check(again, placed);
      await fill(again); // the pack is closed: its index tells
      await again.close();
      const closed = await medium.open();
      await check(closed, placed);
      await closed.close();
    });

    test('of a slab that rotted in a piece the others are salvaged, and of one without its directory nothing is', async () => {
      const { medium, store } = await begin();
      const all = [slab([100, 200, 300]), slab([100, 200, 300]), slab([400])];
      const placed = await putEach(store, all);
      await store.sync();
      const durable = store.packs();
      await store.close();
      const [piece, directory, only] = placed as [PlacedItem, PlacedItem, PlacedItem];
      await medium.rot(piece.place, piece.place.length - 301);
      await medium.rot(directory.place, 12);
      await medium.rot(only.place, only.place.length - 1);
      const again = await medium.open({ durable });
      for (const { id, place } of placed)
        expect(await codeOf(again.read(id, place))).toBe('STORE_DAMAGED');
      const left = await again.salvage(piece.id, piece.place);
      const salvaged = decodeSlab(left ?? new Uint8Array(0));
      expect(name(slabId(salvaged))).toBe(name(piece.id));
      expect([0, 1, 2].map((at) => pieceOf(salvaged, at).sealed?.length)).toEqual([
        100,
        undefined,
        300,
      ]);
      for (const { id, place } of [directory, only])
        expect(await again.salvage(id, place)).toBeUndefined();
      await again.close();
    });

    test('a place that is not this item’s gives nothing, whatever it says', async () => {
      const { store } = await begin();
      const placed = await fill(store);
      const [one, two] = placed as [PlacedItem, PlacedItem];
      const wrong: PlacedItem[] = [
        { id: one.id, place: two.place },
        { id: one.id, place: { ...one.place, length: one.place.length - 1 } },
        { id: one.id, place: { ...one.place, length: 0xffff_ffff } },
        { id: one.id, place: { ...one.place, offset: one.place.offset + 1 } },
        { id: one.id, place: { ...one.place, offset: 0xffff_fff0 } },
        { id: one.id, place: { ...one.place, pack: 1_000_000 } },
      ];
      for (const { id, place } of wrong)
        expect(await codeOf(store.read(id, place))).toBe('STORE_DAMAGED');
      for (const one of wrong) {
        const runs = [];
        for await (const run of store.readRuns([one])) runs.push(run);
        expect(runs).toEqual([{ type: 'damaged', ids: [one.id] }]);
      }
      await expectSound(store, placed);
      await store.close();
    });

    test('runs give items in the order of the question, with room in front that is the caller’s', async () => {
      const { store } = await begin();
      const placed = await fill(store);
      const [first] = placed as [PlacedItem];
      const some = placed.filter((_, at) => at % 3 !== 1);
      const wanted = [...some, ...some.toReversed(), first, first];
      for (let round = 0; round < 2; round += 1) {
        const found: string[] = [];
        for await (const run of store.readRuns(wanted)) {
          if (run.type !== 'run') throw new Error('damaged');
          for (const { id, kind, offset, length } of run.items) {
            expect(offset).toBeGreaterThanOrEqual(ITEM_ROOM_BYTES);
            expect(kind).toBe('chunk');
            const bytes = run.bytes.subarray(offset, offset + length);
            expect(name(asChunkId(sha256(bytes)))).toBe(name(id));
            found.push(name(id));
          }
          run.bytes.fill(0xee);
        }
        expect(found).toEqual(wanted.map(({ id }) => name(id)));
      }
      for await (const _ of store.readRuns(wanted)) break; // a caller may leave at any time
      await store.close();
    });

    test('rows from where a pack ended tell only what came since', async () => {
      const { store } = await begin();
      await putEach(store, items(2, 100));
      await store.sync();
      const known = new Map(store.packs().map(({ pack, bytes }) => [pack, bytes]));
      const since = await putEach(store, items(20, 2500));
      await store.sync();
      const rows = [];
      for (const { pack } of store.packs())
        rows.push(...(await allRows(store, pack, known.get(pack))));
      expect(rows.map(({ id }) => name(id))).toEqual(since.map(({ id }) => name(id)));
      await store.close();
    });

    test('puts, syncs and reads may overlap in any way', async () => {
      const { store } = await begin();
      const all = items(60, 900);
      const placed = await Promise.all(
        all.map(async (one, at): Promise<PlacedItem> => {
          const [[place]] = await Promise.all([
            store.put([one]),
            at % 4 === 0 ? store.sync() : undefined,
          ]);
          if (place === undefined) throw new Error('it was given no place');
          await expectSound(store, [{ id: one.id, place }]);
          return { id: one.id, place };
        }),
      );
      await store.sync();
      expect(new Set(placed.map(({ place }) => `${place.pack}:${place.offset}`)).size).toBe(60);
      await expectSound(store, placed);
      await store.close();
    });

    test('an item larger than a pack gets a pack of its own', async () => {
      const { medium, store } = await begin();
      const placed = await putEach(store, [item(50), item(3 * TEST_PACK_BYTES), item(50)]);
      await store.sync();
      await store.close();
      const again = await medium.open();
      await expectSound(again, placed);
      await again.close();
    });

    test('a closed store says so', async () => {
      const { store } = await begin();
      const placed = await putEach(store, items(1, 100));
      await store.close();
      const [one] = placed as [PlacedItem];
      expect(await codeOf(store.put(items(1, 10)))).toBe('STORE_CLOSED');
      expect(await codeOf(store.sync())).toBe('STORE_CLOSED');
      expect(await codeOf(store.read(one.id, one.place))).toBe('STORE_CLOSED');
      expect(await codeOf(allRows(store, one.place.pack))).toBe('STORE_CLOSED');
      expect(await codeOf(store.remove(one.place.pack))).toBe('STORE_CLOSED');
    });
  });
}
