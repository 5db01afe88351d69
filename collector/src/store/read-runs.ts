import type { ChunkId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { digestAt, type Hasher, type Span } from '@aliquot/shared/hashing/hasher';
import type { ItemRow } from './catalog-rows.ts';
import type { VaultCore } from './core.ts';
import { StoreError } from './errors.ts';
import { comparePositions } from './position.ts';
import { decodeRecordHeader, RECORD_HEADER_BYTES } from './record.ts';
import type { HeldItem, ItemRun } from './vault-records.ts';

/**
 * One read takes about so much: large enough for a disk that seeks, small enough to hold a few of
 * them.
 */
const RUN_BYTES = 1024 * 1024;
/** What lies between two wanted records is read with them up to here: cheaper than another read. */
const GAP_BYTES = 64 * 1024;
/** Runs that are read and proved ahead of the one that the caller has. */
const AHEAD = 2;

interface Wanted {
  readonly id: ChunkId;
  readonly row: ItemRow;
}

/**
 * Items in the order of the packs, in runs that were read at once, then those that are not there:
 * see `VaultReading.readRuns`.
 */
export async function* readRuns(
  ready: () => Promise<VaultCore>,
  hasher: Hasher,
  ids: readonly ChunkId[],
): AsyncGenerator<ItemRun, void, void> {
  const rows = await (await ready()).items(ids);
  const held = ids.flatMap((id, index): Wanted[] => {
    const row = rows[index];
    return row === undefined ? [] : [{ id, row }];
  });
  held.sort((a, b) => comparePositions(a.row.position, b.row.position));
  const under: Promise<ItemRun[]>[] = [];
  try {
    for (const group of groups(held)) {
      under.push(ready().then((core) => readGroup(core, hasher, group)));
      if (under.length > AHEAD) yield* (await under.shift()) ?? [];
    }
    for (let next = under.shift(); next !== undefined; next = under.shift()) yield* await next;
  } finally {
    // The caller has left, or one of them failed: what the others say concerns nobody.
    for (const one of under) one.catch(() => undefined);
  }
  const missing = ids.filter((_, index) => rows[index] === undefined);
  if (missing.length > 0) yield { type: 'missing', ids: missing };
}

/** Wanted records that stand so near to each other that one read takes them all. */
function* groups(held: readonly Wanted[]): Generator<readonly Wanted[]> {
  let group: Wanted[] = [];
  let start = 0;
  let end = 0;
  for (const wanted of held) {
    const { position, length } = wanted.row;
    const next = position.offset + RECORD_HEADER_BYTES + length;
    const near =
      group[0]?.row.position.pack === position.pack &&
      position.offset - end <= GAP_BYTES &&
      next - start <= RUN_BYTES;
    if (!near) {
      if (group.length > 0) yield group;
      group = [];
      start = position.offset;
    }
    // The same id twice in one question stands there once.
    if (near && position.offset < end) continue;
    group.push(wanted);
    end = next;
  }
  if (group.length > 0) yield group;
}

/**
 * Reads a group at once and proves every item of it. What does not prove is read again by itself,
 * which mends what can be mended.
 */
async function readGroup(
  core: VaultCore,
  hasher: Hasher,
  group: readonly Wanted[],
): Promise<ItemRun[]> {
  const first = group[0]?.row.position;
  const last = group.at(-1)?.row;
  if (first === undefined || last === undefined) return [];
  const length = last.position.offset + RECORD_HEADER_BYTES + last.length - first.offset;
  const read = await core.journal.readRun(first, length);
  const spans = group.map(({ row }): Span => {
    return { offset: row.position.offset - first.offset + RECORD_HEADER_BYTES, length: row.length };
  });
  const whole = read.bytes.length === length;
  const hashed = whole ? await hasher.hash(read.bytes, spans) : undefined;
  const items: HeldItem[] = [];
  const doubtful: Wanted[] = [];
  for (const [index, wanted] of group.entries()) {
    const span = spans[index];
    const proved =
      hashed !== undefined && span !== undefined && equalBytes(digestAt(hashed, index), wanted.id);
    if (proved && headerFits(hashed.bytes, span, read.salt, wanted))
      items.push({ id: wanted.id, kind: wanted.row.kind, ...span });
    else doubtful.push(wanted);
  }
  const runs: ItemRun[] =
    hashed === undefined || items.length === 0 ? [] : [{ type: 'run', bytes: hashed.bytes, items }];
  for (const { id } of doubtful) runs.push(await alone(core, id));
  return runs;
}

function headerFits(
  bytes: Uint8Array,
  { offset, length }: Span,
  salt: number,
  { id }: Wanted,
): boolean {
  const verdict = decodeRecordHeader(
    Buffer.from(bytes.buffer, bytes.byteOffset + offset - RECORD_HEADER_BYTES, RECORD_HEADER_BYTES),
    salt,
  );
  return (
    verdict.type === 'header' &&
    verdict.header.length === length &&
    equalBytes(verdict.header.id, id)
  );
}

async function alone(core: VaultCore, id: ChunkId): Promise<ItemRun> {
  try {
    const found = await core.readItem(id);
    if (found === undefined) return { type: 'missing', ids: [id] };
    const bytes = Buffer.concat([Buffer.alloc(RECORD_HEADER_BYTES), found.bytes]);
    return {
      type: 'run',
      bytes,
      items: [
        { id, kind: found.row.kind, offset: RECORD_HEADER_BYTES, length: found.bytes.length },
      ],
    };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'STORE_DAMAGED') throw error;
    return { type: 'damaged', ids: [id] };
  }
}
