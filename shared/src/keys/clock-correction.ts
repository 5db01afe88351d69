import {
  type ClockCorrectionBody,
  decodeClockCorrectionBody,
  encodeClockCorrectionBody,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { type SigningKey, sign } from '../crypto/sign.ts';
import { requireVault, verified } from './statement.ts';

const CORRECTION = 'aliquot/v1/clock-correction';
const WHAT = 'correction of the clock';

/** The authority's word that times of a stretch of the log were wrong. */
export function issueClockCorrection(authority: SigningKey, body: ClockCorrectionBody): Signed {
  return sign(authority, CORRECTION, encodeClockCorrectionBody(body));
}

/**
 * Throws CertificateError unless the vault's authority signed it. Whether its leaves are those of a
 * log is the caller's to prove.
 */
export function verifyClockCorrection(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): ClockCorrectionBody {
  const body = verified(WHAT, authorityKey, CORRECTION, decodeClockCorrectionBody, signed);
  requireVault(WHAT, vaultId, body.vaultId);
  return body;
}
