import { z } from 'zod';
import { MAX_TOLD_HOSTS } from '../limits.ts';

/**
 * The JSON messages of the operator's REST interface, both directions: the server checks requests
 * with them, the commands check answers. Byte strings are base64, ids are lower-case hex, times are
 * milliseconds since 1970.
 */

const base64 = z.base64().max(1024 * 1024);
const id16 = z.string().regex(/^[0-9a-f]{32}$/);
const timeMs = z.number().int().nonnegative();
const count = z.number().nonnegative();

export const vaultInfo = z.object({
  vaultId: id16,
  name: z.string(),
  blind: z.boolean(),
  /** Encoded `Signed` descriptor and collector certificate. */
  descriptor: base64,
  certificate: base64,
});
export type VaultInfo = z.infer<typeof vaultInfo>;

/** How the collector's clock is held, in milliseconds since 1970. */
const clockHold = z.object({ sinceMs: timeMs, heldMs: timeMs, machineMs: timeMs });

/** `hold` is what was ended by saying that the machine's clock is right. */
export const clockAnswer = z.object({ timeMs, hold: clockHold.optional() });
export type ClockAnswer = z.infer<typeof clockAnswer>;

export const collectorInfo = z.object({
  name: z.string(),
  software: z.string(),
  collectorId: id16,
  signKey: base64,
  timeMs,
  hold: clockHold.optional(),
  vaults: z.array(vaultInfo),
  /** Vaults that are here and are not served, as their folders are damaged. */
  ailing: z.array(z.object({ vaultId: id16, message: z.string() })),
});
export type CollectorInfo = z.infer<typeof collectorInfo>;

export const addVaultRequest = z.strictObject({
  descriptor: base64,
  certificate: base64,
  /** Absent exactly when the vault is blind. */
  catalogSecretKey: base64.optional(),
});

/** A history beside an agent's own: held apart until an operator decides, or a clone's. */
const branchInfo = z.object({
  branchId: id16,
  name: z.string(),
  state: z.enum(['held', 'clone']),
  openedAtMs: timeMs,
  lastCommitMs: timeMs,
  files: count,
  bytes: count,
});
export type BranchInfo = z.infer<typeof branchInfo>;

/**
 * What somebody should look at; `message` says it whole, `count` or `brief` say how much of it
 * there is, for lists of many agents.
 */
const problem = z.object({
  code: z.string(),
  sinceMs: timeMs,
  message: z.string(),
  count: count.optional(),
  brief: z.string().optional(),
});

/**
 * How an agent stands to the settings from the desk: numbers of settings, 0 where there are none.
 */
const agentSettings = z.object({
  inForce: count,
  /** Handed out to it. */
  offered: count,
  /** Handed out when it is promoted. */
  waiting: count,
  groups: z.array(z.string()),
  reply: z
    .object({
      sequence: count,
      outcome: z.enum(['applied', 'refused', 'cannot']),
      code: z.string(),
      atMs: timeMs,
      /** For holders of the policy key: a `SettingsDetail`. */
      ephemeralKey: base64.optional(),
      sealed: base64.optional(),
    })
    .optional(),
});

const agentInfo = z.object({
  name: z.string(),
  agentId: id16,
  lineageId: id16,
  state: z.enum(['expected', 'pending', 'enrolled', 'revoked', 'replaced']),
  /** The name of the group with whose bundle it came. */
  group: z.string().optional(),
  enrolment: base64,
  binding: base64.optional(),
  expectedAtMs: timeMs,
  expiresAtMs: timeMs,
  enrolledAtMs: timeMs.optional(),
  endedAtMs: timeMs.optional(),
  endReason: z.string().optional(),
  connected: z.boolean(),
  lastSeenMs: timeMs.optional(),
  /** After which silence somebody should look: learnt from its own rhythm. */
  silenceLimitMs: timeMs,
  lastCommitMs: timeMs.optional(),
  files: count,
  bytes: count,
  /**
   * The agent's newest word about itself; times are by its own clock. What each number counts:
   * FORMAT.md, HeartbeatBody.
   */
  heartbeat: z
    .object({
      timeMs,
      files: count,
      bytes: count,
      queuedEntries: count,
      unprotected: count,
      pending: count,
      unsettled: count,
      problems: z.array(z.object({ code: z.string(), count, sinceMs: timeMs })),
    })
    .optional(),
  histories: z.array(branchInfo),
  problems: z.array(problem),
  /** Name and version of its program, as it last said. */
  software: z.string().optional(),
  settings: agentSettings,
});
export type AgentInfo = z.infer<typeof agentInfo>;

