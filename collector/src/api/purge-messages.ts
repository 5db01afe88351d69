import { MAX_EVENT_BYTES, MAX_RECORD_BYTES } from '@aliquot/proto';
import { z } from 'zod';

/*
 * What operators' commands and the server say of purges. Byte strings are base64, times are
 * milliseconds since 1970.
 */

const base64 = z.base64().max(2 * MAX_EVENT_BYTES);
const timeMs = z.number().int().nonnegative();
const count = z.number().int().nonnegative();

/** Something that was said of a purge; `by` is empty for the authority. */
const purgeWord = z.object({ leaf: count, atMs: timeMs, by: z.string() });

/** A purge as it stands. */
const purgeInfo = z.object({
  /** Encoded `PurgeOrderBody`. */
  order: base64,
  /** The PC that it is for. */
  agent: z.string(),
  ordered: purgeWord,
  /** From when on another operator may approve it. */
  notBeforeMs: timeMs,
  approved: purgeWord.optional(),
  /** Whether its content still waits for a sweep; of what was approved. */
  waits: z.boolean().optional(),
  /** When a sweep had taken it; by the collector's clock. */
  sweptAtMs: timeMs.optional(),
  /** PCs that have to answer first. */
  waitsFor: z.array(z.string()),
  cancelled: purgeWord.extend({ reason: z.string() }).optional(),
});
export type PurgeInfo = z.infer<typeof purgeInfo>;

/** Every purge that was ever ordered, the oldest first. */
export const purgeList = z.object({ purges: z.array(purgeInfo) });

/** A signed `PurgeOrderBody`, and the certificate of the operator who signed it. */
export const orderPurgeRequest = z.strictObject({ order: base64, operator: base64 });

/** A signed `PurgeCancelBody`; without a certificate the authority signed it. */
export const cancelPurgeRequest = z.strictObject({
  cancellation: base64,
  operator: base64.optional(),
});

/**
 * A signed `PurgeApprovalBody`, the certificate of the operator who signed it, and the commits:
 * encoded `StoredPurged`s.
 */
export const approvePurgeRequest = z.strictObject({
  approval: base64,
  operator: base64,
  commits: z.array(z.base64().max(2 * MAX_RECORD_BYTES)).min(1),
});
