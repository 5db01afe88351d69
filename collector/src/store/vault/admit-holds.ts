import {
  type EventBody,
  encodeHoldBody,
  type HoldId,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyHoldRelease, verifyHoldResolution } from '@aliquot/shared/keys/hold';
import { MAX_HOLDS } from '../../limits.ts';
import type { HoldRow } from '../catalog/hold-row.ts';
import type { Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { fitsBook } from './hold-book.ts';
import { judgeHead } from './judge-head.ts';

type EventOf<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}

/**
 * The leaf that records the hold already, or undefined. Of the holds in force only one has a name.
 * Whoever may ask may set one: it only keeps more.
 */
export function admitHold(
  { registry }: Pick<VaultCore, 'registry'>,
  { vaultId }: VaultDescriptorBody,
  event: EventOf<'holdSet'>,
): number | undefined {
  const { hold } = event;
  if (!equalBytes(hold.vaultId, vaultId)) throw bad('the hold is of another vault');
  const known = registry.holds.get(hold.holdId);
  if (known !== undefined) {
    if (equalBytes(encodeHoldBody(known.body), encodeHoldBody(hold))) return known.setLeaf;
    throw bad(`another hold was set under the id of ${known.body.name}`);
  }
  const inForce = registry.holds.inForce();
  const bearer = inForce.find(({ body }) => body.name === hold.name);
  if (bearer !== undefined)
    throw bad(
      `there is a hold ${hold.name} in force: see \`aliquot hold show ${hold.name}\`, and choose another name`,
    );
  if (inForce.length >= MAX_HOLDS)
    throw bad(
      `${MAX_HOLDS} holds are in force, and that is the most: set one that covers several, and release those`,
    );
  if (!fitsBook(inForce, event))
    throw bad(
      'the holds in force name so much that no more fits into the file that keeps them: set one that covers several, and release those',
    );
  return undefined;
}

/**
 * The leaf that ended a resolution of as much already, or undefined. The authority must have signed
 * it, for leaves that this log has.
 */
export async function admitResolution(
  core: VaultCore,
  { authorityKey, vaultId }: VaultDescriptorBody,
  { resolution }: EventOf<'holdResolved'>,
): Promise<number | undefined> {
  const { holdId, head } = verifyHoldResolution(authorityKey, vaultId, resolution);
  const { body, released, resolved } = holdOf(core.registry, holdId);
  if (released !== undefined) throw bad(`hold ${body.name} was released: it holds nothing`);
  if (body.paths === undefined)
    throw bad(`hold ${body.name} names no paths, so there is nothing to resolve`);
  if (resolved !== undefined && resolved.size >= head.size) return resolved.leaf;
  if ((await judgeHead(core, head)) !== 'consistent')
    throw bad(
      `hold ${body.name} was resolved for leaves that this log does not have: resolve it again`,
    );
  return undefined;
}

/** The leaf that records the release already, or undefined. */
export function admitRelease(
  { registry }: Pick<VaultCore, 'registry'>,
  { authorityKey, vaultId }: VaultDescriptorBody,
  event: EventOf<'holdReleased'>,
): number | undefined {
  const { holdId } = verifyHoldRelease(authorityKey, vaultId, event);
  return holdOf(registry, holdId).released?.leaf;
}

function holdOf({ holds }: Registry, holdId: HoldId): HoldRow {
  const row = holds.get(holdId);
  if (row === undefined) throw bad('no such hold in this vault; `aliquot hold list` shows them');
  return row;
}
