/**
 * The base of every error that Aliquot raises on purpose.
 *
 * Each area has its own subclass with a closed union of codes; `docs/errors.md` lists every code
 * with its meaning and remedy. The message is one line for a person, names the thing concerned, and
 * never carries a secret.
 */
export abstract class AliquotError<Code extends string = string> extends Error {
  /** The stable identifier that `docs/errors.md` explains. */
  readonly code: Code;
  /** Whether the same call can succeed later without anybody changing anything. */
  readonly retryable: boolean;

  constructor(code: Code, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

export type FormatErrorCode =
  /** The bytes are not the message or file format they should be. */
  | 'FORMAT_MALFORMED'
  /** The bytes decode, but are not the one canonical encoding of what they say. */
  | 'FORMAT_NOT_CANONICAL'
  /** A version, kind or codec that this release does not know. */
  | 'FORMAT_UNKNOWN_VERSION'
  /** A length or count is above the limit for its field. */
  | 'FORMAT_LIMIT';

/** Untrusted bytes that the decoding door turned away. */
export class FormatError extends AliquotError<FormatErrorCode> {}
