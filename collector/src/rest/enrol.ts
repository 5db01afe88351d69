import type { EnrolRequest, VaultId } from '@aliquot/proto';
import { decodeEnrolmentCertificateBody, decodeEnrolRequest, encodeEnrolAnswer, FormatError } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { type AgentCertificate, bindingHashOf, CertificateError, issueEnrolAnswer, verifyAgent } from '@aliquot/shared/keys/certificates';
import type { AgentRecord, VaultStore } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';
import { RestError } from './rest-error.ts';

/**
 * Answers an agent that shows its bundle's enrolment and its own new keys.
 *
 * The same enrolment with the same keys gets an answer however often it asks, even after the bundle's term: a crash between
 * the collector's disk and the agent's must not brick a PC. Other keys are refused loudly: somebody used the bundle already.
 */
export async function enrol(context: RestContext, body: Uint8Array): Promise<Uint8Array> {
  const request = decodeEnrolRequest(body);
  const vault = vaultFor(context, request);
  const agent = certified(vault, request);
  const nowMs = context.clock.nowMs();
  const known = vault.agentById(agent.enrolment.agentId);
  refuseUnfit(known, request, agent, nowMs);
  if (known?.state === 'expected') {
    await vault.appendEvent({ type: 'agentEnrolled', timeMs: nowMs, enrolment: request.enrolment, binding: request.binding });
    context.log.info({ vault: hex(vault.descriptor.vaultId), agent: agent.enrolment.name }, 'agent enrolled');
    const { replaces } = agent.enrolment;
    if (replaces !== undefined) context.sessions.endAgent(vault.descriptor.vaultId, replaces, 'replaced');
  }
  const answer = issueEnrolAnswer(context.store.identity, {
    version: 1,
    vaultId: vault.descriptor.vaultId,
    agentId: agent.enrolment.agentId,
    bindingHash: bindingHashOf(request.binding),
    enrolledAtMs: vault.agentById(agent.enrolment.agentId)?.enrolledAtMs ?? nowMs,
    head: vault.treeHead(),
  });
  return encodeEnrolAnswer({ answer, collectorCertificate: vault.signedCertificate });
}

function vaultFor(context: RestContext, request: EnrolRequest): VaultStore {
  let vaultId: VaultId;
  try {
    vaultId = decodeEnrolmentCertificateBody(request.enrolment.body).vaultId;
  } catch (cause) {
    if (cause instanceof FormatError) throw new RestError('REST_BAD_REQUEST', 'the enrolment certificate cannot be read', { cause });
    throw cause;
  }
  const vault = context.store.vault(vaultId);
  if (vault === undefined)
    throw new RestError('ENROL_UNKNOWN', "the bundle is for a vault that this collector does not hold: check the bundle's address");
  return vault;
}

function certified(vault: VaultStore, request: EnrolRequest): AgentCertificate {
  try {
    return verifyAgent(vault.descriptor.authorityKey, vault.descriptor.vaultId, request.enrolment, request.binding);
  } catch (cause) {
    if (cause instanceof CertificateError) throw new RestError('ENROL_UNKNOWN', `the bundle does not verify: ${cause.message}`, { cause });
    throw cause;
  }
}

function refuseUnfit(known: AgentRecord | undefined, request: EnrolRequest, agent: AgentCertificate, nowMs: number): void {
  const name = agent.enrolment.name;
  if (known === undefined || !equalBytes(known.enrolment.body, request.enrolment.body)) {
    throw new RestError('ENROL_UNKNOWN', `this collector does not expect agent ${name}: make a new bundle with \`aliquot enroll\``);
  }
  if (known.state === 'revoked') throw new RestError('ENROL_REVOKED', `agent ${name} was revoked: ask central IT for a new bundle`);
  if (known.state === 'replaced')
    throw new RestError('ENROL_REVOKED', `agent ${name} was replaced by another PC: ask central IT for a new bundle`);
  if (known.state === 'enrolled') {
    if (known.binding !== undefined && equalBytes(known.binding.body, request.binding.body)) return;
    throw new RestError(
      'ENROL_OTHER_KEYS',
      `the bundle of agent ${name} was already used by another installation: ask central IT for a new bundle, and where this one went`,
    );
  }
  if (nowMs > agent.enrolment.expiresAtMs) {
    throw new RestError(
      'ENROL_EXPIRED',
      `the bundle of agent ${name} expired at ${new Date(agent.enrolment.expiresAtMs).toISOString()}: ask central IT for a new one`,
    );
  }
}
