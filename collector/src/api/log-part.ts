import { z } from 'zod';

/** The part of the log that an answer shall cover. */
export const logPartQuery = z.strictObject({
  from: z.coerce.number().int().min(0).default(0),
  size: z.coerce.number().int().min(0),
});

const provedEvent = z.object({
  /** The encoded `EventBody`. */
  event: z.base64(),
  leafIndex: z.number().int().min(0),
  inclusion: z.array(z.base64()).max(64),
});

/** Logged events, each with the proof that the log has it. */
export const provedEvents = z.object({ events: z.array(provedEvent) });
export type ProvedEvents = z.infer<typeof provedEvents>;

/**
 * In place of a `HistoryCommit` whose record is damaged: its leaf tells whose it is and its hash,
 * not what it is about.
 */
export const damagedCommit = z.object({
  leafIndex: z.number().int().min(0),
  /** The encoded `LogLeaf`. */
  leaf: z.base64(),
  sequence: z.number().int().min(1),
  branchId: z.string(),
});
export type DamagedCommit = z.infer<typeof damagedCommit>;
