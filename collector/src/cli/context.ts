import { createOutput, type Output } from '@aliquot/shared/cli/output';
import type { StandardOutput, TextSink } from '@aliquot/shared/cli/standard-output';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import type { LogOptions } from '@aliquot/shared/log-lines/log';
import type { Clock, Random } from '@aliquot/shared/ports';
import type { Environment } from '../environment.ts';

/** A program that shows text page by page on the terminal. */
export interface Pager {
  readonly output: StandardOutput;
  /** No more text; resolves when the person has left it. */
  end(): Promise<void>;
}

/** What every command gets from `main.ts`; tests pass their own. */
export interface CommandContext {
  readonly environment: Environment;
  readonly files: DiskPort;
  readonly clock: Clock;
  /** Milliseconds that never jump, beside the clock that may. */
  readonly monotonicMs: () => number;
  readonly random: Random;
  readonly stdout: StandardOutput;
  readonly stderr: TextSink;
  /** Where the log of `serve` goes; nothing else is written there. */
  readonly log: () => Pick<LogOptions, 'target' | 'journal'>;
  /** What shows long lists page by page; only where a person looks at a terminal. */
  readonly pager?: () => Promise<Pager | undefined>;
  /**
   * Leaves the working folder: a service stays, and must neither hold it nor be harmed when it
   * goes.
   */
  readonly leaveFolder?: () => void;
  /** Resolves when the process is asked to stop; only `serve` waits for it. */
  readonly stopRequested: () => Promise<string>;
}

/** The output of one command. One that only reads may stop when nobody takes what it says. */
export function outputOf(
  context: CommandContext,
  options: { readonly json?: boolean | undefined },
  does: 'works' | 'reads' = 'works',
): Output {
  const { stdout, stderr, clock } = context;
  return createOutput({
    json: options.json === true,
    stdout,
    stderr,
    clock,
    reads: does === 'reads',
  });
}
