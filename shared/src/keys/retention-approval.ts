import {
  decodeRetentionApprovalBody,
  encodeRetentionApprovalBody,
  type RetentionApprovalBody,
  type Signed,
} from '@aliquot/proto';
import { type SigningKey, sign } from '../crypto/sign.ts';
import { verifyOperator } from './operator-certificate.ts';
import type { SigningVault } from './settings-signer.ts';
import { requireVault, verified } from './statement.ts';

const APPROVAL = 'aliquot/v1/retention-approval';
const WHAT = 'approval of a run';

/** An operator's word that a run of retention may go on. */
export function issueRetentionApproval(key: SigningKey, body: RetentionApprovalBody): Signed {
  return sign(key, APPROVAL, encodeRetentionApprovalBody(body));
}

/**
 * Throws CertificateError unless the authority signed it, or an operator certified for retention at
 * `nowMs`. Whether there is such a run is the caller's to prove.
 */
export function verifyRetentionApproval(
  { authorityKey, vaultId }: SigningVault,
  {
    approval,
    certificate,
  }: { readonly approval: Signed; readonly certificate: Signed | undefined },
  nowMs: number,
): RetentionApprovalBody {
  const signer =
    certificate === undefined
      ? authorityKey
      : verifyOperator(authorityKey, vaultId, certificate, 'retention', nowMs).signKey;
  const body = verified(WHAT, signer, APPROVAL, decodeRetentionApprovalBody, approval);
  requireVault(WHAT, vaultId, body.vaultId);
  return body;
}
