import { runCommand } from '@aliquot/shared/cli/run-main';
import { StandardOutput, type TextSink } from '@aliquot/shared/cli/standard-output';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { streamTarget } from '@aliquot/shared/log-lines/line-target';
import { type Clock, systemClock, systemMonotonicMs, systemRandom } from '@aliquot/shared/ports';
import type { CommandContext } from '../src/cli/context.ts';
import { buildProgram } from '../src/program.ts';

/** What a command printed and how it ended. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as JSON lines; throws when it is something else. */
  readonly lines: Record<string, unknown>[];
}

export interface CliOptions {
  readonly url?: string;
  readonly token?: string;
  readonly kit?: string;
  /** Where the witness is kept; none unless given. */
  readonly state?: string;
  readonly stop?: Promise<string>;
  /** The machine's clock; the real one unless given. */
  readonly clock?: Clock;
  /** Called with everything printed so far, whenever something is printed. */
  readonly onOutput?: (stdout: string) => void;
}

class Sink implements TextSink {
  readonly pieces: Buffer[] = [];
  readonly #onWrite: ((all: string) => void) | undefined;

  constructor(onWrite?: (all: string) => void) {
    this.#onWrite = onWrite;
  }

  write(text: string | Uint8Array, done?: () => void): boolean {
    this.pieces.push(Buffer.from(text as string));
    this.#onWrite?.(this.text);
    if (done !== undefined) queueMicrotask(done);
    return true;
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString('utf8');
  }

  once(): void {}
  on(): void {}
}

/**
 * Runs `aliquot` in this process, as `main.ts` does. The passphrase comes from
 * `ALIQUOT_PASSPHRASE`.
 */
export async function aliquot(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const stdout = new Sink(options.onOutput);
  const stderr = new Sink();
  const context: CommandContext = {
    environment: {
      url: options.url,
      token: options.token,
      kit: options.kit,
      tlsCa: undefined,
      logLevel: undefined,
      stateFolder: options.state,
      user: 'marie',
    },
    files: nodeDisk,
    clock: options.clock ?? systemClock,
    monotonicMs: systemMonotonicMs,
    random: systemRandom,
    stdout: new StandardOutput(stdout),
    stderr,
    log: () => ({ target: streamTarget(stderr), journal: false }),
    stopRequested: () => options.stop ?? new Promise(() => undefined),
  };
  const code = await runCommand(
    await buildProgram(context, args[0]),
    ['node', 'aliquot', ...args],
    {
      stdout: context.stdout,
      stderr,
      debug: false,
    },
  );
  return {
    code,
    stdout: stdout.text,
    stderr: stderr.text,
    get lines() {
      return stdout.text
        .split('\n')
        .filter((line) => line !== '')
        .map((line): Record<string, unknown> => JSON.parse(line));
    },
  };
}

/** `aliquot serve` in this process: resolves when it listens. */
export async function serving(
  args: readonly string[],
  { clock }: Pick<CliOptions, 'clock'> = {},
): Promise<{ url: string; stop: () => Promise<CliResult> }> {
  let stop: (signal: string) => void = () => undefined;
  const stopped = new Promise<string>((resolve) => {
    stop = resolve;
  });
  let ended: Promise<CliResult> = Promise.reject(new Error('not started'));
  ended.catch(() => undefined);
  const url = await new Promise<string>((resolve, reject) => {
    ended = aliquot(['serve', ...args], {
      stop: stopped,
      ...(clock === undefined ? {} : { clock }),
      onOutput: (text) => {
        const line = text.split('\n')[0];
        if (line) resolve(JSON.parse(line).url);
      },
    });
    ended.then((result) => reject(new Error(result.stderr)), reject);
  });
  return {
    url,
    stop: () => {
      stop('SIGTERM');
      return ended;
    },
  };
}
