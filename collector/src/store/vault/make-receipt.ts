import type { CollectorId, CommitHash, CommitHeader, ReceiptBody, VaultId } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { signReceipt } from '@aliquot/shared/log/receipt';

/** Durable copies that a receipt states: this collector's disk. */
const COPIES = 1;

/** Whose receipts these are. */
export interface ReceiptIssuer {
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly identity: SigningKey;
}

/** The receipt of a commit: the same bytes, whenever it is made. */
export function makeReceipt(
  { vaultId, collectorId, identity }: ReceiptIssuer,
  { agentId, chainId, sequence }: Pick<CommitHeader, 'agentId' | 'chainId' | 'sequence'>,
  commitHash: CommitHash,
  place: Pick<ReceiptBody, 'receivedAtMs' | 'leafIndex' | 'head' | 'lossHash'>,
) {
  const receiptBody: ReceiptBody = {
    version: 1,
    ...{ vaultId, collectorId, agentId, chainId, sequence, commitHash },
    receivedAtMs: place.receivedAtMs,
    leafIndex: place.leafIndex,
    head: place.head,
    copies: COPIES,
    lossHash: place.lossHash,
  };
  return { receipt: signReceipt(identity, receiptBody), receiptBody };
}