/** What is wrong with the collector itself. */
const collectorProblem = z.object({ code: z.string(), sinceMs: timeMs, message: z.string() });
export type CollectorProblem = z.infer<typeof collectorProblem>;

/** A certificate by which several PCs may enrol. */
const groupInfo = z.object({
  groupId: id16,
  name: z.string(),
  uses: count,
  used: count,
  names: z.array(z.string()),
  approve: z.boolean(),
  selfRestore: z.boolean(),
  addedAtMs: timeMs,
  expiresAtMs: timeMs,
  endedAtMs: timeMs.optional(),
});
export type GroupInfo = z.infer<typeof groupInfo>;

export const agentList = z.object({
  timeMs,
  collectorProblems: z.array(collectorProblem),
  agents: z.array(agentInfo),
  groups: z.array(groupInfo),
});
export type AgentList = z.infer<typeof agentList>;

/** An operator's question for an agent's diagnosis. */
export const diagnoseRequest = z.strictObject({ request: base64, certificate: base64 });

/** What the agent answered: sealed to the operator, or the code of its refusal. */
export const diagnosisMessage = z.object({
  code: z.string().max(64),
  ephemeralKey: base64.optional(),
  sealed: base64.optional(),
});
export type DiagnosisMessage = z.output<typeof diagnosisMessage>;

export const expectAgentsRequest = z.strictObject({ enrolments: z.array(base64).min(1).max(1000) });
export const leafAnswer = z.object({ leafIndex: count });

/** 32 bytes for each file. */
export const filesGoneRequest = z.strictObject({ fileIds: base64 });

export const addGroupRequest = z.strictObject({ group: base64 });

/** A signed approval, and the certificate of the operator who signed it. */
export const approveRequest = z.strictObject({ approval: base64, operator: base64.optional() });

/**
 * An end by the token alone, or one that was signed: by an operator, whose certificate is there.
 */
export const revokeRequest = z.union([
  z.strictObject({ reason: z.string().max(500) }),
  z.strictObject({ revocation: z.base64(), operator: z.base64().optional() }),
]);

/** Why a PC is said to be lost, for the log. */
export const lostRequest = z.strictObject({ reason: z.string().max(500) });

export const decideForkRequest = z.discriminatedUnion('decision', [
  z.strictObject({ decision: z.literal('restored') }),
  z.strictObject({ decision: z.literal('clone'), name: z.string().min(1).max(64) }),
]);

export const namesRequest = z.strictObject({
  /**
   * One agent, or with `~` and its id one history beside it; absent: all agents that have a
   * history.
   */
  agentId: z
    .string()
    .regex(/^[0-9a-f]{32}(~[0-9a-f]{32})?$/)
    .optional(),
  /** The files as they were at this time; absent: now. */
  atMs: timeMs.optional(),
  /** Exact path bytes: every kept version of that one file instead of the state. */
  versionsOf: base64.optional(),
  /** Every kept version of every file instead, newest commit first. */
  every: z.literal(true).optional(),
  /** Results instead of files; with `versionsOf` every version of the one that has this root. */
  results: z.literal(true).optional(),
});

/** One version of one file, with its name opened. */
const nameRow = z.object({
  agent: z.string(),
  path: base64,
  platform: z.enum(['posix', 'windows']),
  kind: z.enum(['file', 'directory', 'symlink', 'gone']),
  size: count,
  /** Nanoseconds since 1970, as decimal text because they pass 2^53. */
  mtimeNs: z.string().regex(/^-?\d{1,19}$/),
  mode: count,
  linkTarget: base64,
  class: z.string(),
  completion: z.enum(['assumed', 'proven', 'growing']),
  capturedAtMs: timeMs,
  versionTimeMs: timeMs,
  receivedAtMs: timeMs,
  fileId: z.string().regex(/^[0-9a-f]{32}$/),
  version: z.string(),
});
export type NameRow = z.infer<typeof nameRow>;

