/**
 * The time that a version counts as: the agent's claim, held within (its previous receipt, this
 * receipt].
 *
 * Retention and "as of" questions use it. Three weeks that arrive in one minute stay three weeks,
 * while an agent (or who holds it) can neither back-date a version before what was already received
 * nor post-date one beyond its receipt.
 *
 * Receipts of one agent are strictly ordered in the log but their clock may stand still: of those
 * that bear one time, each counts as received after the one before all of them. Times are those of
 * `LogTimes`: what a wrong clock said is corrected before.
 *
 * @param claimMs When the agent says that it captured the version.
 * @param previousReceiptMs The time of this agent's newest receipt that bears an earlier one; for
 * its first, the time of its enrolment. `undefined` where that is unknown: no lower bound.
 * @param receiptMs The time of the receipt of the version's commit.
 * @returns Milliseconds since 1970.
 */
export function clampVersionTime(
  claimMs: number,
  previousReceiptMs: number | undefined,
  receiptMs: number,
): number {
  if (previousReceiptMs === undefined) return Math.min(claimMs, receiptMs);
  return Math.min(Math.max(claimMs, previousReceiptMs + 1), receiptMs);
}
