import { AliquotError } from '@aliquot/proto';

export type CommandErrorCode =
  /** The command was called without something it needs, or with something it does not understand. */
  | 'COMMAND_USAGE'
  /** The collector's address is missing or is not a http(s) URL. */
  | 'COMMAND_URL'
  /** No operator token was given, or its file cannot be read. */
  | 'COMMAND_TOKEN'
  /** No recovery kit was given, or its file cannot be read. */
  | 'COMMAND_KIT'
  /** A file that the command was to make is there already. */
  | 'COMMAND_EXISTS'
  /** The folder is not empty, or already a collector. */
  | 'COMMAND_FOLDER'
  /** The collector holds no vault, or several and none was chosen. */
  | 'COMMAND_VAULT'
  /** The collector is not the one that this kit certified. */
  | 'COMMAND_FOREIGN_COLLECTOR'
  /** Nothing listens at the collector's address, or it cannot be reached. */
  | 'COMMAND_UNREACHABLE'
  /** The collector's TLS certificate is not trusted. */
  | 'COMMAND_TLS'
  /** The collector's answer is not one that this release understands. */
  | 'COMMAND_ANSWER'
  /** No agent of that name in the vault. */
  | 'COMMAND_AGENT'
  /** No such file or version in the backup. */
  | 'COMMAND_NO_SUCH_FILE'
  /** Something the collector sent does not verify against the kit. */
  | 'COMMAND_UNVERIFIED'
  /** The address to listen on is in use. */
  | 'SERVE_PORT'
  /** The address to listen on cannot be used: not of this machine, not permitted, or not loopback without TLS. */
  | 'SERVE_LISTEN'
  /** The TLS certificate or its key cannot be used. */
  | 'SERVE_TLS';

/** A command that cannot do what it was asked for. */
export class CommandError extends AliquotError<CommandErrorCode> {}
