import {
  type AgentBindingBody,
  type CollectorAddressesBody,
  type CollectorCertificateBody,
  type CollectorId,
  decodeAgentBindingBody,
  decodeCollectorAddressesBody,
  decodeCollectorCertificateBody,
  decodeEnrolAnswerBody,
  decodeEnrolmentCertificateBody,
  decodeEpochOpeningBody,
  decodeGroupCertificateBody,
  decodeVaultDescriptorBody,
  type EnrolAnswer,
  type EnrolAnswerBody,
  type EnrolmentCertificateBody,
  type EpochOpeningBody,
  encodeAgentBindingBody,
  encodeCollectorAddressesBody,
  encodeCollectorCertificateBody,
  encodeEnrolAnswerBody,
  encodeEnrolmentCertificateBody,
  encodeEpochOpeningBody,
  encodeVaultDescriptorBody,
  type GroupCertificateBody,
  type Signed,
  type VaultDescriptorBody,
  type VaultId,
} from '@aliquot/proto';
import { hex } from '../crypto/bytes.ts';
import { equalBytes, labelled, sha256 } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import { GROUP, memberTerms, verifyGroup, verifyMember } from './group.ts';
import {
  CertificateError,
  decodeBody,
  requireStrong,
  requireVault,
  verified,
} from './statement.ts';

export { CertificateError, requireStrong, requireVault, verified } from './statement.ts';

/** A verified agent: what the authority says of it, and the keys that it made for itself. */
export interface AgentCertificate {
  /** Of an agent of a group: what follows from the group's certificate and the agent's binding. */
  readonly enrolment: EnrolmentCertificateBody;
  readonly binding: AgentBindingBody;
  readonly group?: GroupCertificateBody | undefined;
}

const DESCRIPTOR = 'aliquot/v1/vault-descriptor';
const COLLECTOR = 'aliquot/v1/collector-certificate';
const ADDRESSES = 'aliquot/v1/collector-addresses';
const ENROLMENT = 'aliquot/v1/enrolment';
const BINDING = 'aliquot/v1/agent-binding';
const EPOCH_OPENING = 'aliquot/v1/epoch-opening';
const ENROL_ANSWER = 'aliquot/v1/enrol-answer';
const ID_BYTES = 16;

/** The vault id that an authority key stands for: nobody can claim it with another key. */
export function vaultIdOf(authorityKey: Uint8Array): VaultId {
  return sha256(labelled('aliquot/v1/vault-id'), authorityKey).slice(0, ID_BYTES) as VaultId;
}

/** The collector id that a collector's signing key stands for. */
export function collectorIdOf(signKey: Uint8Array): CollectorId {
  return sha256(labelled('aliquot/v1/collector-id'), signKey).slice(0, ID_BYTES) as CollectorId;
}

/** SHA-256 of a binding's body: names the keys that an enrolment now belongs to. */
export function bindingHashOf(binding: Signed): Uint8Array {
  return sha256(binding.body);
}

/** The authority's signed description of its vault. */
export function issueDescriptor(authority: SigningKey, body: VaultDescriptorBody): Signed {
  return sign(authority, DESCRIPTOR, encodeVaultDescriptorBody(body));
}

/**
 * A descriptor that proves itself: its authority key gives its vault id, and that key signed it.
 */
export function verifyDescriptor(signed: Signed): VaultDescriptorBody {
  const body = decodeBody('vault descriptor', decodeVaultDescriptorBody, signed.body);
  if (!equalBytes(vaultIdOf(body.authorityKey), body.vaultId)) {
    throw new CertificateError(
      'CERT_ID_MISMATCH',
      `the descriptor of vault ${body.name} carries an id that is not its authority's`,
    );
  }
  return verified(
    'vault descriptor',
    body.authorityKey,
    DESCRIPTOR,
    decodeVaultDescriptorBody,
    signed,
  );
}

