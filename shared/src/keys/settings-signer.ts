import type { Signed, VaultDescriptorBody } from '@aliquot/proto';
import { verifyOperator } from './operator-certificate.ts';

/** What of a vault tells whose signatures count. */
export type SigningVault = Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>;

/**
 * The key that signed: an operator's, where a certificate for settings stands beside it, else the
 * authority's. Throws CertificateError.
 */
export function signerOf(
  { authorityKey, vaultId }: SigningVault,
  certificate: Signed | undefined,
  nowMs: number,
): Uint8Array {
  return certificate === undefined
    ? authorityKey
    : verifyOperator(authorityKey, vaultId, certificate, 'settings', nowMs).signKey;
}
