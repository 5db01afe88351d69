/** FORMAT.md, "ReceiptBody" to "EventBody", and "TreeHead". */
import {
  MAX_AGENT_NAME_CHARS,
  MAX_EVENT_BYTES,
  MAX_GONE_FILES,
  MAX_LOG_LEAF_BYTES,
  MAX_LOST_HEADS,
  MAX_RETENTION_BRAKES,
  MAX_SEALED_POLICY_BYTES,
  MAX_SIGNED_BODY_BYTES,
} from '../limits.ts';
import type {
  ClockCorrectionBody,
  EpochOpeningBody,
  EventBody,
  ForkDecision,
  LeafType,
  LogLeaf,
  ReceiptBody,
  TreeHeadBody,
} from '../log-types.ts';
import type { RetentionApprovalBody, RetentionBrake, RetentionBrakeKind } from '../order-types.ts';
import type { TreeHead } from '../types.ts';
import { codec } from './codec.ts';
import { chainPoint, line, signed, treeHead } from './common.ts';
import { checked, list, object, optional, refusal, union, version } from './field.ts';
import { v1 } from './generated.ts';
import { holdBody } from './hold.ts';
import { releaseVersion } from './release.ts';
import {
  AGENT_NAME,
  agentId,
  bytes,
  chainId,
  choice,
  collectorId,
  commitHash,
  counter,
  fileIds,
  flag,
  groupId,
  hash,
  lineageId,
  positive,
  positive32,
  text,
  timeMs,
  uint32,
  vaultId,
} from './scalar.ts';

/** A tree head by itself. Test only: for vectors, heads stand nested everywhere. */
export const { encode: encodeTreeHead, decode: decodeTreeHead } = codec<TreeHead>(
  'TreeHead',
  v1.TreeHead,
  treeHead,
  { maxBytes: 64 },
);

/** What the collector signs for a commit that is durable. */
export const { encode: encodeReceiptBody, decode: decodeReceiptBody } = codec<ReceiptBody>(
  'ReceiptBody',
  v1.ReceiptBody,
  checked(
    object<ReceiptBody>('ReceiptBody', {
      version,
      vaultId,
      collectorId,
      agentId,
      chainId,
      sequence: positive,
      commitHash,
      receivedAtMs: timeMs,
      leafIndex: counter,
      head: treeHead,
      copies: positive32,
      lossHash: optional(hash),
    }),
    (body, label) => {
      if (body.head.size !== body.leafIndex + 1)
        throw refusal('FORMAT_MALFORMED', label, 'must carry the head just after its leaf');
    },
  ),
  { maxBytes: MAX_SIGNED_BODY_BYTES },
);

/** What the collector signs when it shows its log. */
export const { encode: encodeTreeHeadBody, decode: decodeTreeHeadBody } = codec<TreeHeadBody>(
  'TreeHeadBody',
  v1.TreeHeadBody,
  object<TreeHeadBody>('TreeHeadBody', { version, vaultId, collectorId, timeMs, head: treeHead }),
  { maxBytes: MAX_SIGNED_BODY_BYTES },
);

/** The bytes that are hashed as a leaf of the log. */
export const { encode: encodeLogLeaf, decode: decodeLogLeaf } = codec<LogLeaf>(
  'LogLeaf',
  v1.LogLeaf,
  checked(
    object<LogLeaf>('LogLeaf', {
      version,
      type: choice<LeafType>({ commit: 1, event: 2, correction: 3 }),
      timeMs,
      subject: hash,
      agentId: optional(agentId),
    }),
    (leaf, label) => {
      if ((leaf.type === 'commit') !== (leaf.agentId !== undefined))
        throw refusal('FORMAT_MALFORMED', label, 'must name an agent exactly for a commit');
    },
  ),
  { maxBytes: MAX_LOG_LEAF_BYTES },
);

