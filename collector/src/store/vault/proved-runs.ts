import type { ChunkId } from '@aliquot/proto';
import { mapKey, shareBuffers } from '@aliquot/shared/crypto/bytes';
import { digestsAt, type Hasher } from '@aliquot/shared/hashing/hasher';
import type { ProofPlan } from '@aliquot/shared/records/format';
import { planOf } from '@aliquot/shared/records/payload';
import { passedOver } from '../errors.ts';
import { packFormat } from '../packs/pack-format.ts';
import type { HeldItem, PackItem, PackRow, PackStore } from '../packs/pack-store.ts';

/** Runs that threads hash at once. */
const PROVED_AT_ONCE = 4;

/**
 * What proves of items in packs, run by run, in the order in which they are asked for. One that does not is left out; one wrong bit is mended
 * where the items are read by themselves.
 */
export async function* provedRuns(
  packs: PackStore,
  hasher: Hasher,
  placed: readonly Pick<PackRow, 'id' | 'place'>[],
): AsyncGenerator<PackItem[], void, void> {
  const placeOf = new Map(placed.map(({ id, place }) => [mapKey(id), place]));
  const proving: Promise<PackItem[]>[] = [];
  const proved = async (bytes: Uint8Array, held: readonly HeldItem[]): Promise<PackItem[]> => {
    const { items, rotten } = await provedIn(hasher, bytes, held);
    for (const id of rotten) {
      const place = placeOf.get(mapKey(id));
      const read = place && (await packs.read(id, place).catch(passedOver));
      if (read !== undefined) items.push({ id, ...read });
    }
    return items;
  };
  try {
    for await (const run of packs.readRuns(placed)) {
      if (run.type === 'damaged') continue;
      proving.push(proved(run.bytes, run.items));
      if (proving.length > PROVED_AT_ONCE) yield (await proving.shift()) ?? [];
    }
    for (let next = proving.shift(); next !== undefined; next = proving.shift()) yield await next;
  } finally {
    // The caller has left, or one of them failed: what the others say concerns nobody.
    for (const one of proving) one.catch(() => undefined);
  }
}

async function provedIn(
  hasher: Hasher,
  bytes: Uint8Array,
  held: readonly HeldItem[],
): Promise<{ readonly items: PackItem[]; readonly rotten: readonly ChunkId[] }> {
  const plans = held.map(({ kind, offset, length }): ProofPlan | undefined =>
    planOf(packFormat.kinds[kind], bytes.subarray(offset, offset + length)),
  );
  const spans = held.flatMap(({ offset }, at) =>
    (plans[at]?.spans ?? []).map((span) => ({ ...span, offset: offset + span.offset })),
  );
  const hashed = await hasher.hash(bytes, spans);
  const items: PackItem[] = [];
  const rotten: ChunkId[] = [];
  let next = 0;
  for (const [at, { id, kind, offset, length }] of held.entries()) {
    const count = plans[at]?.spans.length ?? 0;
    const own = hashed.bytes.subarray(offset, offset + length);
    const holds = plans[at]?.holds(own, id, digestsAt(hashed, next, count)) === true;
    next += count;
    if (holds) items.push({ id, kind, bytes: own });
    else rotten.push(id);
  }
  // Small runs stand in memory that others have parts of: that is nobody's to give back.
  const { byteLength, buffer } = hashed.bytes;
  if (byteLength === buffer.byteLength) shareBuffers(items.map(({ bytes: own }) => own));
  return { items, rotten };
}
