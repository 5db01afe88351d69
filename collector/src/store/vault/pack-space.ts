import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import { read } from '../catalog/row-codec.ts';
import { closingBytes } from '../packs/pack-format.ts';
import type { PackExtent } from '../packs/pack-store.ts';
import type { PackSpace, VaultSpace } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

/**
 * What of each pack is alive and dead, from one small row for each that the catalog keeps as items
 * come and go: some milliseconds for a thousand packs. What an agent has just sent counts as dead
 * until a record says whose it is, which rewriting knows better.
 */
export async function spaceOf(core: VaultCore): Promise<Omit<VaultSpace, 'reserveBytes'>> {
  const live = new Map<number, { readonly items: number; readonly bytes: number }>();
  for await (const [key, value] of core.catalog.scan(ranges.packLive))
    live.set(readKey.pack(key), read.live(value));
  const packs = core.packs.packs().map((extent): PackSpace => {
    const { items, bytes } = live.get(extent.pack) ?? { items: 0, bytes: 0 };
    const deadBytes = deadIn(extent, items, bytes);
    return { pack: extent.pack, bytes: extent.bytes, deadBytes, liveItems: items };
  });
  const bytes = packs.reduce((sum, pack) => sum + pack.bytes, 0);
  const historyBytes = core.history.bytes;
  return {
    bytes,
    historyBytes,
    deadBytes: packs.reduce((sum, pack) => sum + pack.deadBytes, 0),
    packs,
  };
}

/** Neither header and index nor what is alive. */
function deadIn({ bytes, closed }: PackExtent, items: number, liveBytes: number): number {
  if (items === 0) return closed ? bytes : Math.max(0, bytes - FILE_HEADER_BYTES);
  const kept = FILE_HEADER_BYTES + liveBytes + (closed ? closingBytes(items) : 0);
  return Math.max(0, bytes - kept);
}
