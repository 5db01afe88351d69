import {
  decodeOperatorCertificateBody,
  encodeOperatorCertificateBody,
  type OperatorCertificateBody,
  type OperatorPurpose,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { type SigningKey, sign } from '../crypto/sign.ts';
import { CertificateError, requireStrong, requireVault, verified } from './certificates.ts';

const CERTIFICATE = 'aliquot/v1/operator-certificate';
const WHAT = 'operator certificate';

/**
 * The authority's word for a person's keys. Seam: `newOperator` uses it; tests of other rooms issue
 * their own.
 */
export function issueOperator(authority: SigningKey, body: OperatorCertificateBody): Signed {
  return sign(authority, CERTIFICATE, encodeOperatorCertificateBody(body));
}

/**
 * The operator whom the vault's authority certified for `purpose`. Throws CertificateError:
 * foreign, past its term at `nowMs` (CERT_EXPIRED), for other purposes (CERT_PURPOSE). Anyone who
 * verifies a statement gives the time at which it takes it.
 */
export function verifyOperator(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
  purpose: OperatorPurpose,
  nowMs: number,
): OperatorCertificateBody {
  const body = operatorOf(authorityKey, vaultId, signed);
  if (!body.purposes.includes(purpose)) {
    throw new CertificateError(
      'CERT_PURPOSE',
      `the key of operator ${body.name} is for ${body.purposes.join(', ')}, not for ${purpose}`,
    );
  }
  if (nowMs >= body.expiresAtMs) {
    throw new CertificateError(
      'CERT_EXPIRED',
      `the key of operator ${body.name} expired at ${new Date(body.expiresAtMs).toISOString()}`,
    );
  }
  return body;
}

/** What the authority certified of an operator, whatever it is for and however long ago. */
export function operatorOf(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): OperatorCertificateBody {
  const body = verified(WHAT, authorityKey, CERTIFICATE, decodeOperatorCertificateBody, signed);
  requireVault(WHAT, vaultId, body.vaultId);
  requireStrong(WHAT, body.signKey);
  return body;
}
