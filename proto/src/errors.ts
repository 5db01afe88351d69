/**
 * The codes of one class of errors, each with the answer to the one question that a program asks of
 * it: can the same call succeed later without anybody changing anything?
 */
export type ErrorCodes = Readonly<Record<string, 'retryable' | 'final'>>;

/**
 * The base of every error that Aliquot raises on purpose.
 *
 * Each area has its own subclass with a table of codes; `docs/errors.md` lists every code with its
 * meaning and remedy. The message is one line for a person, names the thing concerned, and never
 * carries a secret.
 */
export abstract class AliquotError<Code extends string = string> extends Error {
  /** The table of the class: every subclass has its own. */
  static readonly codes: ErrorCodes = {};

  /** The stable identifier that `docs/errors.md` explains. */
  readonly code: Code;
  /** Whether waiting helps: what the table of the class says of the code. */
  readonly retryable: boolean;

  constructor(code: Code, message: string, { cause }: { readonly cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = new.target.codes[code] === 'retryable';
  }
}

const codes = {
  /** The bytes are not the message or file format they should be. */
  FORMAT_MALFORMED: 'final',
  /** The bytes decode, but are not the one canonical encoding of what they say. */
  FORMAT_NOT_CANONICAL: 'final',
  /** A version, kind or codec that this release does not know. */
  FORMAT_UNKNOWN_VERSION: 'final',
  /** A length or count is above the limit for its field. */
  FORMAT_LIMIT: 'final',
} satisfies ErrorCodes;

export type FormatErrorCode = keyof typeof codes;

/** Untrusted bytes that the decoding door turned away. */
export class FormatError extends AliquotError<FormatErrorCode> {
  static override readonly codes = codes;
}
