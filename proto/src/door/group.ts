/** FORMAT.md, "GroupCertificateBody" and "AgentApprovalBody". */
import {
  MAX_AGENT_NAME_CHARS,
  MAX_GROUP_NAMES,
  MAX_GROUP_USES,
  MAX_SIGNED_BODY_BYTES,
  TAG_BYTES,
} from '../limits.ts';
import type { AgentApprovalBody, ApprovedSuccessor, GroupCertificateBody } from '../vault-types.ts';
import { codec } from './codec.ts';
import { signed } from './common.ts';
import { checked, list, object, optional, refusal, version } from './field.ts';
import { v1 } from './generated.ts';
import {
  AGENT_NAME,
  agentId,
  bytes,
  flag,
  hash,
  NAME_PATTERN,
  positive32,
  text,
  timeMs,
  uint,
  vaultId,
} from './scalar.ts';

const SEALED_KEY_BYTES = 32 + TAG_BYTES;

/** The authority's permission for several PCs, of which each makes its own keys and its own id. */
export const { encode: encodeGroupCertificateBody, decode: decodeGroupCertificateBody } =
  codec<GroupCertificateBody>(
    'GroupCertificateBody',
    v1.GroupCertificateBody,
    checked(
      object<GroupCertificateBody>('GroupCertificateBody', {
        version,
        vaultId,
        name: text(
          1,
          MAX_AGENT_NAME_CHARS,
          AGENT_NAME,
          'letters, digits, dot, underscore or hyphen, a letter or digit first',
        ),
        groupKey: hash,
        uses: uint(1, MAX_GROUP_USES),
        names: list(
          text(
            1,
            MAX_AGENT_NAME_CHARS,
            NAME_PATTERN,
            'the name of an agent, in lower case, in which * stands for anything',
          ),
          0,
          MAX_GROUP_NAMES,
        ),
        approve: flag,
        selfRestore: flag,
        dedupEpoch: positive32,
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
      }),
      (body, label) => {
        if (body.expiresAtMs < body.issuedAtMs)
          throw refusal('FORMAT_MALFORMED', label, 'expires before it was issued');
        const rising = body.names.every(
          (name, at) => at === 0 || name > (body.names[at - 1] ?? ''),
        );
        if (!rising)
          throw refusal('FORMAT_MALFORMED', label, 'must have names in rising order, each once');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** The word of the authority, or of an operator, that a pending PC is taken in. */
export const { encode: encodeAgentApprovalBody, decode: decodeAgentApprovalBody } =
  codec<AgentApprovalBody>(
    'AgentApprovalBody',
    v1.AgentApprovalBody,
    object<AgentApprovalBody>('AgentApprovalBody', {
      version,
      vaultId,
      agentId,
      approvedAtMs: timeMs,
      successor: optional(
        object<ApprovedSuccessor>('AgentApprovalBody.Successor', {
          enrolment: signed,
          ephemeralKey: hash,
          pathKeyBox: bytes(SEALED_KEY_BYTES, SEALED_KEY_BYTES),
        }),
      ),
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );
