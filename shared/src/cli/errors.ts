import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const usageCodes = {
  /** An argument, option or environment variable has a value that is not accepted. */
  USAGE_INVALID: 'final',
  /** Something that the command needs was not given. */
  USAGE_MISSING: 'final',
  /** The configuration file has mistakes. */
  USAGE_CONFIG: 'final',
} satisfies ErrorCodes;

export type UsageErrorCode = keyof typeof usageCodes;

/** Wrong usage or wrong configuration: the command ends with exit code 2. */
export class UsageError extends AliquotError<UsageErrorCode> {
  static override readonly codes = usageCodes;
}

const partialCodes = {
  /** Some of what was asked for could not be done; each thing was named. */
  PARTIAL: 'final',
} satisfies ErrorCodes;

export type PartialErrorCode = keyof typeof partialCodes;

/** The command did a part of its work: it ends with exit code 3. */
export class PartialError extends AliquotError<PartialErrorCode> {
  static override readonly codes = partialCodes;
}

const outputCodes = {
  /**
   * Standard output could not be written to its end: whoever read it has gone, its disk is full, or
   * it is closed.
   */
  OUTPUT_LOST: 'final',
} satisfies ErrorCodes;

export type OutputErrorCode = keyof typeof outputCodes;

/** What a command said was not delivered whole. */
export class OutputError extends AliquotError<OutputErrorCode> {
  static override readonly codes = outputCodes;
}
