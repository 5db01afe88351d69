import {
  type AgentBindingBody,
  type AgentId,
  asAgentId,
  asGroupId,
  asLineageId,
  decodeAgentBindingBody,
  decodeGroupCertificateBody,
  type EnrolmentCertificateBody,
  encodeAgentBindingBody,
  encodeGroupCertificateBody,
  type GroupCertificateBody,
  type GroupId,
  SIGNATURE_BYTES,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes, labelled, sha256 } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import { CertificateError, requireStrong, requireVault, verified } from './statement.ts';

/*
 * One certificate for many PCs. The authority certifies a group's key; whoever has it (the bundle)
 * may bind keys of its own as an agent of the group. The agent's id follows from its signing key,
 * so nobody binds other keys under an id that is borne: FORMAT.md, "GroupCertificateBody" and
 * "AgentBindingBody". How many there may be, and that names differ, is the log's to hold.
 */

/** The label under which the authority signs a group's certificate. */
export const GROUP = 'aliquot/v1/group-certificate';
const BINDING = 'aliquot/v1/group-binding';
const POSSESSION = 'aliquot/v1/group-possession';
const ID_BYTES = 16;

/** The group id that a group's key stands for. */
export function groupIdOf(groupKey: Uint8Array): GroupId {
  return asGroupId(sha256(labelled('aliquot/v1/group-id'), groupKey).slice(0, ID_BYTES));
}

/**
 * The id of the agent that has this signing key in the group of this key. All parts are of fixed
 * length.
 */
function memberIdOf(vaultId: VaultId, groupKey: Uint8Array, signKey: Uint8Array): AgentId {
  return asAgentId(
    sha256(labelled('aliquot/v1/group-agent'), vaultId, groupKey, signKey).slice(0, ID_BYTES),
  );
}

/** Certifies a key by which several PCs may enrol. */
export function issueGroup(authority: SigningKey, body: GroupCertificateBody): Signed {
  return sign(authority, GROUP, encodeGroupCertificateBody(body));
}

/**
 * A group that the vault's authority certified. As with an enrolment, the collector that answers
 * judges its term. Throws CertificateError.
 */
export function verifyGroup(
  authorityKey: Uint8Array,
  vaultId: VaultId,
  signed: Signed,
): GroupCertificateBody {
  const what = 'group certificate';
  const body = verified(what, authorityKey, GROUP, decodeGroupCertificateBody, signed);
  requireVault(what, vaultId, body.vaultId);
  requireStrong(what, body.groupKey);
  return body;
}

/** The keys that an agent of a group made for itself. */
export interface MemberKeys {
  readonly signKey: SigningKey;
  /** Its public box key. */
  readonly boxKey: Uint8Array;
}

/**
 * Binds an agent's own keys into a group, under a name; signed with the group's key and proved with
 * the agent's.
 */
export function issueMember(
  vaultId: VaultId,
  groupKey: SigningKey,
  name: string,
  { signKey, boxKey }: MemberKeys,
): Signed {
  const body = {
    version: 1,
    vaultId,
    agentId: memberIdOf(vaultId, groupKey.publicKey, signKey.publicKey),
    signKey: signKey.publicKey,
    boxKey,
    member: { name, possession: new Uint8Array(SIGNATURE_BYTES) },
  } as const;
  const possession = sign(signKey, POSSESSION, encodeAgentBindingBody(body)).signature;
  return sign(groupKey, BINDING, encodeAgentBindingBody({ ...body, member: { name, possession } }));
}

/**
 * A binding of a verified group. Throws CertificateError: made without the group's key, or by who
 * has not the signing key in it (CERT_SIGNATURE), under an id that is not this key's
 * (CERT_ID_MISMATCH), or under a name that is not the group's (CERT_NAME).
 */
export function verifyMember(group: GroupCertificateBody, binding: Signed): AgentBindingBody {
  const what = `binding in group ${group.name}`;
  const bound = verified(what, group.groupKey, BINDING, decodeAgentBindingBody, binding);
  const { vaultId, agentId, signKey, member } = bound;
  requireVault(what, group.vaultId, vaultId);
  if (member === undefined)
    throw new CertificateError('CERT_MALFORMED', `the ${what} names no agent`);
  requireStrong(what, signKey);
  if (!equalBytes(agentId, memberIdOf(vaultId, group.groupKey, signKey)))
    throw new CertificateError(
      'CERT_ID_MISMATCH',
      `the ${what} carries an id that is not its key’s`,
    );
  const body = encodeAgentBindingBody({
    ...bound,
    member: { name: member.name, possession: new Uint8Array(SIGNATURE_BYTES) },
  });
  if (!signatureHolds(signKey, POSSESSION, { body, signature: member.possession }))
    throw new CertificateError(
      'CERT_SIGNATURE',
      `the ${what} was not made by who has its signing key`,
    );
  if (!mayBeNamed(group, member.name)) {
    const text = `${member.name} is no name of group ${group.name}, whose agents are named ${group.names.join(' or ')}`;
    throw new CertificateError('CERT_NAME', text);
  }
  return bound;
}

/**
 * Whether an agent of the group may have this name, whatever its case: `*` in a pattern stands for
 * anything.
 */
export function mayBeNamed({ names }: Pick<GroupCertificateBody, 'names'>, name: string): boolean {
  const text = name.toLowerCase();
  return names.length === 0 || names.some((pattern) => fits(pattern.split('*'), text));
}

/**
 * Whether `text` begins with the first part, ends with the last, and has those between in order: no
 * backtracking.
 */
function fits([first = '', ...rest]: readonly string[], text: string): boolean {
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at + last.length <= text.length;
}

/**
 * What an enrolment certificate would say of an agent of a group: its lineage begins with it, and
 * in the group.
 */
export function memberTerms(
  group: GroupCertificateBody,
  { agentId, member }: AgentBindingBody,
): EnrolmentCertificateBody {
  const { vaultId, groupKey, selfRestore, dedupEpoch, issuedAtMs, expiresAtMs } = group;
  return {
    version: 1,
    vaultId,
    agentId,
    lineageId: asLineageId(agentId.slice()),
    replaces: undefined,
    name: member?.name ?? '',
    enrolmentKey: groupKey,
    selfRestore,
    dedupEpoch,
    issuedAtMs,
    expiresAtMs,
    lineageGroup: groupIdOf(groupKey),
  };
}
