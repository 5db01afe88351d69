import type { Completion } from '@aliquot/proto';

/** What is known about a result that may still be in the making. */
export interface Observation {
  /** Changes with any member's name, size or modification time. */
  readonly fingerprint: string;
  /** Since when the fingerprint has been seen unchanged, by the agent's clock (ms). */
  readonly sameSinceMs: number;
  /**
   * Newest change stamp that the file system gave to any member (ms); undefined where such stamps
   * cannot be trusted.
   */
  readonly newestChangeMs: number | undefined;
}

/** Whether a result is complete; if not, when to look again. */
export type Verdict =
  | { readonly state: 'complete'; readonly completion: Completion }
  | { readonly state: 'waiting'; readonly untilMs: number };

/**
 * Decides from observations whether an instrument has finished a result. Pure: the same observation
 * gives the same verdict.
 */
export interface CompletionProof {
  judge(observation: Observation, nowMs: number): Verdict;
}

/**
 * Stamps count as evidence of rest only when they are older than this beside the quiet time: a file
 * server's clock may be off.
 */
const STAMP_MARGIN_MS = 3_600_000;

/**
 * Takes a result for complete when nothing about it changed for `quietPeriodSeconds`: an
 * assumption, graded `assumed`.
 *
 * The kernel's change stamp, which nobody can set back, counts as an observation from before the
 * agent looked: a file whose stamp is old by an hour and the quiet time needs no waiting. For
 * anything younger only own eyes count.
 */
export function quietTime(quietPeriodSeconds: number): CompletionProof {
  const quietMs = quietPeriodSeconds * 1000;
  return {
    judge({ sameSinceMs, newestChangeMs }, nowMs) {
      const isOld =
        newestChangeMs !== undefined && nowMs - newestChangeMs >= quietMs + STAMP_MARGIN_MS;
      return isOld || nowMs - sameSinceMs >= quietMs
        ? { state: 'complete', completion: 'assumed' }
        : { state: 'waiting', untilMs: sameSinceMs + quietMs };
    },
  };
}
