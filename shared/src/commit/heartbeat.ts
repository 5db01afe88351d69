import {
  decodeHeartbeatBody,
  encodeHeartbeatBody,
  type HeartbeatBody,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import type { AgentCertificate } from '../keys/certificates.ts';
import { CommitError } from './errors.ts';

const HEARTBEAT = 'aliquot/v1/heartbeat';

/**
 * An agent's signed word that a scan finished and what it found: instead of a commit when nothing
 * changed.
 */
export function signHeartbeat(signKey: SigningKey, body: HeartbeatBody): Signed {
  return sign(signKey, HEARTBEAT, encodeHeartbeatBody(body));
}

/**
 * The heartbeat, if this agent of this vault signed it.
 *
 * @throws CommitError `COMMIT_SIGNATURE`, `COMMIT_OTHER_VAULT`, `COMMIT_OTHER_AGENT`; FormatError.
 */
export function verifyHeartbeat(
  signed: Signed,
  expected: { readonly vaultId: VaultId; readonly agent: AgentCertificate },
): HeartbeatBody {
  const { binding, enrolment } = expected.agent;
  if (!signatureHolds(binding.signKey, HEARTBEAT, signed)) {
    throw new CommitError(
      'COMMIT_SIGNATURE',
      `the heartbeat is not signed by agent ${enrolment.name}`,
    );
  }
  const body = decodeHeartbeatBody(signed.body);
  if (!equalBytes(body.vaultId, expected.vaultId))
    throw new CommitError('COMMIT_OTHER_VAULT', 'the heartbeat belongs to another vault');
  if (!equalBytes(body.agentId, binding.agentId))
    throw new CommitError('COMMIT_OTHER_AGENT', 'the heartbeat speaks for another agent');
  return body;
}
