import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** A file that the command was to make is there already. */
  COMMAND_EXISTS: 'final',
  /** The collector holds no vault, several and none was chosen, or not the kit's. */
  COMMAND_VAULT: 'final',
  /** The collector is not the one that the vault's authority certified. */
  COMMAND_FOREIGN_COLLECTOR: 'final',
  /** Nothing listens at the collector's address, or it cannot be reached. */
  COMMAND_UNREACHABLE: 'retryable',
  /** The collector's TLS certificate is not trusted. */
  COMMAND_TLS: 'final',
  /** The collector's answer is not one that this release understands. */
  COMMAND_ANSWER: 'final',
  /** The vault has no agent of that name. */
  COMMAND_AGENT: 'final',
  /** The vault has no hold of that name, or none in force. */
  COMMAND_HOLD: 'final',
  /** There is no such purge, it is over already, or what it is for is not there. */
  COMMAND_PURGE: 'final',
  /** The vault has no run of retention of that number. */
  COMMAND_RUN: 'final',
  /** No policy was set in the vault. */
  COMMAND_NO_POLICY: 'final',
  /** No such file or version in the backup. */
  COMMAND_NO_SUCH_FILE: 'final',
  /** A result that is to be given back whole was open: members were still to come. */
  COMMAND_RESULT_OPEN: 'final',
  /** A member of a result is missing, damaged, or another than its row says. */
  COMMAND_RESULT_NOT_WHOLE: 'final',
  /** Something that the collector sent does not verify against the kit. */
  COMMAND_UNVERIFIED: 'final',
  /** The collector keeps back something that its log has, or shows an older state of it. */
  COMMAND_LEFT_OUT: 'final',
  /** The collector and this computer do not agree what time it is. */
  COMMAND_CLOCK: 'final',
  /** A file that was read back is not what was captured, or is missing. */
  COMMAND_DAMAGED: 'final',
  /**
   * A carried queue was taken in part: the first commit that was not is named, and the receipts
   * cover those before it.
   */
  COMMAND_CARRIED_PART: 'final',
  /** A folder that is no release, or of which something is missing or altered. */
  COMMAND_RELEASE: 'final',
  /** `agents --problems` found something that somebody should look at. */
  COMMAND_PROBLEMS: 'final',
  /** `fsck` found faults in the collector's folder. */
  COMMAND_FSCK: 'final',
  /** The address to listen on is in use. */
  SERVE_PORT: 'final',
  /** The address to listen on cannot be used: not of this machine, or not permitted. */
  SERVE_LISTEN: 'final',
} satisfies ErrorCodes;

export type CommandErrorCode = keyof typeof codes;

/** A command that cannot do what it was asked for. */
export class CommandError extends AliquotError<CommandErrorCode> {
  static override readonly codes = codes;
}
