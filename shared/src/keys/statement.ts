import {
  AliquotError,
  type ErrorCodes,
  FormatError,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { isWeakSigningKey, signatureHolds } from '../crypto/sign.ts';

const codes = {
  /** The body of a certificate cannot be read: damaged, or of a newer release. */
  CERT_MALFORMED: 'final',
  /**
   * The signature does not hold: altered, or signed by another authority (or another enrolment key)
   * than it should be.
   */
  CERT_SIGNATURE: 'final',
  /** A genuine certificate of another vault. */
  CERT_OTHER_VAULT: 'final',
  /** The id in it is not the id of the key in it. */
  CERT_ID_MISMATCH: 'final',
  /** The agent's keys were signed for another agent than the enrolment is for. */
  CERT_OTHER_AGENT: 'final',
  /** A public key in it is of small order and would prove nothing. */
  CERT_WEAK_KEY: 'final',
  /** By this machine's clock the certificate is past its term. */
  CERT_EXPIRED: 'final',
  /** A genuine certificate, but not for this. */
  CERT_PURPOSE: 'final',
  /** The agent's name is not one that its group may have. */
  CERT_NAME: 'final',
} satisfies ErrorCodes;

export type CertificateErrorCode = keyof typeof codes;

/** A certificate that must not be believed. */
export class CertificateError extends AliquotError<CertificateErrorCode> {
  static override readonly codes = codes;
}

/** The body of a statement. Whose words it is must be known. */
export function decodeBody<Body>(
  what: string,
  decode: (bytes: Uint8Array) => Body,
  bytes: Uint8Array,
): Body {
  try {
    return decode(bytes);
  } catch (cause) {
    if (cause instanceof FormatError)
      throw new CertificateError('CERT_MALFORMED', `the ${what} cannot be read: ${cause.message}`, {
        cause,
      });
    throw cause;
  }
}

/** Checks the signature first: a body is looked at only once it is known whose words it is. */
export function verified<Body>(
  what: string,
  signer: Uint8Array,
  label: string,
  decode: (bytes: Uint8Array) => Body,
  signed: Signed,
): Body {
  if (!signatureHolds(signer, label, signed)) {
    throw new CertificateError(
      'CERT_SIGNATURE',
      `the ${what} is not signed by the key that should have signed it`,
    );
  }
  return decodeBody(what, decode, signed.body);
}

/** Throws unless a statement is of this vault. */
export function requireVault(what: string, vaultId: VaultId, found: VaultId): void {
  if (!equalBytes(vaultId, found))
    throw new CertificateError('CERT_OTHER_VAULT', `the ${what} belongs to another vault`);
}

/** Throws for a key under which signatures prove nothing. */
export function requireStrong(what: string, key: Uint8Array): void {
  if (isWeakSigningKey(key))
    throw new CertificateError('CERT_WEAK_KEY', `the ${what} names a public key of small order`);
}
