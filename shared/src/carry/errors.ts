import { AliquotError } from '@aliquot/proto';

export type CarryErrorCode =
  /** The file is no carried queue or receipts at all. */
  | 'CARRY_NOT_ONE'
  /** A carried queue where receipts are wanted, or the reverse. */
  | 'CARRY_WRONG_KIND'
  /** The file ends before its end: it was not copied whole. */
  | 'CARRY_CUT'
  /** Bytes of the file were changed after it was written, or its signature is not the sender's. */
  | 'CARRY_ALTERED'
  /** The receipts are for another PC. */
  | 'CARRY_OTHER_AGENT'
  /** The file is of another vault. */
  | 'CARRY_OTHER_VAULT'
  /** The receipts answer an export that this PC has left behind since. */
  | 'CARRY_OUTDATED';

/** A carried file from which nothing was taken. */
export class CarryError extends AliquotError<CarryErrorCode> {}
