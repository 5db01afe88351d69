import { AliquotError } from '@aliquot/proto';
import { type Command, CommanderError } from 'commander';
import { errnoOf } from '../durable/system-errors.ts';
import { debugWanted } from './environment.ts';
import { OutputError, PartialError, UsageError } from './errors.ts';
import { printable } from './format.ts';
import { OutputClosed } from './output.ts';
import type { StandardOutput } from './standard-output.ts';
import { forTerminal } from './terminal.ts';

/** 0 done · 1 failed · 2 wrong usage or configuration · 3 done in part. */
export type ExitCode = 0 | 1 | 2 | 3;

/** Codes of other areas that mean "you pointed me at the wrong thing". */
const usageCodes = new Set(['FOLDER_MISSING', 'FOLDER_KIND', 'FOLDER_NOT_EMPTY']);

/** The exit code that an error out of a command stands for. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof PartialError) return 3;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError || (error instanceof AliquotError && usageCodes.has(error.code)))
    return 2;
  return 1;
}

/**
 * The one line that a person gets: `aliquot: what, and the way out [CODE]`; undefined when there is
 * nothing to say.
 */
function errorLine(
  program: string,
  error: unknown,
  debug: boolean,
  elsewhere?: string,
): string | undefined {
  if (error instanceof OutputClosed) return undefined;
  if (error instanceof CommanderError) {
    // Commander prints help and version itself; its errors come here through `configureOutput`.
    if (error.exitCode === 0 || error.code === 'commander.help') return undefined;
    return elsewhere !== undefined &&
      ['commander.unknownCommand', 'commander.excessArguments'].includes(error.code)
      ? `${program}: ${printable(elsewhere)} [USAGE_INVALID]`
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
  /** What the commands write to; help goes there too. */
  readonly stdout: StandardOutput;
  /** Show stack traces, as `ALIQUOT_DEBUG=1` asks for. */
  readonly debug?: boolean;
}

/**
 * Runs a commander program to its end and returns the exit code. An action fails by throwing:
 * `UsageError` gives 2, `PartialError` 3, anything else 1; one line about it goes to standard
 * error, with `--json` too.
 *
 * **Output that is lost.** Work never depends on who reads about it: it goes on to its end. A
 * command that only reads stops. The exit code is then the work's own where that is not 0, because
 * it says more (2: nothing was done; 3: a part; 1: it failed), and 1 where it would have been 0. So
 * 0 always means: done, and all that was said has been delivered. Standard error is for people;
 * losing it changes nothing.
 *
 * Test only: programs use `runMain`, which also ends the process.
 */
export async function runCommand(
  program: Command,
  argv: readonly string[],
  options: RunOptions,
): Promise<ExitCode> {
  const { stdout, stderr = process.stderr, debug = debugWanted() } = options;
  quieten(program, stdout);
  let code: ExitCode = 0;
  let help = false;
  const say = (error: unknown) => {
    const line = errorLine(program.name(), error, debug, commandElsewhere(program, argv.slice(2)));
    if (line !== undefined) stderr.write(`${forTerminal(line)}\n`);
  };
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    code = exitCodeOf(error);
    help = error instanceof CommanderError;
    say(error);
  }
  await stdout.settled();
  if (stdout.lost === undefined) return code;
  // Leaving early is what `| head` does: for a listing, or for help, that is on purpose.
  if (!stdout.readerGone || !(stdout.readerMayLeave || help))
    say(lostError(stdout, stdout.lost, code));
  return code === 0 ? 1 : code;
}

/** What is said about output that was lost. */
function lostError(
  { readerGone, readerMayLeave }: StandardOutput,
  cause: Error,
  code: ExitCode,
): OutputError {
  const errno = errnoOf(cause) ?? cause.message;
  const reasons: Record<string, string> = {
    ENOSPC: 'its disk is full',
    EDQUOT: 'its quota is used up',
    EBADF: 'it is closed',
  };
  const why = readerGone ? 'whoever read it has gone' : (reasons[errno] ?? errno);
  const work = readerMayLeave || code !== 0 ? '' : '; the work itself is done';
  return new OutputError(
    'OUTPUT_LOST',
    `not all of standard output could be written: ${why}${work}`,
    { cause },
  );
}

/**
 * `runCommand` for a `main.ts`: ends the process with the exit code, once standard output has taken
 * everything.
 */
export async function runMain(
  program: Command,
  argv: readonly string[],
  stdout: StandardOutput,
): Promise<never> {
  // Output notices both by itself; without a listener Node would throw before.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  process.on('uncaughtException', (error) => {
    // A service says it in its log.
    if (process.listenerCount('uncaughtException') > 1) return;
    const line = forTerminal(errorLine(program.name(), error, true) ?? '');
    process.stderr.write(`${line}\n`, () => process.exit(1));
  });
  const code = await runCommand(program, argv, { stdout });
  // A service that ends for its host's sake has said so by then.
  process.exit(code === 0 ? (process.exitCode ?? 0) : code);
}

/**
 * Makes commander throw instead of ending the process, and leave the printing of errors to
 * `runCommand`.
 */
function quieten(command: Command, stdout: StandardOutput): void {
  command.exitOverride();
  command.configureOutput({
    outputError: () => undefined,
    writeOut: (text) => void stdout.write(text),
  });
  for (const child of command.commands) quieten(child, stdout);
}

/**
 * Of `agent approve`: that it is `agents approve`, where a command of that name stands below
 * another word and not below this one.
 */
function commandElsewhere(program: Command, words: readonly string[]): string | undefined {
  const [first = '', second = ''] = words;
  const below = program.commands.find((command) => command.name() === first);
  const wanted = below === undefined ? first : second;
  const among = below ?? program;
  if (among.commands.length === 0 || among.commands.some((command) => command.name() === wanted))
    return undefined;
  const found = program.commands
    .flatMap((command) =>
      command.commands.map((child) => ({
        name: child.name(),
        path: `${command.name()} ${child.name()}`,
      })),
    )
    .filter(({ name }) => name === wanted)
    .map(({ path }) => `\`${program.name()} ${path}\``);
  if (found.length === 0) return undefined;
  const asked = below === undefined ? wanted : `${first} ${wanted}`;
  return `there is no \`${program.name()} ${asked}\`; use ${found.join(' or ')}`;
}

function oneLine(message: string): string {
  const line = message.replace(/^error: |\.$/g, '').replace(/\s*\n\s*/g, ' ');
  return printable(line.replace(/ \(Did you mean (.*)\?\)$/, '; did you mean $1?')).trim();
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
