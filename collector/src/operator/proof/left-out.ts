import { CommandError } from '../../cli/command-error.ts';

/** What a collector keeps back that its own log has: `what` names it. */
export function leftOut(what: string): CommandError {
  return new CommandError(
    'COMMAND_LEFT_OUT',
    `the collector leaves out ${what}, which its log has; do not take what it shows for all there is, and tell who runs it`,
  );
}
