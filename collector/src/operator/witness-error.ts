import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /**
   * The collector's log is shorter, or of an older epoch, than the one that it showed this operator
   * before.
   */
  WITNESS_ROLLED_BACK: 'final',
  /**
   * The collector has shown two logs: to this operator at two times, or to an agent and this
   * operator.
   */
  WITNESS_FORKED: 'final',
  /** The file that remembers the newest head is damaged. */
  WITNESS_DAMAGED: 'final',
} satisfies ErrorCodes;

export type WitnessErrorCode = keyof typeof codes;

/** What the operator's own memory of the log says against the collector. */
export class WitnessError extends AliquotError<WitnessErrorCode> {
  static override readonly codes = codes;
}
