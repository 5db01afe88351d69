import {
  type EventBody,
  encodeEventBody,
  encodeStoredEvent,
  encodeStoredPurged,
  type LeafSlots,
  type LineageId,
  type StoredPurged,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { ranges, readKey } from '../catalog/catalog-keys.ts';
import { decodePurgedCommit, purgeRun } from '../catalog/purge-row.ts';
import { passedOver } from '../errors.ts';
import { applyEvent } from './apply-event.ts';
import { applyPurged } from './apply-purges.ts';
import type { VaultCore } from './core.ts';
import { DroppedSlots } from './dropped-slots.ts';
import { namedVersions } from './named-versions.ts';

/** Versions that one record drops are of so many commits. */
const DROPPED_LEAVES = 16;

/**
 * Appends the approval of a purge behind the commits that are sealed anew: from here on these are
 * served. Answers with its leaf.
 */
export async function appendPurge(
  core: VaultCore,
  event: Extract<EventBody, { type: 'purgeApproved' }>,
  forms: readonly StoredPurged[],
): Promise<number> {
  const bytes = encodeEventBody(event);
  const leaf = eventLeaf(bytes, event.timeMs);
  const own = { kind: 'event', payload: encodeStoredEvent({ event: bytes, leaf }) } as const;
  const before = forms.map((form) => {
    return { kind: 'purged', payload: encodeStoredPurged(form) } as const;
  });
  return core.appendLeaf(
    leaf,
    () => ({ before, own }),
    async (change, place, places) => {
      for (const [at, form] of forms.entries()) {
        const stands = places[at];
        if (stands !== undefined) await applyPurged(change, form, stands, core.registry);
      }
      return applyEvent(change, event, place, core.registry);
    },
  );
}

/**
 * Drops the versions of approved purges that are still in the catalog: at once, whatever a lineage
 * waits for (`Mark` goes on counting them until that is swept). Behind an approval, and at a start,
 * for a crash may have come between the two.
 */
export async function dropPurged(core: VaultCore): Promise<void> {
  const left = new Map<string, { branchId: LineageId; run: number; leaves: LeafSlots[] }>();
  const dropped = new DroppedSlots(core.catalog, 0, core.head.size);
  // One leaf may have been purged of several times, and is asked for once.
  let [at, known]: [number, Uint8Array] = [-1, new Uint8Array(0)];
  for await (const [key, value] of core.catalog.scan(ranges.purged)) {
    const leafIndex = readKey.number(key);
    const { slots, approvedLeaf } = decodePurgedCommit(value);
    if (leafIndex !== at) [at, known] = [leafIndex, await dropped.of(leafIndex)];
    if (slots.every((byte, at) => (byte & ~(known[at] ?? 0)) === 0)) continue;
    const branchId = await branchOf(core, leafIndex);
    if (branchId === undefined) continue;
    const run = purgeRun(approvedLeaf);
    const name = `${hex(branchId)}/${run}`;
    const of = left.get(name) ?? { branchId, run, leaves: [] };
    of.leaves.push({ leafIndex, slots });
    left.set(name, of);
  }
  // The newest first: what has gone stands in nobody's way to those before it.
  await dropped.close();
  for (const { branchId, run, leaves } of left.values())
    for (let end = leaves.length; end > 0; end -= DROPPED_LEAVES) {
      const some = leaves.slice(Math.max(0, end - DROPPED_LEAVES), end);
      const named = await namedVersions(core, some, (at) => core.purgedForm(at).catch(passedOver));
      await core.appendDropped({ run, branchId, leaves: some }, named);
    }
}

/**
 * The history that a commit's versions are in now. Its own record may have rotted where a purge is
 * done again, and what the purge has left of it may have in another start: then nobody knows.
 */
async function branchOf(core: VaultCore, leafIndex: number): Promise<LineageId | undefined> {
  const stored = await core.storedCommit(leafIndex).catch(passedOver);
  const commit = stored?.commit ?? (await core.purgedForm(leafIndex).catch(passedOver));
  if (commit === undefined) return undefined;
  const { header, hash } = readCommit(commit);
  const { agentId, chainId, sequence } = header;
  const link = await core.link(agentId, { chainId, sequence, hash });
  const isJoined =
    link && core.registry.lines(agentId)?.history(link.branchId)?.state === 'restored';
  return isJoined === true ? core.registry.lineageOf(link?.branchId as LineageId) : link?.branchId;
}
