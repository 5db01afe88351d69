import { AliquotError } from '@aliquot/proto';
import { CommandError } from '../cli/command-error.ts';

/** Whatever does not hold here is the collector's doing, and said so. */
export function evidence<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (cause instanceof CommandError || !(cause instanceof AliquotError)) throw cause;
    throw new CommandError(
      'COMMAND_UNVERIFIED',
      `what the collector sent does not verify: ${cause.message} (${cause.code})`,
      { cause },
    );
  }
}

/** What a collector sent that no honest one sends. */
export function unverified(message: string): CommandError {
  return new CommandError(
    'COMMAND_UNVERIFIED',
    `${message}; do not trust this collector, and tell who runs it`,
  );
}
