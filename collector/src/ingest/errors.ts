import { AliquotError, type ErrorCodes, type RefusalCode } from '@aliquot/proto';

const codes = {
  /** An agent was refused: not enrolled, revoked, replaced, or its statement does not verify. */
  INGEST_REFUSED: 'final',
  /** An agent, or something that is no agent, sent what the protocol does not allow. */
  INGEST_PROTOCOL: 'final',
  /**
   * More connections, in all or from one address, than may be open without having proved
   * themselves.
   */
  INGEST_LIMIT: 'final',
  /** A connection did not prove itself in time. */
  INGEST_TIMEOUT: 'final',
} satisfies ErrorCodes;

export type IngestErrorCode = keyof typeof codes;

/** Ends a session; `refusal` is what the agent is told. */
export class IngestError extends AliquotError<IngestErrorCode> {
  static override readonly codes = codes;

  readonly refusal: RefusalCode;
  /** The request that it answers; 0 when it answers none. */
  readonly requestId: number;

  constructor(
    code: IngestErrorCode,
    message: string,
    options: {
      readonly refusal: RefusalCode;
      readonly requestId?: number;
      readonly cause?: unknown;
    },
  ) {
    super(code, message, options);
    this.refusal = options.refusal;
    this.requestId = options.requestId ?? 0;
  }
}
