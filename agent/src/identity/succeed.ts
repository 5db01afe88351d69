import { type AgentApprovalBody, decodeEnrolAnswer, encodeEnrolRequest } from '@aliquot/proto';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { isSuccessorOf, openPathKey, verifyApproval } from '@aliquot/shared/keys/approval';
import { CertificateError, issueBinding } from '@aliquot/shared/keys/certificates';
import type { AddressBook } from './addresses.ts';
import type { EnrolOptions } from './enrol.ts';
import { ask, checkAnswer, post, refusal } from './enrol-request.ts';
import { IdentityError } from './errors.ts';
import type { AgentIdentity } from './identity.ts';
import {
  identityPaths,
  readIdentity,
  type StoredIdentity,
  verifyIdentity,
  writeIdentity,
} from './identity-file.ts';

export interface SucceedOptions {
  readonly port: FilePort;
  readonly dataDir: string;
  /** Who waits. */
  readonly identity: AgentIdentity;
  readonly addresses: Pick<AddressBook, 'candidates'>;
  readonly post?: EnrolOptions['post'];
}

/**
 * Asks whether a PC that waits for approval was approved in the place of another agent, and becomes
 * that one's successor if so: it binds the keys that it has under the certificate in the approval,
 * takes the path key of that lineage, and keeps both. True when the folder is another agent's from
 * now on, and must be opened again; the queue stays as it is, for nothing of it was signed yet.
 *
 * May be repeated after a crash anywhere: the same keys under the same certificate get the same
 * answer. Errors: `IdentityError`.
 */
export async function succeed(options: SucceedOptions): Promise<boolean> {
  const { port, dataDir, identity } = options;
  const paths = identityPaths(dataDir);
  const stored = await readIdentity(port, paths.identity);
  if (stored === undefined) return false;
  const send = options.post ?? post;
  const asked = (from: StoredIdentity) =>
    ask(
      options.addresses.candidates(),
      encodeEnrolRequest({ version: 1, enrolment: from.enrolment, binding: from.binding }),
      send,
    );
  const first = await asked(stored);
  if (first.answer.status !== 200) throw refusal(first.answer, identity.certificate, first.trust);
  checkAnswer(first.answer.body, identity, first.trust);
  const { approval } = decodeEnrolAnswer(first.answer.body);
  if (approval === undefined) return false;
  const next = successorOf(stored, identity, approval);
  const become = verifyIdentity(next);
  const second = await asked(next);
  if (second.answer.status !== 200) throw refusal(second.answer, become.certificate, second.trust);
  checkAnswer(second.answer.body, become, second.trust);
  await writeIdentity(port, paths.identity, next);
  return true;
}

/** The identity that an approval makes of a waiting one. */
function successorOf(
  stored: StoredIdentity,
  identity: AgentIdentity,
  signed: Parameters<typeof verifyApproval>[2]['approval'],
): StoredIdentity {
  const { authorityKey, vaultId } = identity.descriptor;
  const { signKey, boxKey, certificate } = identity;
  try {
    const { body, successor } = verifyApproval(authorityKey, vaultId, { approval: signed }, 0);
    if (
      body.successor === undefined ||
      successor === undefined ||
      !isOurs(body, identity) ||
      !isSuccessorOf(successor, certificate.binding)
    )
      throw new CertificateError('CERT_OTHER_AGENT', 'the approval is not for this PC');
    const { agentId } = successor;
    const keys = { signKey: signKey.publicKey, boxKey: boxKey.publicKey };
    const binding = issueBinding(signKey, { version: 1, vaultId, agentId, ...keys });
    return {
      ...stored,
      enrolment: body.successor.enrolment,
      binding,
      pathKey: openPathKey(body.successor, successor, boxKey),
    };
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new IdentityError(
      'ENROL_BAD_ANSWER',
      `the approval that the collector shows cannot be believed: ${cause.message}`,
      { cause },
    );
  }
}

function isOurs({ agentId }: AgentApprovalBody, { certificate }: AgentIdentity): boolean {
  return Buffer.from(agentId).equals(certificate.enrolment.agentId);
}
