import { MAX_RULES_BYTES } from '@aliquot/proto';
import { z } from 'zod';
import { failedWork } from './gc-messages.ts';

/*
 * What operators' commands and the server say of runs of retention. Byte strings are base64, times
 * are milliseconds since 1970; sums of bytes are decimal text, for they have no bounds.
 */

const base64 = z.base64().max(2 * MAX_RULES_BYTES);
const timeMs = z.number().int().nonnegative();
const count = z.number().int().nonnegative();
const amount = z.object({ versions: count, bytes: z.string().regex(/^\d{1,40}$/) });

const brake = z.object({
  kind: z.enum(['bytes', 'versions', 'bytes-in-days', 'versions-in-days']),
  /** The PC whose versions they are; absent: all bytes of the vault. */
  agent: z.string().optional(),
  of: z.string().regex(/^\d{1,40}$/),
  expiring: z.string().regex(/^\d{1,40}$/),
});
export type BrakeInfo = z.infer<typeof brake>;

const runInfo = z.object({
  run: count,
  atMs: timeMs,
  /** The revision of the policy. */
  policy: count,
  versions: count,
  bytes: count,
  /** As an approval names it. */
  sum: base64,
  /** Until when it can be undone; absent: it waits, or waited. */
  undoUntilMs: timeMs.optional(),
  /** The run that waited, and whose approval let this one pass. */
  approves: count.optional(),
  brakes: z.array(brake),
  approvedAtMs: timeMs.optional(),
  undoneAtMs: timeMs.optional(),
});
export type RunInfo = z.infer<typeof runInfo>;

const figures = z.object({
  atMs: timeMs,
  going: amount,
  soon: amount,
  expired: amount,
  kept: z.array(amount.extend({ reason: z.string() })),
  unread: count,
  brakes: z.array(brake),
  brakesSoon: z.array(brake),
});
export type FiguresInfo = z.infer<typeof figures>;

/** Every run, the oldest first, and how retention stands. */
export const retentionAnswer = z.object({
  /** The collector's time. */
  atMs: timeMs,
  /** The revision of the policy since which the rules are in force; absent: nothing goes. */
  rulesSince: count.optional(),
  /** Why no run may begin now, in words. */
  held: z.string().optional(),
  /** How the last run failed; absent: it did not. */
  failed: failedWork.optional(),
  runs: z.array(runInfo),
});
export type RetentionInfo = z.infer<typeof retentionAnswer>;

export const runAnswer = z.object({
  type: z.enum(['nothing', 'expired', 'waits']),
  run: runInfo.optional(),
  isMore: z.boolean(),
  figures,
});
export type RunAnswer = z.infer<typeof runAnswer>;

export const simulateRequest = z.strictObject({
  /** When the run would be; absent: now. */
  atMs: timeMs.optional(),
  /** For so many days it is told what goes besides. */
  days: z.number().int().min(0).max(3660),
  /** Encoded `RetentionRules`, as though they were set now; empty: none. Absent: those in force. */
  rules: base64.optional(),
  /** Only versions of the PC of this name are told; brakes are of all. */
  agent: z.string().max(64).optional(),
});
export const simulationAnswer = z.object({ figures });

export const approveRunRequest = z.strictObject({
  approval: base64,
  certificate: base64.optional(),
});
export const undoRequest = z.strictObject({ run: z.number().int().positive() });

/** Of which file: its id, its exact path, or the id of a result. */
export const explainRequest = z.union([
  z.strictObject({ id: z.string().regex(/^[0-9a-f]{32}$/), isResult: z.boolean() }),
  z.strictObject({ path: base64 }),
]);

/** Of which versions: as much of an id as `aliquot versions` prints it. */
export const droppedRequest = z.strictObject({ version: z.string().max(32) });

const reason = z.object({
  reason: z.string(),
  /** Absent: time alone does not end it. */
  untilMs: z.number().optional(),
  /** The revision of the policy, the number of the run, or the name of the hold. */
  by: z.union([z.number(), z.string()]).optional(),
});

const explained = z.object({
  version: z.string(),
  kind: z.enum(['whole', 'growing', 'gone']),
  class: z.string(),
  size: count,
  fromMs: timeMs,
  /** Absent: it is current. */
  untilMs: z.number().optional(),
  receivedMs: timeMs,
  reasons: z.array(reason),
  /** When the last of them has ended; absent: not by time. */
  goesMs: z.number().optional(),
  /** The run that expired it. */
  expiredBy: count.optional(),
});
export type ExplainedVersion = z.infer<typeof explained>;

const gone = z.object({
  version: z.string(),
  /** It said that its file was gone. */
  isGone: z.boolean(),
  size: count,
  fromMs: timeMs,
  /** Absent: it was the last of its file. */
  untilMs: timeMs.optional(),
  /** The run that had expired it; absent: it was purged. */
  run: count.optional(),
  /** The leaf of the approval by which it was purged. */
  purge: count.optional(),
});
export type DroppedInfo = z.infer<typeof gone>;

/** What was dropped of the versions that an id may mean. */
export const droppedAnswer = z.object({
  versions: z.array(gone.pick({ version: true, run: true, purge: true })),
  /** Those that are named. */
  runs: z.array(runInfo),
});
export type DroppedAnswer = z.infer<typeof droppedAnswer>;

/** Absent `versions`: not all of them can be read, so they stay. */
export const explainAnswer = z.object({
  isResult: z.boolean(),
  atMs: timeMs,
  versions: z.array(explained).optional(),
  /** What was there and is dropped, the oldest first. */
  dropped: z.array(gone),
  /** Those that are named. */
  runs: z.array(runInfo),
});
export type ExplainAnswer = z.infer<typeof explainAnswer>;
