import type { Socket } from 'node:net';
import {
  decodeAgentBindingBody,
  decodeEnrolRequest,
  type EnrolRequest,
  type EventBody,
  encodeEnrolAnswer,
  FormatError,
  type VaultId,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  type AgentCertificate,
  bindingHashOf,
  CertificateError,
  issueEnrolAnswer,
  verifyAgent,
} from '@aliquot/shared/keys/certificates';
import { RestError } from '../api/rest-error.ts';
import { hasEnded, refusalOf } from '../store/catalog/refusal.ts';
import { StoreError } from '../store/errors.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultStore, VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/**
 * Answers an agent that shows its bundle's enrolment and its own new keys.
 *
 * The same enrolment with the same keys gets an answer however often it asks, even after the
 * bundle's term: a crash between the collector's disk and the agent's must not brick a PC. Other
 * keys are refused loudly: somebody used the bundle already. An agent of a group comes with the
 * group's certificate, and is known from then on; where the group says so, it waits for approval.
 */
export async function enrol(
  context: RestContext,
  body: Uint8Array,
  from: Socket,
): Promise<Uint8Array> {
  const request = decodeEnrolRequest(body);
  const vault = vaultFor(context, request);
  const work = () => certified(vault, request);
  const agent = context.door === undefined ? work() : await context.door.atTurn(from, work);
  if (agent === undefined) throw new RestError('REST_BAD_REQUEST', 'the connection has ended');
  const nowMs = context.clock.nowMs();
  const { agentId, name, replaces } = agent.enrolment;
  const known = vault.register.agentById(agentId);
  if (agent.group === undefined || known !== undefined) refuseUnfit(known, request, agent, nowMs);
  else if (nowMs > agent.group.expiresAtMs)
    throw expired(`group ${agent.group.name}`, agent.group.expiresAtMs);
  if (known === undefined || known.state === 'expected') {
    const type = agent.group?.approve === true ? 'agentPending' : 'agentEnrolled';
    await append(vault, {
      type,
      timeMs: nowMs,
      enrolment: request.enrolment,
      binding: request.binding,
    });
    context.log.info(
      { vault: hex(vault.descriptor.vaultId), agent: name },
      type === 'agentPending' ? 'agent waits for approval' : 'agent enrolled',
    );
    if (replaces !== undefined)
      context.sessions.endAgent(vault.descriptor.vaultId, replaces, 'replaced');
  }
  const record = vault.register.agentById(agentId);
  const succeeds = record?.state === 'replaced';
  const answer = issueEnrolAnswer(context.store.identity, {
    version: 1,
    vaultId: vault.descriptor.vaultId,
    agentId,
    bindingHash: bindingHashOf(request.binding),
    enrolledAtMs: record?.enrolledAtMs ?? nowMs,
    head: vault.log.treeHead(),
    pending: record?.state === 'pending' || succeeds,
  });
  return encodeEnrolAnswer({
    answer,
    collectorCertificate: vault.signedCertificate,
    approval: succeeds ? record.approval : undefined,
  });
}

/** What the log refuses is said in the words of an enrolment. */
async function append(vault: VaultWith<'events'>, event: EventBody): Promise<void> {
  try {
    await vault.events.append(event);
  } catch (cause) {
    if (!(cause instanceof StoreError) || cause.code !== 'STORE_NAME_TAKEN') throw cause;
    throw new RestError('ENROL_NAME_TAKEN', cause.message, { cause });
  }
}

function vaultFor(context: RestContext, request: EnrolRequest): VaultStore {
  let vaultId: VaultId;
  try {
    ({ vaultId } = decodeAgentBindingBody(request.binding.body));
  } catch (cause) {
    if (cause instanceof FormatError)
      throw new RestError('REST_BAD_REQUEST', 'the binding cannot be read', { cause });
    throw cause;
  }
  const vault = context.store.vault(vaultId);
  if (vault === undefined && context.store.ailing().some(({ id }) => id === hex(vaultId)))
    throw new RestError(
      'REST_VAULT_AILING',
      'the vault of this bundle is not served at the moment; central IT finds why in the log',
    );
  if (vault === undefined)
    throw new RestError(
      'ENROL_UNKNOWN',
      "the bundle is for a vault that this collector does not hold: check the bundle's address",
    );
  return vault;
}

function certified(vault: VaultWith<'descriptor'>, request: EnrolRequest): AgentCertificate {
  try {
    return verifyAgent(
      vault.descriptor.authorityKey,
      vault.descriptor.vaultId,
      request.enrolment,
      request.binding,
    );
  } catch (cause) {
    if (cause instanceof CertificateError)
      throw new RestError('ENROL_UNKNOWN', `the bundle does not verify: ${cause.message}`, {
        cause,
      });
    throw cause;
  }
}

function refuseUnfit(
  known: AgentRecord | undefined,
  request: EnrolRequest,
  agent: AgentCertificate,
  nowMs: number,
): void {
  const name = agent.enrolment.name;
  if (known === undefined || !equalBytes(known.enrolment.body, request.enrolment.body)) {
    throw new RestError(
      'ENROL_UNKNOWN',
      `this collector does not expect agent ${name}: make a new bundle with \`aliquot enroll\``,
    );
  }
  // One that was approved in the place of another may not have heard of that yet.
  const refusal = refusalOf(known);
  if (refusal !== undefined && hasEnded(refusal.code))
    throw new RestError('ENROL_REVOKED', refusal.message);
  if (known.state !== 'expected') {
    if (known.binding !== undefined && equalBytes(known.binding.body, request.binding.body)) return;
    throw new RestError(
      'ENROL_OTHER_KEYS',
      `the bundle of agent ${name} was already used by another installation: ask central IT for a new bundle, and where this one went`,
    );
  }
  if (nowMs > agent.enrolment.expiresAtMs)
    throw expired(`agent ${name}`, agent.enrolment.expiresAtMs);
}

function expired(whose: string, atMs: number): RestError {
  return new RestError(
    'ENROL_EXPIRED',
    `the bundle of ${whose} expired at ${new Date(atMs).toISOString()}: ask central IT for a new one`,
  );
}
