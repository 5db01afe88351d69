import {
  decodePurgeApprovalBody,
  decodePurgeCancelBody,
  decodePurgeOrderBody,
  encodePurgeApprovalBody,
  encodePurgeCancelBody,
  encodePurgeOrderBody,
  type OperatorCertificateBody,
  type PurgeApprovalBody,
  type PurgeCancelBody,
  type PurgeOrderBody,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { type SigningKey, sign } from '../crypto/sign.ts';
import { operatorOf, verifyOperator } from './operator-certificate.ts';
import type { SigningVault } from './settings-signer.ts';
import { requireVault, verified } from './statement.ts';

const ORDER = 'aliquot/v1/purge-order';
const APPROVAL = 'aliquot/v1/purge-approval';
const CANCEL = 'aliquot/v1/purge-cancel';

/** What an operator signed of a purge. */
export interface SignedByOperator {
  readonly signed: Signed;
  /** The certificate beside it. */
  readonly operator: Signed;
}

/** An operator's order that versions are purged. */
export function issuePurgeOrder(key: SigningKey, body: PurgeOrderBody): Signed {
  return sign(key, ORDER, encodePurgeOrderBody(body));
}

/**
 * Throws CertificateError unless an operator signed it who is certified for retention: at
 * `takenAtMs`, by default at the time that it bears. The kit alone orders nothing: two people do.
 */
export function verifyPurgeOrder(
  vault: SigningVault,
  by: SignedByOperator,
  takenAtMs?: number,
): PurgeOrderBody & { readonly by: OperatorCertificateBody } {
  const statement = { what: 'order to purge', label: ORDER, decode: decodePurgeOrderBody };
  return verifiedBy(vault, by, statement, takenAtMs, ({ orderedAtMs }) => orderedAtMs);
}

/** Another operator's word that a purge is done. Seam: for the command. */
export function issuePurgeApproval(key: SigningKey, body: PurgeApprovalBody): Signed {
  return sign(key, APPROVAL, encodePurgeApprovalBody(body));
}

/** As `verifyPurgeOrder`. That it is another operator's is the caller's to see. Seam: for the store. */
export function verifyPurgeApproval(
  vault: SigningVault,
  by: SignedByOperator,
  takenAtMs?: number,
): PurgeApprovalBody & { readonly by: OperatorCertificateBody } {
  const statement = {
    ...{ what: 'approval of a purge', label: APPROVAL },
    decode: decodePurgeApprovalBody,
  };
  return verifiedBy(vault, by, statement, takenAtMs, ({ approvedAtMs }) => approvedAtMs);
}

/** The word of the authority, or of an operator for retention, that a purge is not to be done. */
export function issuePurgeCancel(signer: SigningKey, body: PurgeCancelBody): Signed {
  return sign(signer, CANCEL, encodePurgeCancelBody(body));
}

/** By the authority, where no certificate stands beside it; else as `verifyPurgeOrder`. */
export function verifyPurgeCancel(
  vault: SigningVault,
  { signed, operator }: { readonly signed: Signed; readonly operator: Signed | undefined },
  takenAtMs?: number,
): PurgeCancelBody & { readonly by: OperatorCertificateBody | undefined } {
  const statement = {
    ...{ what: 'cancellation of a purge', label: CANCEL },
    decode: decodePurgeCancelBody,
  };
  if (operator !== undefined)
    return verifiedBy(vault, { signed, operator }, statement, takenAtMs, (b) => b.cancelledAtMs);
  const { what, label, decode } = statement;
  const body = verified(what, vault.authorityKey, label, decode, signed);
  requireVault(what, vault.vaultId, body.vaultId);
  return { ...body, by: undefined };
}

function verifiedBy<Body extends { readonly vaultId: VaultId }>(
  { authorityKey, vaultId }: SigningVault,
  { signed, operator }: SignedByOperator,
  statement: {
    readonly what: string;
    readonly label: string;
    readonly decode: (bytes: Uint8Array) => Body;
  },
  takenAtMs: number | undefined,
  signedAtMs: (body: Body) => number,
): Body & { readonly by: OperatorCertificateBody } {
  const { what, label, decode } = statement;
  const by = operatorOf(authorityKey, vaultId, operator);
  const body = verified(what, by.signKey, label, decode, signed);
  requireVault(what, vaultId, body.vaultId);
  verifyOperator(authorityKey, vaultId, operator, 'retention', takenAtMs ?? signedAtMs(body));
  return { ...body, by };
}