/** Certifies a collector for a vault; a successor gets a higher `generation`. */
export function issueCollectorCertificate(
  authority: SigningKey,
  body: CollectorCertificateBody,
): Signed {
  return sign(authority, COLLECTOR, encodeCollectorCertificateBody(body));
}

/** Throws CertificateError unless the vault's authority certified exactly this collector key. */
export function verifyCollectorCertificate(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): CollectorCertificateBody {
  const what = 'collector certificate';
  const body = verified(what, authorityKey, COLLECTOR, decodeCollectorCertificateBody, signed);
  requireVault(what, vaultId, body.vaultId);
  requireStrong(what, body.signKey);
  if (!equalBytes(collectorIdOf(body.signKey), body.collectorId)) {
    throw new CertificateError(
      'CERT_ID_MISMATCH',
      'the collector certificate carries an id that is not its key’s',
    );
  }
  return body;
}

/** The authority's word where the collector is. */
export function issueAddresses(authority: SigningKey, body: CollectorAddressesBody): Signed {
  return sign(authority, ADDRESSES, encodeCollectorAddressesBody(body));
}

/**
 * Throws CertificateError unless the vault's authority signed exactly these addresses. Whether they
 * are newer is the caller's to compare.
 */
export function verifyAddresses(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): CollectorAddressesBody {
  const body = verified(
    'collector addresses',
    authorityKey,
    ADDRESSES,
    decodeCollectorAddressesBody,
    signed,
  );
  requireVault('collector addresses', vaultId, body.vaultId);
  return body;
}

/** Certifies a one-time enrolment key for one agent. */
export function issueEnrolment(authority: SigningKey, body: EnrolmentCertificateBody): Signed {
  return sign(authority, ENROLMENT, encodeEnrolmentCertificateBody(body));
}

/**
 * An enrolment that the vault's authority signed. Its expiry is not looked at: it limits when a
 * bundle may be used, not how long the agent lives; the collector that answers an enrolment
 * compares `expiresAtMs` with its own clock.
 */
export function verifyEnrolment(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): EnrolmentCertificateBody {
  const what = 'enrolment certificate';
  const body = verified(what, authorityKey, ENROLMENT, decodeEnrolmentCertificateBody, signed);
  requireVault(what, vaultId, body.vaultId);
  requireStrong(what, body.enrolmentKey);
  return body;
}

/** The agent's word for its own keys, signed with the one-time enrolment key. */
export function issueBinding(enrolmentKey: SigningKey, body: AgentBindingBody): Signed {
  return sign(enrolmentKey, BINDING, encodeAgentBindingBody(body));
}

/** Agents that were verified lately: 100 bytes each. */
const MOST_KNOWN = 8192;
const knownAgents = new Set<string>();

/**
 * The agent that enrolment and binding together certify; throws CertificateError unless they belong
 * together and to the vault. The enrolment is the authority's for this one agent, or the
 * certificate of the agent's group: its label tells. What held once holds again, byte for byte, so
 * an agent that comes back costs no signature.
 */
export function verifyAgent(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  enrolment: Signed,
  binding: Signed,
): AgentCertificate {
  const parts = [enrolment.body, enrolment.signature, binding.body, binding.signature];
  const key = hex(sha256(authorityKey, vaultId, ...parts.map((part) => sha256(part))));
  if (knownAgents.has(key)) {
    const { enrolment: enrolled, binding: bound, group } = readAgent(enrolment, binding);
    if (bound !== undefined) return { enrolment: enrolled, binding: bound, group };
  }
  const agent = verifyNewAgent(authorityKey, vaultId, enrolment, binding);
  const [oldest] = knownAgents;
  if (knownAgents.size >= MOST_KNOWN && oldest !== undefined) knownAgents.delete(oldest);
  knownAgents.add(key);
  return agent;
}

