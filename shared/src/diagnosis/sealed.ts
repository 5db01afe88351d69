import { deflateRawSync, inflateRawSync } from 'node:zlib';
import {
  type AgentId,
  AliquotError,
  type DiagnosisRequestBody,
  decodeDiagnosisRequestBody,
  type ErrorCodes,
  encodeDiagnosisRequestBody,
  MAX_DIAGNOSIS_BYTES,
  MAX_DIAGNOSIS_TEXT_BYTES,
  type OperatorCertificateBody,
  type Signed,
  type VaultDescriptorBody,
  type VaultId,
} from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { openSealed, type SealedBox, sealTo } from '../crypto/sealed-box.ts';
import { type SigningKey, sign } from '../crypto/sign.ts';
import { CertificateError, requireVault, verified } from '../keys/certificates.ts';
import { verifyOperator } from '../keys/operator-certificate.ts';
import type { Random } from '../ports.ts';

const codes = {
  /** No service runs at the PC that could make a diagnosis, or it makes one just now. */
  DIAGNOSIS_NOT_NOW: 'final',
  /** The PC refused to answer; the message has its reason. */
  DIAGNOSIS_REFUSED: 'final',
  /** What came back was altered, or is sealed to somebody else. */
  DIAGNOSIS_UNREADABLE: 'final',
} satisfies ErrorCodes;

export type DiagnosisErrorCode = keyof typeof codes;

/** An answer that is not the diagnosis that was asked for. */
export class DiagnosisError extends AliquotError<DiagnosisErrorCode> {
  static override readonly codes = codes;
}

const REQUEST = 'aliquot/v1/diagnosis-request';
const SEAL = 'aliquot/v1/diagnosis';
const WHAT = 'question for a diagnosis';
const ASK_ID_BYTES = 16;

/** A question as it travels: signed by an operator, whose certificate stands beside it. */
export interface DiagnosisRequest {
  readonly request: Signed;
  readonly certificate: Signed;
}

/** Asks one agent: the signed question, and what the answer must name. */
export function askDiagnosis(
  key: SigningKey,
  vaultId: VaultId,
  agentId: AgentId,
  nowMs: number,
  random: Random,
): { readonly request: Signed; readonly body: DiagnosisRequestBody } {
  const body: DiagnosisRequestBody = {
    version: 1,
    vaultId,
    agentId,
    askId: random.bytes(ASK_ID_BYTES),
    askedAtMs: nowMs,
  };
  return { request: sign(key, REQUEST, encodeDiagnosisRequestBody(body)), body };
}

/**
 * A question that an operator of this vault asked of this agent, and the operator. Throws
 * CertificateError: foreign, past the operator's term at `nowMs`, of an operator for other
 * purposes, or for another agent. An old one does as well as a new one: only the one who asked can
 * open the answer.
 */
export function verifyDiagnosisRequest(
  { vaultId, authorityKey }: Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>,
  agentId: AgentId,
  { request, certificate }: DiagnosisRequest,
  nowMs: number,
): { readonly body: DiagnosisRequestBody; readonly operator: OperatorCertificateBody } {
  const operator = verifyOperator(authorityKey, vaultId, certificate, 'diagnose', nowMs);
  const body = verified(WHAT, operator.signKey, REQUEST, decodeDiagnosisRequestBody, request);
  requireVault(WHAT, vaultId, body.vaultId);
  if (!equalBytes(body.agentId, agentId))
    throw new CertificateError('CERT_SIGNATURE', `the ${WHAT} is for another agent`);
  return { body, operator };
}

const contextOf = ({ vaultId, agentId, askId }: DiagnosisRequestBody) => [vaultId, agentId, askId];

/**
 * A diagnosis compressed and sealed to the operator who asked; undefined when it is larger than an
 * answer may be.
 */
export function sealDiagnosis(
  boxKey: Uint8Array,
  body: DiagnosisRequestBody,
  text: string,
  random: Random,
): SealedBox | undefined {
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_DIAGNOSIS_TEXT_BYTES) return undefined;
  const box = sealTo(boxKey, SEAL, contextOf(body), deflateRawSync(bytes), random);
  return box.sealed.length > MAX_DIAGNOSIS_BYTES ? undefined : box;
}

/** The text of an answer. Throws `DIAGNOSIS_UNREADABLE`. */
export function openDiagnosis(boxKey: BoxKey, body: DiagnosisRequestBody, box: SealedBox): string {
  const packed = openSealed(boxKey, SEAL, contextOf(body), box);
  const says =
    'the answer does not open with this key: it was altered on the way, or is the answer to another question';
  if (packed === undefined) throw new DiagnosisError('DIAGNOSIS_UNREADABLE', says);
  try {
    return inflateRawSync(packed, { maxOutputLength: MAX_DIAGNOSIS_TEXT_BYTES }).toString('utf8');
  } catch (cause) {
    throw new DiagnosisError(
      'DIAGNOSIS_UNREADABLE',
      'the answer is no diagnosis that this release can unfold',
      { cause },
    );
  }
}
