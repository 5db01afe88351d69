import { AliquotError, type ErrorCodes, FormatError, type RefusalCode } from '@aliquot/proto';
import { endWith } from '@aliquot/shared/durable/unexpected';
import { SessionError } from '@aliquot/shared/session/errors';

const codes = {
  /** There is no session now. */
  UPLINK_OFFLINE: 'retryable',
  /** The session ended before the answer came. */
  UPLINK_CLOSED: 'retryable',
  /** Nothing was heard of the collector for too long, so the connection was given up. */
  UPLINK_SILENT: 'retryable',
  /**
   * Newer addresses of the collector are tried before this session's goes on; it comes back where
   * none of them answers.
   */
  UPLINK_MOVED: 'retryable',
  /** The uplink was stopped. */
  UPLINK_STOPPED: 'final',
  /** The collector's address does not answer, or not as a collector. */
  UPLINK_UNREACHABLE: 'retryable',
  /** The server's TLS certificate is not the pinned one, or not of the trusted authority. */
  UPLINK_TLS: 'final',
  /** The server is not a collector that this vault's authority certified, or an outdated one. */
  UPLINK_FOREIGN_COLLECTOR: 'final',
  /** Somebody on the way altered, repeated or dropped messages. */
  UPLINK_TAMPERED: 'retryable',
  /** The collector sends what the protocol does not allow, or speaks no common version. */
  UPLINK_PROTOCOL: 'final',
  /** The collector lost part of the log that it had signed. */
  UPLINK_ROLLED_BACK: 'final',
  /** The collector's log contradicts what it signed before, and no approved opening explains it. */
  UPLINK_LOG_FORKED: 'final',
  /** A receipt that does not prove what a receipt must. */
  UPLINK_BAD_RECEIPT: 'final',
  /**
   * The collector holds commits of this agent's chain that this folder never made, and a new chain
   * does not help.
   */
  UPLINK_CHAIN_FORKED: 'final',
  /**
   * The collector holds commits of this agent's chain that this folder never made: a new chain has
   * been begun.
   */
  UPLINK_CHAIN_RENEWED: 'retryable',
  /** Central IT revoked this agent, or replaced it by another. */
  UPLINK_REVOKED: 'final',
  /** The collector does not know this agent, or not with these keys. */
  UPLINK_NOT_ENROLLED: 'final',
  /** Central IT has not taken this agent in yet: it captures and queues meanwhile. */
  UPLINK_PENDING: 'final',
  /** The collector refused for another reason, which the message gives. */
  UPLINK_REFUSED: 'final',
  /** The collector's disk is full or failing. */
  UPLINK_COLLECTOR_STORAGE: 'retryable',
  /** This agent's certificate does not allow restores. */
  UPLINK_SELF_RESTORE_OFF: 'final',
  /** The file that remembers the newest verified head is damaged. */
  UPLINK_TRUST_DAMAGED: 'final',
  /**
   * The agent's own queue cannot be used now (its disk is full, or another program holds a file of
   * it): sending goes on by itself.
   */
  UPLINK_QUEUE_WAITS: 'retryable',
  /** The agent's own queue failed while sending. */
  UPLINK_QUEUE: 'final',
} satisfies ErrorCodes;

export type UplinkErrorCode = keyof typeof codes;

/** What goes wrong between the agent and its collector. */
export class UplinkError extends AliquotError<UplinkErrorCode> {
  static override readonly codes = codes;
}

const byRefusal: Readonly<Record<RefusalCode, UplinkErrorCode>> = {
  'bad-signature': 'UPLINK_REFUSED',
  'bad-certificate': 'UPLINK_NOT_ENROLLED',
  'bad-predecessor': 'UPLINK_CHAIN_FORKED',
  'chain-forked': 'UPLINK_CHAIN_FORKED',
  'bad-commit': 'UPLINK_REFUSED',
  revoked: 'UPLINK_REVOKED',
  'not-enrolled': 'UPLINK_NOT_ENROLLED',
  replaced: 'UPLINK_REVOKED',
  'log-rolled-back': 'UPLINK_ROLLED_BACK',
  'self-restore-off': 'UPLINK_SELF_RESTORE_OFF',
  protocol: 'UPLINK_PROTOCOL',
  limit: 'UPLINK_PROTOCOL',
  storage: 'UPLINK_COLLECTOR_STORAGE',
  pending: 'UPLINK_PENDING',
};

/** What a PC of a group says of itself until somebody has taken it in. */
export function waitsForApproval(name: string): string {
  return `this PC waits for approval as ${name}: it captures and queues, and nothing is sent yet; central IT runs: aliquot agents approve ${name}`;
}

/** The collector's refusal as an error; its words are cut to one printable line. */
export function refusalError(code: RefusalCode, message: string): UplinkError {
  // Nothing is wrong: it is said as it is.
  if (code === 'pending')
    return new UplinkError('UPLINK_PENDING', message.replace(/\p{Cc}+/gu, ' ').slice(0, 300));
  return new UplinkError(
    byRefusal[code],
    `the collector refused (${code}): ${message.replace(/\p{Cc}+/gu, ' ').slice(0, 300)}`,
  );
}

/** Session and door errors in the uplink's words. */
export function asUplinkError(error: unknown): UplinkError {
  if (error instanceof UplinkError) return error;
  if (error instanceof SessionError) {
    const foreign =
      error.code === 'SESSION_COLLECTOR_CERTIFICATE' ||
      error.code === 'SESSION_COLLECTOR_GENERATION';
    if (foreign)
      return new UplinkError(
        'UPLINK_FOREIGN_COLLECTOR',
        `${error.message}; nothing is sent, tell central IT`,
        { cause: error },
      );
    if (error.code === 'SESSION_VERSION')
      return new UplinkError('UPLINK_PROTOCOL', `${error.message}; update the older side`, {
        cause: error,
      });
    return new UplinkError('UPLINK_TAMPERED', error.message, { cause: error });
  }
  if (error instanceof FormatError)
    return new UplinkError(
      'UPLINK_PROTOCOL',
      `the collector sent what cannot be read: ${error.message}`,
      { cause: error },
    );
  // A fault of ours: no session, and no wait, makes it better.
  endWith(error);
  const says = error instanceof Error ? error.message : String(error);
  const waits = error instanceof AliquotError && error.retryable;
  return new UplinkError(
    waits ? 'UPLINK_QUEUE_WAITS' : 'UPLINK_QUEUE',
    `sending stopped: ${says}`,
    {
      cause: error,
    },
  );
}
