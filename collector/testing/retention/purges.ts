import {
  asPurgeId,
  type EventBody,
  type FileId,
  type LineageId,
  type OperatorPurpose,
  type PurgeId,
  type Signed,
  type TreeHead,
} from '@aliquot/proto';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { issuePurgeCancel, issuePurgeOrder } from '@aliquot/shared/keys/purge';
import type { StoreWorld } from '../store/world.ts';

/** What people sign about purges, for tests. */

const YEAR_MS = 365 * 86_400_000;

/** An operator with a key of their own. */
export interface TestOperator {
  readonly key: SigningKey;
  readonly certificate: Signed;
}

/** An operator of these purposes, whose key lasts for a year. */
export function operatorCalled(
  { authority, descriptor, random, clock }: StoreWorld,
  name: string,
  purposes: readonly OperatorPurpose[] = ['retention'],
  termMs: number = YEAR_MS,
): TestOperator {
  const key = newSigningKey(random);
  const certificate = issueOperator(authority, {
    ...{ version: 1, vaultId: descriptor.vaultId, name, signKey: key.publicKey, purposes },
    boxKey: newBoxKey(random).publicKey,
    ...{ issuedAtMs: clock.now, expiresAtMs: clock.now + termMs },
  });
  return { key, certificate };
}

/** An order to purge files of a lineage. */
export function purgeOrder(
  { descriptor, random, clock }: StoreWorld,
  { key, certificate }: TestOperator,
  order: {
    readonly lineageId: LineageId;
    readonly files: readonly FileId[];
    readonly head: TreeHead;
  },
): Extract<EventBody, { type: 'purgeOrdered' }> & { readonly purgeId: PurgeId } {
  const purgeId = asPurgeId(random.bytes(16));
  const signed = issuePurgeOrder(key, {
    ...{ version: 1, vaultId: descriptor.vaultId, purgeId, lineageId: order.lineageId },
    fileIds: order.files.toSorted((a, b) => Buffer.compare(a, b)),
    ...{ head: order.head, orderedAtMs: clock.now, reason: 'request 2026-11' },
  });
  const event = { type: 'purgeOrdered', timeMs: clock.now, order: signed } as const;
  return { ...event, operator: certificate, purgeId };
}

/** The word that a purge is not to be: by an operator, or by the kit. */
export function purgeCancel(
  { descriptor, authority, clock }: StoreWorld,
  purgeId: PurgeId,
  by?: TestOperator,
): EventBody {
  const cancellation = issuePurgeCancel(by?.key ?? authority, {
    ...{ version: 1, vaultId: descriptor.vaultId, purgeId },
    ...{ cancelledAtMs: clock.now, reason: 'another subject' },
  });
  const event = { type: 'purgeCancelled', timeMs: clock.now, cancellation } as const;
  return { ...event, operator: by?.certificate };
}
