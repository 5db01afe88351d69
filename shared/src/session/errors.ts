import { AliquotError, type ErrorCodes } from '@aliquot/proto';

/**
 * Connecting again may help against damage or meddling on the way, and against an exhausted key;
 * not against the rest.
 */
const codes = {
  /** A message of the handshake cannot be read. */
  SESSION_MALFORMED: 'retryable',
  /**
   * The two sides have no protocol version in common, or the other side chose one that was not
   * offered.
   */
  SESSION_VERSION: 'final',
  /** The agent asked for a vault that this collector does not hold. */
  SESSION_UNKNOWN_VAULT: 'final',
  /** The collector's certificate is not one of the vault's authority. */
  SESSION_COLLECTOR_CERTIFICATE: 'final',
  /**
   * The collector is an older one than the agent has seen, or another of the same generation: a
   * successor took its place.
   */
  SESSION_COLLECTOR_GENERATION: 'final',
  /**
   * The other side does not hold the certified collector key, or somebody in between altered the
   * handshake.
   */
  SESSION_COLLECTOR_SIGNATURE: 'retryable',
  /** The agent's certificate is not one of the vault's authority. */
  SESSION_AGENT_CERTIFICATE: 'final',
  /** The agent does not hold its certified key, or its proof belongs to another session. */
  SESSION_AGENT_SIGNATURE: 'retryable',
  /** The other side's ephemeral key is of low order. */
  SESSION_WEAK_KEY: 'retryable',
  /** A frame was altered, repeated, dropped, reordered, or sent in the other direction. */
  SESSION_FRAME: 'retryable',
  /** The session has carried as many frames as one key may. */
  SESSION_EXHAUSTED: 'retryable',
  /** A step of the handshake was called out of turn: a mistake of the caller. */
  SESSION_STATE: 'final',
} satisfies ErrorCodes;

export type SessionErrorCode = keyof typeof codes;

/**
 * A session that must end now: close the connection without an answer, and never go on with the
 * same keys.
 */
export class SessionError extends AliquotError<SessionErrorCode> {
  static override readonly codes = codes;
}
