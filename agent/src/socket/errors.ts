import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** The running service ended, or closed the connection, before it had answered. */
  AGENT_SERVICE_GONE: 'retryable',
  /** The service's socket answered with something that is not this release's protocol. */
  AGENT_SERVICE_PROTOCOL: 'final',
  /** The folder for the service's socket belongs to somebody else or can be entered by others. */
  AGENT_SOCKET_FOLDER: 'final',
  /** This agent's certificate does not allow it to fetch its own files back. */
  AGENT_RESTORE_OFF: 'final',
  /** Nothing of that name was ever backed up by this agent, or not at that time. */
  AGENT_NOT_BACKED_UP: 'final',
  /** A version that this PC has a receipt for was not among what the collector showed. */
  AGENT_KEPT_BACK: 'final',
  /** A backup was asked for, and not one of the paths could be captured; each is named. */
  AGENT_NOTHING_PROTECTED: 'final',
  /** The collector cannot be reached, and the command needs an answer from it. */
  AGENT_UNREACHABLE: 'retryable',
  /**
   * The service runs as another user, and lets only that one and administrators give it this
   * command.
   */
  AGENT_NOT_ALLOWED: 'final',
  /** No service answers, and this user may not open the agent's folder. */
  AGENT_NO_ANSWER: 'final',
  /** `fsck` found something wrong in the agent's folder. */
  AGENT_FSCK_FOUND: 'final',
  /** The command was ended before it was done. */
  AGENT_INTERRUPTED: 'final',
} satisfies ErrorCodes;

export type AgentErrorCode = keyof typeof codes;

/** What goes wrong in the agent's service and commands. */
export class AgentError extends AliquotError<AgentErrorCode> {
  static override readonly codes = codes;
}

/**
 * An error that the running service met while it served a command; carries the service's own code.
 */
export class RelayedError extends AliquotError {}
