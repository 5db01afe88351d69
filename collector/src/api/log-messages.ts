import { z } from 'zod';
import { MAX_PROOF_HEADS } from '../limits.ts';

/* What of the operator's REST interface is about the log: see `messages.ts`. */

const base64 = z.base64().max(1024 * 1024);
const id16 = z.string().regex(/^[0-9a-f]{32}$/);
const timeMs = z.number().int().nonnegative();
const count = z.number().nonnegative();
const treeHead = z.object({ logEpoch: count, size: count, root: base64 });

export const logInfo = z.object({
  /** Encoded `Signed` of a `TreeHeadBody`. */
  head: base64,
  openings: z.array(base64),
  /**
   * `signedHead` and `certificate` (of its signer, which may be a predecessor): encoded `Signed`.
   */
  reported: z.array(
    z.object({
      agent: z.string(),
      agentId: id16,
      leafIndex: count,
      timeMs,
      head: treeHead,
      signedHead: base64,
      certificate: base64,
    }),
  ),
});
export type LogInfo = z.infer<typeof logInfo>;

export const openEpochRequest = z.strictObject({ opening: base64 });

/** A signed `ClockCorrectionBody`. */
export const correctClockRequest = z.strictObject({ correction: base64 });

export const logProofsRequest = z.strictObject({
  heads: z.array(treeHead).min(1).max(MAX_PROOF_HEADS),
});

const hashes = z.array(base64).max(64);
export const logProofs = z.object({
  /** Encoded `Signed` of a `TreeHeadBody`: all proofs lead to it. */
  head: base64,
  /**
   * Every epoch opening, oldest first, each with its leaf and the proof that the log contains it.
   */
  openings: z.array(z.object({ opening: base64, leaf: base64, inclusion: hashes })),
  /**
   * For each head asked for, in order: whether the collector says that its log continues it, with
   * the proof from it (or across a loss from the base of opening number `firstOpening`, which names
   * it).
   */
  proofs: z.array(z.object({ continues: z.boolean(), firstOpening: count, consistency: hashes })),
});
export type LogProofs = z.infer<typeof logProofs>;
