import { AliquotError } from '@aliquot/proto';
import { type Command, CommanderError } from 'commander';
import { errnoOf } from '../durable/errors.ts';
import { debugWanted } from './environment.ts';
import { PartialError, UsageError } from './errors.ts';
import { printable } from './format.ts';
import { OutputClosed } from './output.ts';

/** 0 done · 1 failed · 2 wrong usage or configuration · 3 done in part. */
export type ExitCode = 0 | 1 | 2 | 3;

/** Codes of other areas that mean "you pointed me at the wrong thing". */
const usageCodes = new Set(['FOLDER_MISSING', 'FOLDER_KIND', 'FOLDER_NOT_EMPTY']);

/** The exit code that an error out of a command stands for. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof OutputClosed) return 0;
  if (error instanceof PartialError) return 3;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError || (error instanceof AliquotError && usageCodes.has(error.code))) return 2;
  return 1;
}

/** The one line that a person gets: `aliquot: what, and the way out [CODE]`; undefined when there is nothing to say. */
function errorLine(program: string, error: unknown, debug: boolean): string | undefined {
  if (error instanceof OutputClosed) return undefined;
  if (error instanceof CommanderError) {
    // Commander prints help and version itself; its errors come here through `configureOutput`.
    return error.exitCode === 0 || error.code === 'commander.help'
      ? undefined
      : `${program}: ${oneLine(error.message)}; --help shows the usage [USAGE_INVALID]`;
  }
  const known = error instanceof AliquotError ? error.code : errnoOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const line =
    known === undefined
      ? `${program}: unexpected: ${oneLine(message)}; run again with ALIQUOT_DEBUG=1 to see where, and report it [UNEXPECTED]`
      : `${program}: ${oneLine(message)} [${known}]`;
  return debug && error instanceof Error ? `${line}\n${stackOf(error)}` : line;
}

/** Where `runCommand` says what went wrong, and how much. */
export interface RunOptions {
  readonly stderr?: { write(text: string): unknown };
  /** Show stack traces, as `ALIQUOT_DEBUG=1` asks for. */
  readonly debug?: boolean;
}

/**
 * Runs a commander program to its end and returns the exit code. An action fails by throwing: `UsageError` gives 2,
 * `PartialError` 3, anything else 1; one line about it goes to standard error, with `--json` too.
 *
 * Test only: programs use `runMain`, which also ends the process.
 */
export async function runCommand(program: Command, argv: readonly string[], options: RunOptions = {}): Promise<ExitCode> {
  const { stderr = process.stderr, debug = debugWanted() } = options;
  quieten(program);
  try {
    await program.parseAsync([...argv]);
    return 0;
  } catch (error) {
    const line = errorLine(program.name(), error, debug);
    if (line !== undefined) stderr.write(`${line}\n`);
    return exitCodeOf(error);
  }
}

/** `runCommand` for a `main.ts`: ends the process with the exit code, once standard output has taken everything. */
export async function runMain(program: Command, argv: readonly string[]): Promise<never> {
  // Readers that leave early (`| head`) are normal; Output notices and unwinds, this keeps Node from throwing before.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  const code = await runCommand(program, argv);
  await new Promise<void>((resolve) => {
    process.stdout.write('', () => resolve());
  });
  process.exit(code);
}

/** Makes commander throw instead of ending the process, and leave the printing of errors to `runCommand`. */
function quieten(command: Command): void {
  command.exitOverride();
  command.configureOutput({ outputError: () => undefined });
  for (const child of command.commands) quieten(child);
}

function oneLine(message: string): string {
  const line = message.replace(/^error: |\.$/g, '').replace(/\s*\n\s*/g, ' ');
  return printable(line.replace(/ \(Did you mean (.*)\?\)$/, '; did you mean $1?')).trim();
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
