import { MAX_PIECE_PLAIN_BYTES, rowKind, type VersionBlock } from '@aliquot/proto';
import type { BlockOpeners } from '../commit/open-names.ts';
import type { CommitRows, SlotPlace } from '../commit/rows.ts';
import { MAX_FETCH_IDS } from './plan.ts';

/** Some blocks of a verified commit, for a thread that opens and proves what is in them. */
export interface SealedRows {
  /** The commit, for what does not open. */
  readonly of: {
    readonly hash: Uint8Array;
    readonly sequence: number;
    readonly receivedAtMs: number;
  };
  readonly keys: BlockOpeners;
  readonly blocks: readonly RowsOfBlock[];
}

/** One of them, in memory of its own. */
export interface RowsOfBlock {
  readonly block: Uint8Array<ArrayBuffer>;
  readonly root: Uint8Array;
  readonly listBox: Uint8Array;
  readonly readBox: Uint8Array;
  /** How many of its versions were asked for. */
  readonly asked: number;
  /** The places of those that are files to be proved, in their order. */
  readonly files: Uint16Array<ArrayBuffer>;
}

/** A version that was asked for, and where it stands; in the order of the slots. */
export interface AskedSlot extends SlotPlace {
  readonly slot: number;
  /** Whether it is a file that is to be proved; the names of the others are. */
  readonly isDrawn: boolean;
}

/** An order ends with the block in which its files have so many bytes, or are so many. */
const ORDER_BYTES = 4 * 1024 * 1024;
const ORDER_FILES = 1024;

/** The slots that were asked for of one block. */
interface Group {
  readonly index: number;
  readonly slots: AskedSlot[];
}

/** What was asked for of a commit, in two parts. */
export interface SharedRows {
  /** Made as they are drawn. */
  readonly orders: Iterable<SealedRows>;
  /** What the files to be proved in all of them say to have. */
  readonly bytes: number;
  readonly others: readonly AskedSlot[];
}

/**
 * What was asked for of a commit, in two parts: blocks that a thread can take as they are sealed,
 * in orders, because all files in question are pieces of slabs or empty; and the slots of the
 * others.
 */
export function shareRows(
  of: SealedRows['of'],
  rows: Pick<CommitRows, 'blocks'>,
  keys: BlockOpeners,
  asked: Iterable<AskedSlot>,
): SharedRows {
  let bytes = 0;
  const [small, others]: [Group[], AskedSlot[]] = [[], []];
  for (const group of groupsOf(asked)) {
    const { rows: block } = rows.blocks[group.index] ?? {};
    const isSmall =
      block !== undefined &&
      group.slots.every(({ isDrawn, place }) => !isDrawn || comesInSlabs(block, place));
    if (!isSmall) {
      others.push(...group.slots);
      continue;
    }
    small.push(group);
    for (const { isDrawn, place } of group.slots) if (isDrawn) bytes += block.sizes[place] ?? 0;
  }
  return { orders: ordersOf(of, rows, keys, small), bytes, others };
}

/** Kind `file`, and small enough for one item: a piece, or nothing. */
function comesInSlabs(block: VersionBlock, place: number): boolean {
  const size = block.sizes[place] ?? 0;
  if (rowKind(block, place) !== 'file' || size > MAX_PIECE_PLAIN_BYTES) return false;
  return (block.slabOf[place] ?? -1) >= 0 || (size === 0 && !block.references.has(place));
}

function groupsOf(asked: Iterable<AskedSlot>): Group[] {
  const groups: Group[] = [];
  for (const one of asked) {
    const last = groups.at(-1);
    if (last?.index === one.index) last.slots.push(one);
    else groups.push({ index: one.index, slots: [one] });
  }
  return groups;
}

function* ordersOf(
  of: SealedRows['of'],
  rows: Pick<CommitRows, 'blocks'>,
  keys: BlockOpeners,
  groups: readonly Group[],
): Generator<SealedRows, void, void> {
  let blocks: RowsOfBlock[] = [];
  let [bytes, files, slabs] = [0, 0, 0];
  for (const { index, slots } of groups) {
    const held = rows.blocks[index];
    if (held === undefined) continue;
    const isFull = bytes >= ORDER_BYTES || files >= ORDER_FILES;
    if (isFull || slabs + held.rows.slabs.length > MAX_FETCH_IDS) {
      yield { of, keys, blocks };
      [blocks, bytes, files, slabs] = [[], 0, 0, 0];
    }
    const drawn = slots.filter(({ isDrawn }) => isDrawn);
    const places = Uint16Array.from(drawn, ({ place }) => place);
    for (const place of places) bytes += held.rows.sizes[place] ?? 0;
    files += places.length;
    slabs += held.rows.slabs.length;
    blocks.push({
      block: new Uint8Array(held.rows.bytes),
      root: held.root.slice(),
      listBox: held.listBox.slice(),
      readBox: held.readBox.slice(),
      asked: slots.length,
      files: places,
    });
  }
  if (blocks.length > 0) yield { of, keys, blocks };
}

/** What of rows is handed over instead of copied. */
export function handedOf({ blocks }: SealedRows): ArrayBuffer[] {
  return blocks.flatMap(({ block, files }) => [block.buffer, files.buffer]);
}
