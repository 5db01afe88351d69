import type { ChunkId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { RECORD_HEADER_BYTES, type RecordCodec } from '@aliquot/shared/records/codec';
import { isItem, type PackKind } from './pack-format.ts';
import type { HeldItem, PackRun, PlacedItem } from './pack-store.ts';

/**
 * One read takes about so much: large enough for a disk that seeks, small enough to hold a few of
 * them.
 */
const RUN_BYTES = 1024 * 1024;
/** What lies between two wanted records is read with them up to here: cheaper than another read. */
const GAP_BYTES = 64 * 1024;
/** Runs that are read ahead of the one that the caller has. */
const AHEAD = 2;

/** What runs are read from. */
export interface RunSource {
  /** Bytes as they lie, fewer at the pack's end; none when it cannot be read. */
  readBytes(pack: number, offset: number, length: number): Promise<Buffer>;
  codecOf(pack: number): Promise<RecordCodec<PackKind>>;
  /** One item by itself, which mends what can be mended; `undefined` when it is damaged. */
  readAlone(
    item: PlacedItem,
  ): Promise<(Pick<HeldItem, 'kind'> & { bytes: Uint8Array }) | undefined>;
}

/** See `PackStore.readRuns`. */
export async function* readRuns(
  source: RunSource,
  items: readonly PlacedItem[],
): AsyncGenerator<PackRun, void, void> {
  const under: Promise<PackRun[]>[] = [];
  try {
    for (const group of groups(items)) {
      under.push(readGroup(source, group));
      if (under.length > AHEAD) yield* (await under.shift()) ?? [];
    }
    for (let next = under.shift(); next !== undefined; next = under.shift()) yield* await next;
  } finally {
    // The caller has left, or one of them failed: what the others say concerns nobody.
    for (const one of under) one.catch(() => undefined);
  }
}

/**
 * Neighbours in the question that also lie behind each other in a pack, so near that one read takes
 * them all.
 */
function* groups(items: readonly PlacedItem[]): Generator<readonly PlacedItem[]> {
  let group: PlacedItem[] = [];
  let start = 0;
  let end = 0;
  for (const wanted of items) {
    const { pack, offset, length } = wanted.place;
    const next = offset + RECORD_HEADER_BYTES + length;
    const near =
      group[0]?.place.pack === pack &&
      offset >= end &&
      offset - end <= GAP_BYTES &&
      next - start <= RUN_BYTES;
    if (!near) {
      if (group.length > 0) yield group;
      group = [];
      start = offset;
    }
    group.push(wanted);
    end = next;
  }
  if (group.length > 0) yield group;
}

/**
 * Reads a group at once, and holds the header of each record against what is wanted. What does not
 * fit is read again by itself, which proves it and mends what can be mended.
 */
async function readGroup(source: RunSource, group: readonly PlacedItem[]): Promise<PackRun[]> {
  const [first] = group;
  const last = group.at(-1);
  if (first === undefined || last === undefined) return [];
  const { pack, offset: start } = first.place;
  const length = last.place.offset + RECORD_HEADER_BYTES + last.place.length - start;
  const bytes = await source.readBytes(pack, start, length);
  const codec = bytes.length === length ? await source.codecOf(pack) : undefined;
  const runs: PackRun[] = [];
  let items: HeldItem[] = [];
  for (const wanted of group) {
    const { place, id } = wanted;
    const span = { offset: place.offset - start + RECORD_HEADER_BYTES, length: place.length };
    const kind = codec === undefined ? undefined : kindAt(codec, bytes, span, id);
    if (kind !== undefined) {
      items.push({ id, kind, ...span });
      continue;
    }
    if (items.length > 0) runs.push(copyOf(bytes, items));
    items = [];
    runs.push(await alone(source, wanted));
  }
  if (items.length > 0) runs.push({ type: 'run', bytes, items });
  return runs;
}

/** A run in memory of its own: what follows in these bytes is another's. */
function copyOf(bytes: Uint8Array, items: readonly HeldItem[]): PackRun {
  const start = (items[0]?.offset ?? 0) - RECORD_HEADER_BYTES;
  const last = items.at(-1);
  const end = last === undefined ? start : last.offset + last.length;
  return {
    type: 'run',
    bytes: Uint8Array.prototype.slice.call(bytes, start, end),
    items: items.map((item) => ({ ...item, offset: item.offset - start })),
  };
}

/** What the record's header says, if it is the header of this item. */
function kindAt(
  codec: RecordCodec<PackKind>,
  bytes: Uint8Array,
  { offset, length }: Pick<HeldItem, 'offset' | 'length'>,
  id: ChunkId,
): HeldItem['kind'] | undefined {
  const verdict = codec.decode(bytes, offset - RECORD_HEADER_BYTES);
  if (verdict.type !== 'header') return undefined;
  const { header } = verdict;
  const fits = header.length === length && equalBytes(header.digest, id);
  return fits && isItem(header.kind) ? header.kind : undefined;
}

async function alone(source: RunSource, wanted: PlacedItem): Promise<PackRun> {
  const { id } = wanted;
  const found = await source.readAlone(wanted);
  if (found === undefined) return { type: 'damaged', ids: [id] };
  const { kind, bytes } = found;
  const item = { id, kind, offset: RECORD_HEADER_BYTES, length: bytes.length };
  const roomy = Buffer.concat([Buffer.alloc(RECORD_HEADER_BYTES), bytes]);
  return { type: 'run', bytes: roomy, items: [item] };
}
