import { AliquotError } from '@aliquot/proto';

export type LogErrorCode =
  /** An inclusion proof does not lead from the leaf to the tree head. */
  | 'LOG_INCLUSION'
  /**
   * A consistency proof does not lead from the older tree head to the newer: history was changed,
   * dropped or reordered.
   */
  | 'LOG_CONSISTENCY'
  /**
   * Two tree heads of different log epochs, which only an opening signed by the authority connects.
   */
  | 'LOG_EPOCH'
  /** A leaf index or tree size outside the log. */
  | 'LOG_RANGE'
  /** The store of the log lacks a node that it should hold. */
  | 'LOG_NODE_MISSING'
  /** A receipt or tree head is not signed by the key that should have signed it. */
  | 'LOG_SIGNATURE'
  /** A genuine statement, but of another vault or by another collector. */
  | 'LOG_OTHER_ISSUER'
  /** A genuine receipt, but for another commit. */
  | 'LOG_OTHER_COMMIT'
  /** Two genuine statements of the collector tell two histories. */
  | 'LOG_CONTRADICTION';

/** A statement about the log that does not hold. */
export class LogError extends AliquotError<LogErrorCode> {}
