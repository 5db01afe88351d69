import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** An inclusion proof does not lead from the leaf to the tree head. */
  LOG_INCLUSION: 'final',
  /**
   * A consistency proof does not lead from the older tree head to the newer: history was changed,
   * dropped or reordered.
   */
  LOG_CONSISTENCY: 'final',
  /**
   * Two tree heads of different log epochs, which only an opening signed by the authority connects.
   */
  LOG_EPOCH: 'final',
  /** A leaf index or tree size outside the log. */
  LOG_RANGE: 'final',
  /** The store of the log lacks a node that it should hold. */
  LOG_NODE_MISSING: 'final',
  /** A receipt or tree head is not signed by the key that should have signed it. */
  LOG_SIGNATURE: 'final',
  /** A genuine statement, but of another vault or by another collector. */
  LOG_OTHER_ISSUER: 'final',
  /** A genuine receipt, but for another commit. */
  LOG_OTHER_COMMIT: 'final',
  /** Two genuine statements of the collector tell two histories. */
  LOG_CONTRADICTION: 'final',
} satisfies ErrorCodes;

export type LogErrorCode = keyof typeof codes;

/** A statement about the log that does not hold. */
export class LogError extends AliquotError<LogErrorCode> {
  static override readonly codes = codes;
}
