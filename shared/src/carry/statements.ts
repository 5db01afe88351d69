import { type ClientFrame, encodeClientFrame, SIGNATURE_BYTES, type VaultId } from '@aliquot/proto';
import { sha256 } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import { type AgentCertificate, CertificateError, verifyAgent } from '../keys/certificates.ts';
import { CarryError } from './errors.ts';

/**
 * The first frame of a carried queue, repeated in its receipts: who asks, for which chain, and
 * which log head it has verified.
 */
export type CarriedQuestion = Extract<ClientFrame, { type: 'auth' }>;

const QUESTION = 'aliquot/v1/carried-question';
const QUEUE = 'aliquot/v1/carried-queue';
const RECEIPTS = 'aliquot/v1/carried-receipts';

/**
 * Signs a question. There is no session whose nonces it could bind, so it may be shown again: what
 * it allows may be repeated.
 */
export function signQuestion(
  claim: Omit<CarriedQuestion, 'type' | 'signature'>,
  signKey: SigningKey,
): CarriedQuestion {
  const unsigned: CarriedQuestion = {
    type: 'auth',
    ...claim,
    signature: new Uint8Array(SIGNATURE_BYTES),
  };
  return { ...unsigned, signature: sign(signKey, QUESTION, statementOf(unsigned)).signature };
}

/** The agent that asks, proved by its certificate and its signature. Throws `CarryError`. */
export function verifyQuestion(
  question: CarriedQuestion,
  authorityKey: Uint8Array,
  vaultId: VaultId,
): AgentCertificate {
  let agent: AgentCertificate;
  try {
    agent = verifyAgent(authorityKey, vaultId, question.enrolment, question.binding);
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    const code = cause.code === 'CERT_OTHER_VAULT' ? 'CARRY_OTHER_VAULT' : 'CARRY_ALTERED';
    throw new CarryError(code, `the file is not of an agent of this vault: ${cause.message}`, {
      cause,
    });
  }
  const signed = { body: statementOf(question), signature: question.signature };
  if (signatureHolds(agent.binding.signKey, QUESTION, signed)) return agent;
  throw new CarryError(
    'CARRY_ALTERED',
    `agent ${agent.enrolment.name} did not sign the beginning of this file; export it again`,
  );
}

function statementOf(question: CarriedQuestion): Uint8Array {
  return sha256(encodeClientFrame({ ...question, signature: new Uint8Array(SIGNATURE_BYTES) }));
}

/** The trailer's signature under a queue (by the agent) or under receipts (by the collector). */
export function signCarried(
  kind: 'queue' | 'receipts',
  key: SigningKey,
  digest: Uint8Array,
): Uint8Array {
  return sign(key, kind === 'queue' ? QUEUE : RECEIPTS, digest).signature;
}

/** Whether a file's trailer is the sender's. Never throws for hostile input. */
export function carriedBy(
  kind: 'queue' | 'receipts',
  publicKey: Uint8Array,
  trailer: { readonly digest: Uint8Array; readonly signature: Uint8Array },
): boolean {
  return signatureHolds(publicKey, kind === 'queue' ? QUEUE : RECEIPTS, {
    body: trailer.digest,
    signature: trailer.signature,
  });
}
