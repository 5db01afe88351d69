import { z } from 'zod';

/** How work that a collector does by itself failed, the first time in a row and the last. */
export const failedWork = z.object({
  sinceMs: z.number().int(),
  atMs: z.number().int(),
  code: z.string(),
  message: z.string(),
});
export type FailedWorkInfo = z.infer<typeof failedWork>;

/** What collection of a vault is asked for. */
export const gcRequest = z.strictObject({
  dryRun: z.boolean().default(false),
  all: z.boolean().default(false),
});

export const gcPauseRequest = z.strictObject({ paused: z.boolean() });

const gcWait = z.object({
  agent: z.string(),
  history: z.string(),
  reason: z.string(),
  /** Absent: never. */
  lastSeenMs: z.number().int().optional(),
});
export type GcWait = z.infer<typeof gcWait>;

const gcLineage = z.object({
  event: z.literal('lineage'),
  agent: z.string(),
  state: z.enum(['swept', 'waits', 'not-worth-it', 'unreadable', 'stopped']),
  /** What left its set, and the bytes of what nobody else has. */
  items: z.number().int().min(0),
  bytes: z.number().min(0),
  /** Of the versions that were dropped: what its sweep is for, at most. */
  droppedBytes: z.number().min(0),
  waits: z.array(gcWait),
  why: z.string(),
});
export type GcLineage = z.infer<typeof gcLineage>;

/** What a collection tells as it goes on. */
export const gcRecord = z.discriminatedUnion('event', [
  z.object({ event: z.literal('working') }),
  z.object({
    event: z.literal('dropped'),
    versions: z.number().int().min(0),
    /** Why none may be dropped. */
    heldBy: z.string().optional(),
  }),
  gcLineage,
  /** What would go of the history by what was dropped until now. */
  z.object({ event: z.literal('history'), bytes: z.number().min(0) }),
  z.object({
    event: z.literal('removed'),
    packs: z.number().int().min(0),
    bytes: z.number().min(0),
    copiedBytes: z.number().min(0),
    kept: z.array(z.object({ pack: z.number().int(), why: z.string() })),
    /** Files of the history that were written anew, and what they have less. */
    historyFiles: z.number().int().min(0),
    historyBytes: z.number().min(0),
    keptFiles: z.array(z.object({ file: z.number().int(), why: z.string() })),
    isDone: z.boolean(),
  }),
]);
export type GcRecord = z.infer<typeof gcRecord>;

/** How the collection of a vault stands. */
export const gcStatus = z.object({
  paused: z.boolean(),
  running: z.boolean(),
  packBytes: z.number().min(0),
  /** In packs, and nobody needs them any more. */
  deadBytes: z.number().min(0),
  historyBytes: z.number().min(0),
  /** How the last one failed; absent: it did not. */
  failed: failedWork.optional(),
  lineages: z.array(
    z.object({
      agent: z.string(),
      /** Its agents were told an epoch that was not swept yet. */
      isAnnounced: z.boolean(),
      droppedVersions: z.number().int().min(0),
      droppedBytes: z.number().min(0),
      waits: z.array(gcWait),
    }),
  ),
});
export type GcStatus = z.infer<typeof gcStatus>;

/** The answer to a pause, and to its end. */
export const gcPaused = z.object({ paused: z.boolean() });
