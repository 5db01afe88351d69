/**
 * What one agent may make the store hold in memory for good, whatever it sends. Tests pass smaller
 * numbers.
 */
export interface StoreLimits {
  /**
   * Chain ids of one agent: each is a row in memory. A PC needs one more for each fork of its
   * chain.
   */
  readonly chains: number;
  /**
   * Versions of a history that can be merged into the trunk: they are gathered in one step of about
   * a kilobyte each, at every replay too.
   */
  readonly mergedVersions: number;
  /**
   * Bytes that the live files of one history may have together. Sizes are what an agent claims, and
   * whoever holds its key can claim any: this is what a counter holds, so that every figure about
   * it stays exact.
   */
  readonly branchBytes: bigint;
}

export const STORE_LIMITS: StoreLimits = {
  chains: 256,
  mergedVersions: 1_000_000,
  branchBytes: BigInt(Number.MAX_SAFE_INTEGER),
};