/**
 * Versions that are kept and do not open, because their commit was sealed wrongly: what can be said
 * of them.
 */
const unopenedCommit = z.object({
  agent: z.string(),
  /** The first 16 digits of the commit, as versions are named. */
  commit: z.string().regex(/^[0-9a-f]{16}$/),
  sequence: count,
  receivedAtMs: timeMs,
  versions: count,
  code: z.string(),
  message: z.string(),
});
export type UnopenedCommit = z.infer<typeof unopenedCommit>;

/** In place of a commit whose record is damaged. */
export const lostRecord = z.object({ unopened: unopenedCommit });

/** One version of a result, with its names opened. */
const resultLine = z.object({
  agent: z.string(),
  /** Of its root. */
  path: base64,
  platform: z.enum(['posix', 'windows']),
  kind: z.literal('result'),
  size: count,
  members: count,
  /** Of these: not there at that time. 0 where only the row is told. */
  missing: count,
  progress: z.enum(['open', 'closed']),
  grade: z.enum(['proven', 'ended', 'assumed', 'interrupted']),
  membersRoot: z.string().regex(/^[0-9a-f]{64}$/),
  class: z.string(),
  profile: z.string(),
  profileVersion: z.string(),
  evidence: z.string(),
  started: z.string(),
  ended: z.string(),
  capturedAtMs: timeMs,
  versionTimeMs: timeMs,
  receivedAtMs: timeMs,
  resultId: id16,
  version: z.string(),
});
export type ResultLine = z.infer<typeof resultLine>;

/** One record of a listing of results. */
export const resultRecord = z.union([resultLine, z.object({ unopened: unopenedCommit })]);
export type ResultRecord = z.infer<typeof resultRecord>;

/** One record of a listing. */
export const nameRecord = z.union([nameRow, z.object({ unopened: unopenedCommit })]);
export type NameRecord = z.infer<typeof nameRecord>;

export const stats = z.object({
  rawBytes: count,
  uniqueBytes: count,
  storedBytes: count,
  packBytes: count,
  /** Of these, what no lineage owns. */
  deadBytes: count,
  /** Disk that is held so that a full one can be emptied. */
  reserveBytes: count,
  chunks: count,
  pages: count,
  slabs: count,
  packs: count,
  commits: count,
  versions: count,
  files: count,
  liveBytes: count,
  dedupRatio: count,
  compressionRatio: count,
  damaged: count,
  agents: count,
  /** Of the disk that all vaults share; absent while it does not answer. */
  freeBytes: count.optional(),
  /** Of all vaults together, by the last two weeks; absent while that is not known. */
  growthPerDay: count.optional(),
  daysLeft: count.optional(),
});
export type StatsAnswer = z.infer<typeof stats>;

export const setAddressesRequest = z.strictObject({ addresses: base64 });
/**
 * `addresses`: encoded `Signed` of a `CollectorAddressesBody`; absent while none were set.
 * `connected`: agents that are connected, by the host and port by which they came.
 */
export const addressesMessage = z.strictObject({
  addresses: base64.optional(),
  connected: z
    .array(z.strictObject({ host: z.string().max(300), agents: count }))
    .max(MAX_TOLD_HOSTS),
});
export type AddressesMessage = z.infer<typeof addressesMessage>;

export const nothing = z.object({});

/** Encoded `Signed` and the sealed text; absent while no policy was set. */
export const policyMessage = z.object({
  newest: count,
  /** Policies before it that still keep what they kept, and until when; 0: before the first. */
  earlier: z.array(z.object({ revision: count, untilMs: timeMs })).optional(),
  timeMs: timeMs.optional(),
  policy: base64.optional(),
  certificate: base64.optional(),
  sealed: base64.optional(),
});
export type PolicyMessage = z.infer<typeof policyMessage>;

/** `signed`: encoded `Signed` of a `SettingsBody`, by the same operator as the policy. */
export const setPolicyRequest = z.strictObject({
  policy: base64,
  certificate: base64.optional(),
  sealed: base64,
  settings: z.array(z.strictObject({ signed: base64, waits: z.boolean() })).max(100_000),
});

export const promoteRequest = z.strictObject({ sequence: count });
