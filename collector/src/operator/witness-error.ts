import { AliquotError } from '@aliquot/proto';

export type WitnessErrorCode =
  /**
   * The collector's log is shorter, or of an older epoch, than the one that it showed this operator
   * before.
   */
  | 'WITNESS_ROLLED_BACK'
  /**
   * The collector has told two histories: to this operator at two times, or to an agent and this
   * operator.
   */
  | 'WITNESS_FORKED'
  /** The file that remembers the newest head is damaged. */
  | 'WITNESS_DAMAGED';

/** What the operator's own memory of the log says against the collector. */
export class WitnessError extends AliquotError<WitnessErrorCode> {}
