import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { Position } from '@aliquot/shared/records/format';
import type { RecordLog } from '@aliquot/shared/records/record-log';
import { applyRecord } from './apply.ts';
import { readChain } from './chain-proof.ts';
import type { ChainKind } from './formats.ts';
import {
  decodeCommitPlace,
  decodeItemPlace,
  decodeUnsigned,
  familyRange,
  numberInKey,
  rawKey,
} from './index-rows.ts';
import { clearCaches, type IndexStore } from './index-store.ts';
import { lostRecords } from './lost-payloads.ts';
import { NumberSet } from './number-set.ts';
import { resultNames } from './result-rows.ts';

/** Changes that are written at once. */
const BATCH = 2000;

/**
 * Paths of known files, and of folder results, whose newest version is one of these. A rare
 * question, so a pass over all of them may answer it.
 */
export async function namesOf(
  index: IndexStore,
  entries: readonly number[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  const wanted = new Set(entries);
  if (wanted.size === 0) return new Map();
  const found = new Map(await resultNames(index, wanted));
  for await (const batch of index.known.batches(new Uint8Array()))
    for (const { entry, stat } of batch) if (wanted.has(entry)) found.set(entry, stat.path);
  return found;
}

/**
 * Versions of which nothing is left, by what an index says that was just made from both logs:
 * numbers between others that no segment holds, and that the chain log neither signed nor named as
 * lost. Their segment is gone, or their records have rotted.
 */
export async function unaccounted(
  index: IndexStore,
  chain: RecordLog<ChainKind>,
): Promise<readonly number[]> {
  const known = new NumberSet();
  for await (const [, value] of index.iterate(familyRange('c'))) {
    const { firstEntry, lastEntry, entries } = decodeCommitPlace(value);
    if (lastEntry - firstEntry + 1 === entries) known.add(firstEntry, lastEntry);
  }
  for await (const [key, value] of index.iterate(familyRange('q'))) {
    const first = numberInKey(key);
    known.add(first, first + decodeUnsigned(value).count - 1);
  }
  const before = index.state.nextEntry;
  const first = known.first;
  if (known.covers(first, before - 1)) return [];
  const { settled } = await readChain(chain, 0);
  const gone: number[] = [];
  for (let number = Math.min(first, settled.first); number < before; ) {
    const next = Math.max(known.behind(number), settled.behind(number));
    if (next === number) gone.push(number);
    number = Math.max(next, number + 1);
  }
  return gone;
}

/**
 * Names versions as lost, durably, in the chain log: nobody can give them again, so nobody waits
 * for them, and the next scan reads their files again where they still are. `known` are paths that
 * the caller has of some.
 */
export async function nameLost(
  index: IndexStore,
  chain: RecordLog<ChainKind>,
  entries: readonly number[],
  known: ReadonlyMap<number, Uint8Array> = new Map(),
): Promise<void> {
  const names = new Map([...known, ...(await namesOf(index, entries))]);
  for (const payload of lostRecords(entries, names)) {
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