/** What the authority signs so that a log which lost its tail may go on. */
export const { encode: encodeEpochOpeningBody, decode: decodeEpochOpeningBody } =
  codec<EpochOpeningBody>(
    'EpochOpeningBody',
    v1.EpochOpeningBody,
    checked(
      object<EpochOpeningBody>('EpochOpeningBody', {
        version,
        vaultId,
        logEpoch: positive32,
        base: treeHead,
        lost: list(treeHead, 1, MAX_LOST_HEADS),
        approvedAtMs: timeMs,
      }),
      (body, label) => {
        const late = [body.base, ...body.lost].some((head) => head.logEpoch >= body.logEpoch);
        if (late)
          throw refusal('FORMAT_MALFORMED', label, 'names a head of its own or a later log epoch');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES, maxFields: MAX_LOST_HEADS + 8 },
  );

/** What the authority signs so that times of a stretch of the log count as corrected. */
export const { encode: encodeClockCorrectionBody, decode: decodeClockCorrectionBody } =
  codec<ClockCorrectionBody>(
    'ClockCorrectionBody',
    v1.ClockCorrectionBody,
    checked(
      object<ClockCorrectionBody>('ClockCorrectionBody', {
        version,
        vaultId,
        fromLeaf: counter,
        head: treeHead,
        fromMs: timeMs,
        toMs: timeMs,
        isMs: timeMs,
        notBeforeMs: timeMs,
        notAfterMs: timeMs,
      }),
      (body, label) => {
        if (body.fromLeaf >= body.head.size || body.fromMs >= body.toMs)
          throw refusal('FORMAT_MALFORMED', label, 'must be for a stretch that is not empty');
        if (body.notBeforeMs > body.notAfterMs)
          throw refusal('FORMAT_MALFORMED', label, 'leaves no time between its bounds');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** What an operator signs so that a run of retention that waits may go on. */
export const { encode: encodeRetentionApprovalBody, decode: decodeRetentionApprovalBody } =
  codec<RetentionApprovalBody>(
    'RetentionApprovalBody',
    v1.RetentionApprovalBody,
    object<RetentionApprovalBody>('RetentionApprovalBody', {
      version,
      vaultId,
      run: positive,
      sum: hash,
      approvedAtMs: timeMs,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

const agentOrNone = text(
  0,
  MAX_AGENT_NAME_CHARS,
  new RegExp(`^$|${AGENT_NAME.source}`),
  'the name of an agent',
);

const retentionBrake = checked(
  object<RetentionBrake>('RetentionBrake', {
    kind: choice<RetentionBrakeKind>({
      bytes: 1,
      versions: 2,
      'bytes-in-days': 3,
      'versions-in-days': 4,
    }),
    agent: agentOrNone,
    of: counter,
    expiring: positive,
  }),
  ({ kind, agent }, label) => {
    if (kind.startsWith('versions') !== agent.length > 0)
      throw refusal('FORMAT_MALFORMED', label, 'must name a PC exactly for its versions');
  },
);

/** One event of the audit log; its SHA-256 is the subject of a leaf. */
export const { encode: encodeEventBody, decode: decodeEventBody } = codec<EventBody>(
  'EventBody',
  v1.EventBody,
  union<EventBody>(
    {
      vaultAdded: object('EventBody.VaultAdded', {
        timeMs,
        descriptor: signed,
        collectorCertificate: signed,
      }),
      agentExpected: object('EventBody.AgentExpected', { timeMs, enrolment: signed }),
      agentEnrolled: object('EventBody.AgentEnrolled', {
        timeMs,
        enrolment: signed,
        binding: signed,
      }),
      agentRevoked: checked(
        object('EventBody.AgentRevoked', {
          timeMs,
          agentId,
          reason: line,
          revocation: optional(signed),
          operator: optional(signed),
        }),
        (body, label) => {
          if (body.operator !== undefined && body.revocation === undefined)
            throw refusal('FORMAT_MALFORMED', label, 'names an operator who signed nothing');
        },
      ),
      headReported: object('EventBody.HeadReported', {
        timeMs,
        agentId,
        head: signed,
        collectorCertificate: signed,
      }),
      epochOpened: object('EventBody.EpochOpened', { timeMs, opening: signed }),
      chainForked: object('EventBody.ChainForked', { timeMs, agentId, at: chainPoint }),
      gcEpochAnnounced: object('EventBody.GcEpochAnnounced', {
        timeMs,
        gcEpoch: positive,
        lineageId,
      }),
      agentLost: object('EventBody.AgentLost', { timeMs, agentId, reason: line }),
      agentFound: object('EventBody.AgentFound', { timeMs, agentId }),
      problemsAcknowledged: object('EventBody.ProblemsAcknowledged', { timeMs, agentId }),
      addressesSet: object('EventBody.AddressesSet', { timeMs, addresses: signed }),
      releaseAdded: object('ReleaseAdded', { timeMs, version: releaseVersion, targetsHash: hash }),
      releaseRemoved: object('ReleaseRemoved', { timeMs, version: releaseVersion }),
      clockConfirmed: object('EventBody.ClockConfirmed', { timeMs, heldMs: timeMs }),
      clockCorrected: object('EventBody.ClockCorrected', { timeMs, correction: signed }),
      holdSet: object('EventBody.HoldSet', { timeMs, hold: holdBody }),
      holdResolved: object('EventBody.HoldResolved', { timeMs, resolution: signed }),
      holdReleased: object('EventBody.HoldReleased', {
        timeMs,
        release: signed,
        operator: optional(signed),
      }),
      purgeOrdered: object('EventBody.PurgeOrdered', { timeMs, order: signed, operator: signed }),
      purgeApproved: object('EventBody.PurgeApproved', {
        timeMs,
        approval: signed,
        operator: signed,
      }),
      purgeCancelled: object('EventBody.PurgeCancelled', {
        timeMs,
        cancellation: signed,
        operator: optional(signed),
      }),
      retentionRan: checked(
        object('EventBody.RetentionRan', {
          timeMs,
          run: positive,
          policy: counter,
          versions: positive,
          bytes: counter,
          records: uint32,
          sum: hash,
          undoUntilMs: timeMs,
          approves: counter,
          brakes: list(retentionBrake, 0, MAX_RETENTION_BRAKES),
        }),
        ({ records, undoUntilMs, approves, brakes }, label) => {
          const waits = brakes.length > 0;
          if (waits ? records + undoUntilMs + approves > 0 : records === 0 || undoUntilMs === 0)
            throw refusal('FORMAT_MALFORMED', label, 'must either wait or have expired something');
        },
      ),
      retentionApproved: object('EventBody.RetentionApproved', {
        timeMs,
        approval: signed,
        certificate: optional(signed),
      }),
      retentionUndone: object('EventBody.RetentionUndone', { timeMs, run: positive }),
      groupAdded: object('EventBody.GroupAdded', { timeMs, group: signed }),
      groupEnded: object('EventBody.GroupEnded', { timeMs, groupId }),
      agentApproved: object('EventBody.AgentApproved', {
        timeMs,
        approval: signed,
        operator: optional(signed),
      }),
      agentPending: object('EventBody.AgentPending', {
        timeMs,
        enrolment: signed,
        binding: signed,
      }),
      filesGone: object('EventBody.FilesGone', {
        timeMs,
        agentId,
        fileIds: fileIds(1, MAX_GONE_FILES),
      }),
      policySet: object('EventBody.PolicySet', {
        timeMs,
        policy: signed,
        certificate: optional(signed),
        sealed: bytes(1, MAX_SEALED_POLICY_BYTES),
      }),
      settingsSet: object('EventBody.SettingsSet', {
        timeMs,
        settings: signed,
        certificate: optional(signed),
        waits: flag,
      }),
      diagnosisAsked: object('DiagnosisAsked', { timeMs, request: signed, certificate: signed }),
      settingsPromoted: object('EventBody.SettingsPromoted', {
        timeMs,
        sequence: positive,
        automatic: flag,
      }),
      forkDecided: checked(
        object('EventBody.ForkDecided', {
          timeMs,
          agentId,
          branchId: lineageId,
          decision: choice<ForkDecision>({ clone: 1, restored: 2 }),
          name: agentOrNone,
        }),
        (body, label) => {
          if ((body.decision === 'clone') !== body.name.length > 0)
            throw refusal('FORMAT_MALFORMED', label, 'must name exactly a clone');
        },
      ),
    },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_EVENT_BYTES },
);
