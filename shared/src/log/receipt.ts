import {
  type CollectorCertificateBody,
  type CollectorId,
  type CommitHash,
  type CommitHeader,
  decodeReceiptBody,
  decodeTreeHeadBody,
  encodeReceiptBody,
  encodeTreeHeadBody,
  type ReceiptBody,
  type Signed,
  type TreeHeadBody,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import { LogError } from './errors.ts';
import { receiptLeafHash } from './leaf.ts';
import { verifyInclusion } from './proofs.ts';

const RECEIPT = 'aliquot/v1/receipt';
const HEAD = 'aliquot/v1/tree-head';

/**
 * Signs a receipt. I-RECEIPT: it MUST NOT be signed before the commit, everything that it
 * references, and the means to find them are durable.
 *
 * @throws FormatError when the head is not the one just after the leaf.
 */
export function signReceipt(collector: SigningKey, body: ReceiptBody): Signed {
  return sign(collector, RECEIPT, encodeReceiptBody(body));
}

/**
 * The receipt, if the certified collector signed it for its vault.
 *
 * @throws LogError `LOG_SIGNATURE`, `LOG_OTHER_ISSUER`; FormatError.
 */
export function verifyReceipt(signed: Signed, collector: CollectorCertificateBody): ReceiptBody {
  requireSignature('receipt', RECEIPT, signed, collector);
  const body = decodeReceiptBody(signed.body);
  requireIssuer('receipt', body, collector);
  return body;
}

/** What a receipt is for. */
export interface ReceiptedCommit {
  readonly header: CommitHeader;
  readonly hash: CommitHash;
  /** Of what its agent declared lost, when it sent it. */
  readonly lossHash: Uint8Array | undefined;
}

/**
 * Checks that a receipt answers exactly this commit, with exactly this loss. @throws LogError
 * `LOG_OTHER_COMMIT`.
 */
export function requireReceiptFor(
  receipt: ReceiptBody,
  { header, hash, lossHash }: ReceiptedCommit,
): void {
  const same =
    sameHash(receipt.lossHash, lossHash) &&
    equalBytes(receipt.commitHash, hash) &&
    equalBytes(receipt.agentId, header.agentId) &&
    equalBytes(receipt.chainId, header.chainId) &&
    receipt.sequence === header.sequence;
  if (!same)
    throw new LogError(
      'LOG_OTHER_COMMIT',
      `the receipt is not for commit ${header.sequence} as it is here but for another one`,
    );
}

function sameHash(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return equalBytes(left, right);
}

/**
 * Checks that what a receipt promised is in the log under `head`. @throws LogError `LOG_INCLUSION`.
 */
export function verifyReceiptInclusion(
  receipt: ReceiptBody,
  head: { readonly size: number; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): void {
  verifyInclusion(receiptLeafHash(receipt), receipt.leafIndex, head.size, proof, head.root);
}

/** Signs the state of the log: a promise never to show another history. */
export function signHead(collector: SigningKey, body: TreeHeadBody): Signed {
  return sign(collector, HEAD, encodeTreeHeadBody(body));
}

/**
 * The tree head, if the certified collector signed it for its vault.
 *
 * @throws LogError `LOG_SIGNATURE`, `LOG_OTHER_ISSUER`; FormatError.
 */
export function verifyHead(signed: Signed, collector: CollectorCertificateBody): TreeHeadBody {
  requireSignature('tree head', HEAD, signed, collector);
  const body = decodeTreeHeadBody(signed.body);
  requireIssuer('tree head', body, collector);
  return body;
}

function requireSignature(
  what: string,
  label: string,
  signed: Signed,
  collector: CollectorCertificateBody,
): void {
  if (!signatureHolds(collector.signKey, label, signed)) {
    throw new LogError('LOG_SIGNATURE', `the ${what} is not signed by the vault's collector`);
  }
}

function requireIssuer(
  what: string,
  body: { readonly vaultId: VaultId; readonly collectorId: CollectorId },
  collector: CollectorCertificateBody,
): void {
  if (
    !equalBytes(body.vaultId, collector.vaultId) ||
    !equalBytes(body.collectorId, collector.collectorId)
  ) {
    throw new LogError('LOG_OTHER_ISSUER', `the ${what} is of another vault or collector`);
  }
}
