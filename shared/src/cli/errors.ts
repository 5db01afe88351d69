import { AliquotError } from '@aliquot/proto';

export type UsageErrorCode =
  /** An argument, option or environment variable has a value that is not accepted. */
  | 'USAGE_INVALID'
  /** Something that the command needs was not given. */
  | 'USAGE_MISSING'
  /** The configuration file has mistakes. */
  | 'USAGE_CONFIG';

/** Wrong usage or wrong configuration: the command ends with exit code 2. */
export class UsageError extends AliquotError<UsageErrorCode> {}

export type PartialErrorCode =
  /** Some of what was asked for could not be done; each thing was named. */
  'PARTIAL';

/** The command did a part of its work: it ends with exit code 3. */
export class PartialError extends AliquotError<PartialErrorCode> {
  constructor(message: string) {
    super('PARTIAL', message);
  }
}

export type OutputErrorCode =
  /**
   * Standard output could not be written to its end: whoever read it has gone, its disk is full, or
   * it is closed.
   */
  'OUTPUT_LOST';

/** What a command said was not delivered whole. */
export class OutputError extends AliquotError<OutputErrorCode> {}
