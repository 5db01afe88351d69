import {
  type AgentId,
  type ChainPoint,
  decodeEventBody,
  decodeKeptPurge,
  decodeStoredPurged,
  type EventBody,
  encodeEventBody,
  encodeKeptPurge,
  encodeStoredPurged,
  FormatError,
  HASH_BYTES,
  type PurgeId,
  type StoredPurged,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { verifyPurgeApproval, verifyPurgeOrder } from '@aliquot/shared/keys/purge';
import { CertificateError } from '@aliquot/shared/keys/statement';

/** The field of the sum: its tag and length, and itself. */
const SUM_FIELD_BYTES = 2 + HASH_BYTES;

/** A commit that a purge has sealed anew, and which one that is. */
export interface KeptForm {
  readonly agentId: AgentId;
  readonly point: ChainPoint;
  readonly stored: StoredPurged;
}

/** A purge as its file has it. */
export interface ReadPurge {
  readonly purgeId: PurgeId;
  readonly order: Extract<EventBody, { type: 'purgeOrdered' }>;
  readonly approval: Extract<EventBody, { type: 'purgeApproved' }>;
  readonly forms: readonly KeptForm[];
}

/** What stands in the file of a purge: FORMAT.md, "KeptPurge". */
export function encodeKept(
  { vaultId }: Pick<VaultDescriptorBody, 'vaultId'>,
  { order, approval, forms }: ReadPurge,
): Uint8Array {
  const bytes = encodeKeptPurge({
    ...{ vaultId, order: encodeEventBody(order), approval: encodeEventBody(approval) },
    commits: forms.map(({ stored }) => encodeStoredPurged(stored)),
    sum: new Uint8Array(HASH_BYTES),
  });
  bytes.set(sumOf(bytes), bytes.length - HASH_BYTES);
  return bytes;
}

/** The purge in these bytes, or why they cannot be believed. */
export function readKept(vault: VaultDescriptorBody, bytes: Uint8Array): ReadPurge | string {
  try {
    const kept = decodeKeptPurge(bytes);
    if (!equalBytes(kept.sum, sumOf(bytes))) return 'is damaged';
    if (!equalBytes(kept.vaultId, vault.vaultId)) return "is another vault's";
    const [order, approval] = [decodeEventBody(kept.order), decodeEventBody(kept.approval)];
    if (order.type !== 'purgeOrdered' || approval.type !== 'purgeApproved') return 'has no purge';
    const ordered = verifyPurgeOrder(vault, { signed: order.order, operator: order.operator });
    const { approval: signed, operator } = approval;
    const said = verifyPurgeApproval(vault, { signed, operator });
    const { purgeId } = ordered;
    if (!equalBytes(purgeId, said.purgeId) || ordered.by.name === said.by.name)
      return 'has no purge that two operators have agreed on';
    const forms = kept.commits.map((one): KeptForm => {
      const stored = decodeStoredPurged(one);
      const { header, hash } = readCommit(stored.commit);
      const { agentId, chainId, sequence } = header;
      return { agentId, point: { chainId, sequence, hash }, stored };
    });
    if (forms.some(({ stored }) => !equalBytes(stored.purgeId, purgeId)))
      return 'has what is of another purge';
    return { purgeId, order, approval, forms };
  } catch (error) {
    if (error instanceof FormatError) return 'is damaged';
    if (error instanceof CertificateError) return `has what nobody signed: ${error.message}`;
    throw error;
  }
}

/** Over all of the encoding before the sum. */
function sumOf(bytes: Uint8Array): Uint8Array {
  return sha256(bytes.subarray(0, Math.max(0, bytes.length - SUM_FIELD_BYTES)));
}
