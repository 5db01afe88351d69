import { AliquotError, type RefusalCode } from '@aliquot/proto';

export type IngestErrorCode =
  /** An agent was refused: not enrolled, revoked, replaced, or its statement does not verify. */
  | 'INGEST_REFUSED'
  /** An agent, or something that is none, sent what the protocol does not allow. */
  | 'INGEST_PROTOCOL'
  /**
   * More connections, in all or from one address, than may be open without having proved
   * themselves.
   */
  | 'INGEST_LIMIT'
  /** A connection did not prove itself in time. */
  | 'INGEST_TIMEOUT';

/** Ends a session; `refusal` is what the agent is told. */
export class IngestError extends AliquotError<IngestErrorCode> {
  readonly refusal: RefusalCode;
  /** The request that it answers; 0 when it answers none. */
  readonly requestId: number;

  constructor(
    code: IngestErrorCode,
    refusal: RefusalCode,
    message: string,
    options: { requestId?: number; cause?: unknown } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause });
    this.refusal = refusal;
    this.requestId = options.requestId ?? 0;
  }
}
