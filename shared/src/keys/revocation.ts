import {
  type AgentRevocationBody,
  decodeAgentRevocationBody,
  encodeAgentRevocationBody,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { type SigningKey, sign } from '../crypto/sign.ts';
import { operatorOf, verifyOperator } from './operator-certificate.ts';
import { CertificateError, requireVault, verified } from './statement.ts';

const REVOCATION = 'aliquot/v1/agent-revocation';

/**
 * The word of the authority, or of an operator with the purpose `agents`, that an agent is one no
 * more. It holds for ever: an agent's id is never given again.
 */
export function issueRevocation(signer: SigningKey, body: AgentRevocationBody): Signed {
  return sign(signer, REVOCATION, encodeAgentRevocationBody(body));
}

/**
 * A revocation by the vault's authority, or by the operator whose certificate stands beside it and
 * holds at `takenAtMs`: by default at the time that it bears, for it is verified again years later.
 * Throws CertificateError.
 */
export function verifyRevocation(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  { revocation, operator }: { readonly revocation: Signed; readonly operator?: Signed | undefined },
  takenAtMs?: number,
): AgentRevocationBody {
  const what = 'revocation';
  const signer =
    operator === undefined ? authorityKey : operatorOf(authorityKey, vaultId, operator).signKey;
  const body = verified(what, signer, REVOCATION, decodeAgentRevocationBody, revocation);
  requireVault(what, vaultId, body.vaultId);
  if (operator !== undefined)
    verifyOperator(authorityKey, vaultId, operator, 'agents', takenAtMs ?? body.revokedAtMs);
  return body;
}

/** The same as a question. */
export function isRevocation(...asked: Parameters<typeof verifyRevocation>): boolean {
  try {
    verifyRevocation(...asked);
    return true;
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return false;
  }
}
