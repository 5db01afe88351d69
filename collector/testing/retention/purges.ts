import {
  asPurgeId,
  decodeReceiptBody,
  type EventBody,
  encodeStoredPurged,
  type FileId,
  type LineageId,
  type OperatorPurpose,
  type PurgeId,
  type Signed,
  type StateRecord,
  type StoredPurged,
  type TreeHead,
} from '@aliquot/proto';
import { openCommitKeys } from '@aliquot/shared/commit/keys';
import { purgedCommit } from '@aliquot/shared/commit/purge';
import { readCommit } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret, newBoxKey } from '@aliquot/shared/crypto/box';
import { bitsOf, hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { issuePurgeApproval, issuePurgeCancel, issuePurgeOrder } from '@aliquot/shared/keys/purge';
import type { VaultStore } from '../../src/store/vault-store.ts';
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

/** The commits that a purge is about, as they come. */
export async function concernedBy(store: VaultStore, purgeId: PurgeId): Promise<StateRecord[]> {
  const records: StateRecord[] = [];
  for await (const record of store.purges.commits(purgeId)) records.push(record);
  return records;
}

/** The same commits without what goes, sealed anew with the kit as the command does. */
export function sealedAnew(
  { kit, random }: StoreWorld,
  purgeId: PurgeId,
  records: readonly StateRecord[],
): StoredPurged[] {
  const vaultKey = boxKeyFromSecret(kit.vaultSecretKey);
  const slabs = new Set<string>();
  for (const { commit, live } of records)
    for (const slot of live) {
      const { piece = 0, refs = [] } = readCommit(commit).rows.asSigned.entry(slot)?.content ?? {};
      if (piece > 0 && refs[0] !== undefined) slabs.add(hex(refs[0].id));
    }
  return records.map(({ commit: bytes, live, receipt }, part) => {
    const commit = readCommit(bytes);
    const { listKey, readKey } = openCommitKeys(commit.wraps, vaultKey, 'vault', commit.header);
    const slots = new Set(live);
    const purged = purgedCommit(
      bytes,
      commit,
      { listKey: must(listKey), readKey: must(readKey) },
      { slots, opensPurged: (id) => slabs.has(hex(id)) },
      random,
    );
    const { leafIndex } = decodeReceiptBody(receipt.body);
    return { purgeId, part, leafIndex, slots: bitsOf(live), commit: must(purged) };
  });
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is not there');
  return value;
}

/** The approval of a purge with these commits. */
export function purgeApproval(
  { descriptor, clock }: StoreWorld,
  { key, certificate }: TestOperator,
  purgeId: PurgeId,
  forms: readonly StoredPurged[],
): Extract<EventBody, { type: 'purgeApproved' }> {
  const approval = issuePurgeApproval(key, {
    ...{ version: 1, vaultId: descriptor.vaultId, purgeId, approvedAtMs: clock.now },
    sum: sha256(...forms.map(encodeStoredPurged)),
  });
  return { type: 'purgeApproved', timeMs: clock.now, approval, operator: certificate };
}
