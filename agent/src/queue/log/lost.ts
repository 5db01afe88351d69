import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { Position } from '@aliquot/shared/records/format';
import type { RecordLog } from '@aliquot/shared/records/record-log';
import { applyRecord } from './apply.ts';
import type { ChainKind } from './formats.ts';
import { decodeItemPlace, familyRange, rawKey } from './index-rows.ts';
import { clearCaches, type IndexStore } from './index-store.ts';
import { decodeKnown, lostRecords } from './payloads.ts';

/** Changes that are written at once. */
const BATCH = 2000;

/**
 * Paths of known files whose newest version is one of these. A rare question, so a pass over all of
 * them may answer it.
 */
export async function namesOf(
  index: IndexStore,
  entries: readonly number[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  const wanted = new Set(entries);
  const found = new Map<number, Uint8Array>();
  if (wanted.size === 0) return found;
  for await (const [, value] of index.iterate(familyRange('k'))) {
    const { entry, stat } = decodeKnown(value);
    if (wanted.has(entry)) found.set(entry, stat.path);
  }
  return found;
}

/**
 * Names versions as lost, durably, in the chain log: nobody can give them again, so nobody waits
 * for them, and the next scan reads their files again where they still are.
 */
export async function nameLost(
  index: IndexStore,
  chain: RecordLog<ChainKind>,
  entries: readonly number[],
): Promise<void> {
  for (const payload of lostRecords(entries, await namesOf(index, entries))) {
    const digest = sha256(payload);
    const at = await chain.append('lost', payload, digest);
    await chain.sync();
    await applyRecord(index, at, { kind: 'lost', length: payload.length, digest }, payload);
    index.state.chain = chain.end();
    await clearCaches(index);
    await index.write({ sync: true });
  }
}

/**
 * Forgets where items are that no segment holds: else the next capture of the same bytes would
 * believe them to be there.
 */
export async function forgetItems(
  index: IndexStore,
  isThere: (at: Position) => boolean,
): Promise<void> {
  for await (const [key, value] of index.iterate(familyRange('i'))) {
    if (isThere(decodeItemPlace(value))) continue;
    index.del(rawKey('i', key.subarray(1)));
    if (index.staged >= BATCH) await index.write();
  }
  await index.write({ sync: true });
}