function verifyNewAgent(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  enrolment: Signed,
  binding: Signed,
): AgentCertificate {
  if (
    !signatureHolds(authorityKey, ENROLMENT, enrolment) &&
    signatureHolds(authorityKey, GROUP, enrolment)
  ) {
    const group = verifyGroup(authorityKey, vaultId, enrolment);
    const bound = verifyMember(group, binding);
    return { enrolment: memberTerms(group, bound), binding: bound, group };
  }
  const enrolled = verifyEnrolment(authorityKey, vaultId, enrolment);
  const what = `binding of agent ${enrolled.name}`;
  const bound = verified(what, enrolled.enrolmentKey, BINDING, decodeAgentBindingBody, binding);
  requireVault(what, vaultId, bound.vaultId);
  if (!equalBytes(enrolled.agentId, bound.agentId)) {
    throw new CertificateError('CERT_OTHER_AGENT', `the ${what} was made for another agent`);
  }
  if (bound.member !== undefined)
    throw new CertificateError('CERT_MALFORMED', `the ${what} is one of a group`);
  requireStrong(what, bound.signKey);
  return { enrolment: enrolled, binding: bound };
}

/**
 * What `verifyAgent` has verified before, or will, read as it stands; an agent that has not
 * enrolled yet has no binding. Throws FormatError for what is neither.
 */
export function readAgent(
  enrolment: Signed,
  binding: Signed | undefined,
): Omit<AgentCertificate, 'binding'> & { readonly binding: AgentBindingBody | undefined } {
  const bound = binding && decodeAgentBindingBody(binding.body);
  if (bound?.member === undefined)
    return { enrolment: decodeEnrolmentCertificateBody(enrolment.body), binding: bound };
  const group = decodeGroupCertificateBody(enrolment.body);
  return { enrolment: memberTerms(group, bound), binding: bound, group };
}

/** The authority's approval that a log goes on after it lost its tail. */
export function issueEpochOpening(authority: SigningKey, body: EpochOpeningBody): Signed {
  return sign(authority, EPOCH_OPENING, encodeEpochOpeningBody(body));
}

/**
 * Throws CertificateError unless the vault's authority approved this opening. Whether its heads fit
 * the log is the caller's to prove.
 */
export function verifyEpochOpening(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): EpochOpeningBody {
  const body = verified(
    'epoch opening',
    authorityKey,
    EPOCH_OPENING,
    decodeEpochOpeningBody,
    signed,
  );
  requireVault('epoch opening', vaultId, body.vaultId);
  return body;
}

/** The collector's signed answer to an enrolment request. */
export function issueEnrolAnswer(collector: SigningKey, body: EnrolAnswerBody): Signed {
  return sign(collector, ENROL_ANSWER, encodeEnrolAnswerBody(body));
}

/**
 * An answer by a collector that the authority certified, for exactly this enrolment and these keys.
 * An answer for other keys (CERT_OTHER_AGENT) means that somebody else has used the bundle.
 */
export function verifyEnrolAnswer(
  authorityKey: Uint8Array,
  agent: AgentCertificate,
  binding: Signed,
  answer: EnrolAnswer,
): { answer: EnrolAnswerBody; collector: CollectorCertificateBody } {
  const vaultId = agent.enrolment.vaultId;
  const collector = verifyCollectorCertificate(authorityKey, vaultId, answer.collectorCertificate);
  const body = verified(
    'enrolment answer',
    collector.signKey,
    ENROL_ANSWER,
    decodeEnrolAnswerBody,
    answer.answer,
  );
  requireVault('enrolment answer', vaultId, body.vaultId);
  if (
    !equalBytes(body.agentId, agent.enrolment.agentId) ||
    !equalBytes(body.bindingHash, bindingHashOf(binding))
  ) {
    throw new CertificateError(
      'CERT_OTHER_AGENT',
      `the collector’s answer is not for the keys of agent ${agent.enrolment.name} on this machine`,
    );
  }
  return { answer: body, collector };
}
