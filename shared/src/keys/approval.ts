import {
  type AgentApprovalBody,
  type AgentBindingBody,
  type ApprovedSuccessor,
  decodeAgentApprovalBody,
  type EnrolmentCertificateBody,
  encodeAgentApprovalBody,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { type BoxKey, boxOpen, boxSeal, newBoxKey } from '../crypto/box.ts';
import { wipe } from '../crypto/bytes.ts';
import { equalBytes, labelled, sha512 } from '../crypto/primitives.ts';
import { type SigningKey, sign } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { verifyEnrolment } from './certificates.ts';
import { verifyOperator } from './operator-certificate.ts';
import { CertificateError, requireVault, verified } from './statement.ts';

const APPROVAL = 'aliquot/v1/agent-approval';
const NONCE_BYTES = 24;

/**
 * The word of the authority, or of an operator with the purpose `agents`, that a pending PC is
 * taken in.
 */
export function issueApproval(signer: SigningKey, body: AgentApprovalBody): Signed {
  return sign(signer, APPROVAL, encodeAgentApprovalBody(body));
}

/** An approval, and whose place the PC takes if it takes one. */
export interface Approval {
  readonly body: AgentApprovalBody;
  readonly successor: EnrolmentCertificateBody | undefined;
}

/**
 * An approval by the vault's authority, or by the operator whose certificate stands beside it and
 * holds at `nowMs`; of a successor by the authority alone. Throws CertificateError.
 */
export function verifyApproval(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  { approval, operator }: { readonly approval: Signed; readonly operator?: Signed | undefined },
  nowMs: number,
): Approval {
  const what = 'approval';
  const signer =
    operator === undefined
      ? authorityKey
      : verifyOperator(authorityKey, vaultId, operator, 'agents', nowMs).signKey;
  const body = verified(what, signer, APPROVAL, decodeAgentApprovalBody, approval);
  requireVault(what, vaultId, body.vaultId);
  if (body.successor === undefined) return { body, successor: undefined };
  // The path key in it only the kit can make; nobody else has the right to say which it is.
  if (operator !== undefined)
    throw new CertificateError('CERT_PURPOSE', 'only the vault’s authority may name a successor');
  const successor = verifyEnrolment(authorityKey, vaultId, body.successor.enrolment);
  if (successor.replaces === undefined)
    throw new CertificateError('CERT_OTHER_AGENT', 'the approval names a successor of nobody');
  return { body, successor };
}

/** Whether a successor's enrolment is for the PC that this binding is of. */
export function isSuccessorOf(
  successor: EnrolmentCertificateBody,
  { signKey, member }: AgentBindingBody,
): boolean {
  return equalBytes(successor.enrolmentKey, signKey) && successor.name === member?.name;
}

/** All of fixed length. */
function nonceFor(
  ephemeralKey: Uint8Array,
  recipientKey: Uint8Array,
  { vaultId, agentId }: EnrolmentCertificateBody,
): Uint8Array {
  return sha512(
    labelled('aliquot/v1/path-key-box'),
    ephemeralKey,
    recipientKey,
    vaultId,
    agentId,
  ).slice(0, NONCE_BYTES);
}

/**
 * Seals a lineage's path key to the PC that goes on with it, from a key that is forgotten before
 * this returns.
 */
export function sealPathKey(
  pathKey: Uint8Array,
  successor: EnrolmentCertificateBody,
  enrolment: Signed,
  recipientKey: Uint8Array,
  random: Random,
): ApprovedSuccessor {
  const ephemeral = newBoxKey(random);
  try {
    const nonce = nonceFor(ephemeral.publicKey, recipientKey, successor);
    return {
      enrolment,
      ephemeralKey: ephemeral.publicKey,
      pathKeyBox: boxSeal(pathKey, nonce, recipientKey, ephemeral.secretKey),
    };
  } finally {
    wipe(ephemeral.secretKey);
  }
}

/**
 * The path key in an approval. Throws CertificateError (CERT_MALFORMED) when it was not sealed to
 * this key.
 */
export function openPathKey(
  { ephemeralKey, pathKeyBox }: ApprovedSuccessor,
  successor: EnrolmentCertificateBody,
  recipient: BoxKey,
): Uint8Array {
  const nonce = nonceFor(ephemeralKey, recipient.publicKey, successor);
  const pathKey = boxOpen(pathKeyBox, nonce, ephemeralKey, recipient.secretKey);
  if (pathKey === undefined)
    throw new CertificateError('CERT_MALFORMED', 'the path key in the approval does not open here');
  return pathKey;
}
