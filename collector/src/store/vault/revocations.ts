import {
  decodeEventBody,
  decodeStoredEvent,
  type EventBody,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyRevocation } from '@aliquot/shared/keys/revocation';
import { passedOver, StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { leafRecord } from './core-load.ts';

type Revoked = Extract<EventBody, { type: 'agentRevoked' }>;

/** Throws unless what was signed, if anything was, says what the event says. */
export function requireSaid(
  { authorityKey, vaultId }: Pick<VaultDescriptorBody, 'authorityKey' | 'vaultId'>,
  { revocation, operator, agentId, reason }: Revoked,
): void {
  if (revocation === undefined) return;
  const body = verifyRevocation(authorityKey, vaultId, { revocation, operator });
  if (equalBytes(body.agentId, agentId) && body.reason === reason) return;
  throw new StoreError(
    'STORE_BAD_EVENT',
    'what was signed is the revocation of another agent, or for another reason',
  );
}

/**
 * The leaf that records the end of the agent already, or undefined. What nobody had signed may be
 * said again by who can sign: from then on it is signed.
 */
export async function admitRevocation(
  core: VaultCore,
  descriptor: VaultDescriptorBody,
  event: Revoked,
): Promise<number | undefined> {
  requireSaid(descriptor, event);
  const row = core.registry.row(event.agentId);
  if (row === undefined)
    throw new StoreError(
      'STORE_UNKNOWN_AGENT',
      'no such agent in this vault; aliquot agents lists them',
    );
  if (row.endedLeaf === undefined || event.revocation === undefined) return row.endedLeaf;
  const known = await eventAt(core, row.endedLeaf);
  return isSigned(known) ? row.endedLeaf : undefined;
}

/** Whether this is a revocation that somebody signed. */
export function isSigned(event: EventBody | undefined): boolean {
  return event?.type === 'agentRevoked' && event.revocation !== undefined;
}

/** The event of a leaf; undefined where its record cannot be read. */
export async function eventAt(
  { history, catalog }: VaultCore,
  leafIndex: number,
): Promise<EventBody | undefined> {
  const record = await leafRecord(history, catalog, leafIndex).catch(passedOver);
  return record && decodeEventBody(decodeStoredEvent(record.payload).event);
}
