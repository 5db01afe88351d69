import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { keys } from './catalog-keys.ts';
import type { LivePack } from './catalog-rows.ts';
import type { CatalogChange } from './catalog-store.ts';
import { type ItemRow, isOwned, placesToRead } from './item-row.ts';
import { read, values } from './row-codec.ts';

const nothingLive: LivePack = { items: 0, bytes: 0 };

/**
 * Keeps count, pack by pack, of what is alive there: items that a lineage owns, each in the place
 * where it is read first. So the count follows from the rows of items, in whatever order packs and
 * history are taken in, and nobody scans them to learn how much of a pack is dead.
 *
 * Whoever changes who owns an item, or where it lies, tells `note`, and `enter` at the end.
 */
export class LiveCount {
  readonly #change: CatalogChange;
  readonly #moved = new Map<number, LivePack>();

  constructor(change: CatalogChange) {
    this.#change = change;
  }

  note(before: ItemRow, after: ItemRow): void {
    this.#add(before, -1);
    this.#add(after, 1);
  }

  /** Enters what was noted. Reads the rows of the packs that it concerns, which are few. */
  async enter(): Promise<void> {
    for (const [pack, { items, bytes }] of this.#moved) {
      if (items === 0 && bytes === 0) continue;
      const key = keys.packLive(pack);
      const row = await this.#change.get(key);
      const known = row === undefined ? nothingLive : read.live(row);
      const now = { items: known.items + items, bytes: known.bytes + bytes };
      if (now.items === 0) this.#change.del(key);
      else this.#change.put(key, values.live(now));
    }
    this.#moved.clear();
  }

  #add(row: ItemRow, sign: 1 | -1): void {
    if (row.places.length === 0 || !isOwned(row)) return;
    const place = row.places.length === 1 ? row.places[0] : placesToRead(row)[0];
    if (place === undefined) return;
    const { items, bytes } = this.#moved.get(place.pack) ?? nothingLive;
    const record = RECORD_HEADER_BYTES + place.length;
    this.#moved.set(place.pack, { items: items + sign, bytes: bytes + sign * record });
  }
}
