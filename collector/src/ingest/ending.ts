import { AliquotError, FormatError, type RefusalCode } from '@aliquot/proto';
import { SessionError, type SessionErrorCode } from '@aliquot/shared/session/errors';
import { CLOSE_INTERNAL, CLOSE_POLICY, CLOSE_TRY_AGAIN } from './channel.ts';
import { IngestError } from './errors.ts';

/** Damage or meddling on the way, or a key that is used up: another connection may do better. */
const altered: ReadonlySet<string> = new Set<SessionErrorCode>([
  'SESSION_FRAME',
  'SESSION_EXHAUSTED',
]);

/** How a session ends after an error. */
export interface Ending {
  /** `undefined`: nothing is said. */
  readonly refusal: RefusalCode | undefined;
  readonly requestId: number;
  readonly closeCode: number;
  readonly code: string;
  readonly message: string;
}

/** The refusal that an error stands for. Nothing internal goes to the agent. */
export function describe(error: unknown): Ending {
  if (error instanceof IngestError) {
    return {
      refusal: error.refusal,
      requestId: error.requestId,
      closeCode: CLOSE_POLICY,
      code: error.code,
      message: error.message,
    };
  }
  if (error instanceof SessionError && altered.has(error.code)) {
    return {
      refusal: undefined,
      requestId: 0,
      closeCode: CLOSE_TRY_AGAIN,
      code: error.code,
      message: error.message,
    };
  }
  if (error instanceof SessionError) {
    const refusal =
      error.code === 'SESSION_AGENT_SIGNATURE'
        ? 'bad-signature'
        : error.code === 'SESSION_AGENT_CERTIFICATE'
          ? 'bad-certificate'
          : 'protocol';
    return {
      refusal,
      requestId: 0,
      closeCode: CLOSE_POLICY,
      code: error.code,
      message: error.message,
    };
  }
  if (error instanceof FormatError)
    return {
      refusal: 'protocol',
      requestId: 0,
      closeCode: CLOSE_POLICY,
      code: error.code,
      message: error.message,
    };
  if (error instanceof AliquotError && error.code === 'STORE_BAD_ITEM') {
    return {
      refusal: 'protocol',
      requestId: 0,
      closeCode: CLOSE_POLICY,
      code: error.code,
      message: error.message,
    };
  }
  if (error instanceof AliquotError && error.code === 'STORE_NO_SPACE') {
    const message =
      "the collector's disk is full; nothing is lost, sending goes on when central IT has made room";
    return {
      refusal: 'storage',
      requestId: 0,
      closeCode: CLOSE_TRY_AGAIN,
      code: error.code,
      message,
    };
  }
  if (error instanceof AliquotError && error.code === 'STORE_FAILED') {
    // The store opens itself again from the disk before the next thing that it does.
    const message =
      "the collector's disk failed; nothing that was confirmed is lost, sending goes on when it works again";
    return {
      refusal: 'storage',
      requestId: 0,
      closeCode: CLOSE_TRY_AGAIN,
      code: error.code,
      message,
    };
  }
  const code = error instanceof AliquotError ? error.code : 'UNEXPECTED';
  return {
    refusal: 'storage',
    requestId: 0,
    closeCode: CLOSE_INTERNAL,
    code,
    message: 'the collector failed inside; central IT finds why in its log',
  };
}
