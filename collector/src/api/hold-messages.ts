import { MAX_EVENT_BYTES } from '@aliquot/proto';
import { z } from 'zod';

/*
 * What operators' commands and the server say of holds. Byte strings are base64, times are
 * milliseconds since 1970.
 */

const base64 = z.base64().max(2 * MAX_EVENT_BYTES);
const timeMs = z.number().int().nonnegative();
const count = z.number().int().nonnegative();

/** A hold as it stands. */
const holdInfo = z.object({
  /** Encoded `HoldBody`. */
  hold: base64,
  /** The leaf of the log that has it. */
  leaf: count,
  setAtMs: timeMs,
  /** Its patterns of paths, where it has any and the collector can open them. */
  globs: z.array(z.string()).optional(),
  /** Leaves of the log that were looked at when its authority said which files it is for. */
  resolved: count.optional(),
  /** `by`: the name of the operator; absent: the authority. */
  released: z
    .object({ leaf: count, atMs: timeMs, by: z.string().optional(), reason: z.string() })
    .optional(),
});
export type HoldInfo = z.infer<typeof holdInfo>;

/** Every hold that was ever set, the oldest first. */
export const holdList = z.object({ holds: z.array(holdInfo) });

/** An encoded `HoldBody`. */
export const setHoldRequest = z.strictObject({ hold: base64 });

/** Parts of a resolution in one request: they stay below what a request may have. */
export const MAX_PARTS_AT_ONCE = 32;

/** Encoded `Signed`s of `HoldResolutionBody`s, in their order. */
export const resolveHoldRequest = z.strictObject({
  parts: z.array(base64).min(1).max(MAX_PARTS_AT_ONCE),
});

/** A signed `HoldReleaseBody`, and the certificate of the operator who signed it. */
export const releaseHoldRequest = z.strictObject({ release: base64, operator: base64.optional() });
