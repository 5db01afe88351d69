import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The file is no carried queue or receipts at all. */
  CARRY_NOT_ONE: 'final',
  /** A carried queue where receipts are wanted, or the reverse. */
  CARRY_WRONG_KIND: 'final',
  /** The file ends before its end: it was not copied whole. */
  CARRY_CUT: 'final',
  /** Bytes of the file were changed after it was written, or its signature is not the sender's. */
  CARRY_ALTERED: 'final',
  /** The receipts are for another PC. */
  CARRY_OTHER_AGENT: 'final',
  /** The file is of another vault. */
  CARRY_OTHER_VAULT: 'final',
  /** The receipts answer an export that this PC has left behind since. */
  CARRY_OUTDATED: 'final',
} satisfies ErrorCodes;

export type CarryErrorCode = keyof typeof codes;

/** A carried file from which nothing was taken. */
export class CarryError extends AliquotError<CarryErrorCode> {
  static override readonly codes = codes;
}
