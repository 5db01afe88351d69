import type { TextSink } from '@aliquot/shared/cli/output';
import { createOutput, type Output } from '@aliquot/shared/cli/output';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Clock, Random } from '@aliquot/shared/ports';
import type { Environment } from '../environment.ts';

/** What every command gets from `main.ts`; tests pass their own. */
export interface CommandContext {
  readonly environment: Environment;
  readonly files: FilePort;
  readonly clock: Clock;
  readonly random: Random;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  /** Raw bytes to standard output; resolves when there is room for more. */
  readonly writeBytes: (bytes: Uint8Array) => Promise<void>;
  /** Resolves when the process is asked to stop; only `serve` waits for it. */
  readonly stopRequested: () => Promise<string>;
}

/** The output of one command. */
export function outputOf(context: CommandContext, options: { readonly json?: boolean | undefined }): Output {
  return createOutput({ json: options.json === true, stdout: context.stdout, stderr: context.stderr, clock: context.clock });
}
