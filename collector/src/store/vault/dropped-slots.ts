import { SUMMARY_MARK_BYTES } from '@aliquot/proto';
import type { CommitRows } from '@aliquot/shared/commit/rows';
import { blockMarks, thingOf, wordsOf } from '@aliquot/shared/commit/summary';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import { isSet } from '../catalog/item-row.ts';
import { united } from './apply-dropped.ts';

const NONE: Uint8Array = new Uint8Array(0);

/** Which slots of a part of the log were dropped: asked for leaf by leaf, in rising order. */
export class DroppedSlots {
  readonly #rows: AsyncGenerator<readonly [Buffer, Buffer], void, void>;
  /** The first row that was not asked for yet. */
  #next: readonly [Buffer, Buffer] | undefined;
  #began = false;

  readonly #counts: (run: number) => boolean;

  /** `counts`: whether what was dropped after a run counts; all of it unless given. */
  constructor(
    catalog: Pick<CatalogStore, 'scan'>,
    from: number,
    below: number,
    counts: (run: number) => boolean = () => true,
  ) {
    this.#counts = counts;
    this.#rows = catalog.scan(ranges.droppedBetween(from, below));
  }

  /** A bit for each slot of a leaf; none are set behind the last byte. */
  async of(leafIndex: number): Promise<Uint8Array> {
    if (!this.#began) await this.#step();
    this.#began = true;
    let slots = NONE;
    for (let row = this.#next; row !== undefined; row = this.#next) {
      const leaf = readKey.droppedLeaf(row[0]);
      if (leaf > leafIndex) break;
      if (leaf === leafIndex && this.#counts(readKey.droppedRun(row[0])))
        slots = united(slots, row[1]);
      await this.#step();
    }
    return slots;
  }

  /** Ends the look at rows that nobody asks for any more. */
  async close(): Promise<void> {
    await this.#rows.return();
  }

  async #step(): Promise<void> {
    const { value } = await this.#rows.next();
    this.#next = value ?? undefined;
  }
}

/** The slots of one leaf that were dropped. */
export async function droppedSlots(
  catalog: Pick<CatalogStore, 'scan'>,
  leafIndex: number,
): Promise<Uint8Array> {
  const dropped = new DroppedSlots(catalog, leafIndex, leafIndex + 1);
  try {
    return await dropped.of(leafIndex);
  } finally {
    await dropped.close();
  }
}

/**
 * The marks of what has dropped rows in a commit, rising; the lowest bit is set where other rows of
 * it are left there.
 */
export function droppedMarks(rows: CommitRows, slots: Uint8Array): Uint8Array {
  if (slots.length === 0) return NONE;
  const dropped = new Set<bigint>();
  const left = new Set<bigint>();
  let [block, marks]: [object | undefined, BigUint64Array] = [undefined, new BigUint64Array(0)];
  rows.each((columns, place, slot) => {
    if (columns !== block) [block, marks] = [columns, wordsOf([blockMarks(columns)])];
    (isSet(slots, slot) ? dropped : left).add(thingOf(marks[place] ?? 0n));
  });
  const all = [...dropped].map((mark) => (left.has(mark) ? mark | 1n : mark));
  all.sort((a, b) => (a < b ? -1 : 1));
  const bytes = new DataView(new ArrayBuffer(all.length * SUMMARY_MARK_BYTES));
  for (const [at, mark] of all.entries()) bytes.setBigUint64(at * SUMMARY_MARK_BYTES, mark);
  return new Uint8Array(bytes.buffer);
}
