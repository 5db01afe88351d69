import type { ChunkId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { digestAt, type Hasher, type Span } from '@aliquot/shared/hashing/hasher';
import { RECORD_HEADER_BYTES, type RecordCodec } from '@aliquot/shared/records/codec';
import { isItem, type PackKind } from './pack-format.ts';
import { comparePlaces, type HeldItem, type PackRun, type PlacedItem } from './pack-store.ts';

/**
 * One read takes about so much: large enough for a disk that seeks, small enough to hold a few of
 * them.
 */
const RUN_BYTES = 1024 * 1024;
/** What lies between two wanted records is read with them up to here: cheaper than another read. */
const GAP_BYTES = 64 * 1024;
/** Runs that are read and proved ahead of the one that the caller has. */
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
  hasher: Hasher,
  items: readonly PlacedItem[],
): AsyncGenerator<PackRun, void, void> {
  const sorted = items.toSorted((a, b) => comparePlaces(a.place, b.place));
  const under: Promise<PackRun[]>[] = [];
  try {
    for (const group of groups(sorted)) {
      under.push(readGroup(source, hasher, group));
      if (under.length > AHEAD) yield* (await under.shift()) ?? [];
    }
    for (let next = under.shift(); next !== undefined; next = under.shift()) yield* await next;
  } finally {
    // The caller has left, or one of them failed: what the others say concerns nobody.
    for (const one of under) one.catch(() => undefined);
  }
}

/** Wanted records that stand so near to each other that one read takes them all. */
function* groups(sorted: readonly PlacedItem[]): Generator<readonly PlacedItem[]> {
  let group: PlacedItem[] = [];
  let start = 0;
  let end = 0;
  for (const wanted of sorted) {
    const { pack, offset, length } = wanted.place;
    const next = offset + RECORD_HEADER_BYTES + length;
    const near =
      group[0]?.place.pack === pack && offset - end <= GAP_BYTES && next - start <= RUN_BYTES;
    if (!near) {
      if (group.length > 0) yield group;
      group = [];
      start = offset;
    }
    // The same item twice in one question stands there once.
    const before = group.at(-1);
    if (near && before?.place.offset === offset && equalBytes(before.id, wanted.id)) continue;
    group.push(wanted);
    end = Math.max(near ? end : 0, next);
  }
  if (group.length > 0) yield group;
}

/**
 * Reads a group at once and proves every item of it. What does not prove is read again by itself,
 * which mends what can be mended.
 */
async function readGroup(
  source: RunSource,
  hasher: Hasher,
  group: readonly PlacedItem[],
): Promise<PackRun[]> {
  const [first] = group;
  if (first === undefined) return [];
  const { pack, offset: start } = first.place;
  const ends = group.map(({ place }) => place.offset + RECORD_HEADER_BYTES + place.length);
  const length = ends.reduce((most, end) => Math.max(most, end), start) - start;
  const bytes = await source.readBytes(pack, start, length);
  const items: HeldItem[] = [];
  const doubtful: PlacedItem[] = [];
  const runs: PackRun[] = [];
  if (bytes.length === length) {
    const codec = await source.codecOf(pack);
    const spans = group.map(({ place }): Span => {
      return { offset: place.offset - start + RECORD_HEADER_BYTES, length: place.length };
    });
    const hashed = await hasher.hash(bytes, spans);
    for (const [index, wanted] of group.entries()) {
      const span = spans[index];
      const isProved = span !== undefined && equalBytes(digestAt(hashed, index), wanted.id);
      const kind = isProved ? kindAt(codec, hashed.bytes, span, wanted.id) : undefined;
      if (kind === undefined || span === undefined) doubtful.push(wanted);
      else items.push({ id: wanted.id, kind, ...span });
    }
    if (items.length > 0) runs.push({ type: 'run', bytes: hashed.bytes, items });
  } else doubtful.push(...group);
  for (const wanted of doubtful) runs.push(await alone(source, wanted));
  return runs;
}

/** What the record's header says, if it is the header of this item. */
function kindAt(
  codec: RecordCodec<PackKind>,
  bytes: Uint8Array,
  { offset, length }: Span,
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
