import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * Starts the built programs the way a person or a service manager does, and listens to what they
 * print.
 */

export type ProgramName = 'aliquot' | 'aliquot-agent';
export type JsonLine = Record<string, unknown>;

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output read as JSON, one object a line. */
  readonly lines: readonly JsonLine[];
}

/** How long a program may take to end by itself when everything is stopped. */
const PATIENCE_MS = 10_000;
const living = new Set<ChildProcess>();
let stopping = false;
// The one who gave up (a test that took too long) leaves nothing behind.
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});
// Neither does a worker of tests whose runner was interrupted.
process.once('disconnect', () => process.exit(1));

function start(
  name: ProgramName,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  under: readonly string[],
) {
  if (stopping) throw new Error(`${name} ${args[0]} was not started: everything is being stopped`);
  const [program = launcher(name), ...rest] = [...under, launcher(name), ...args];
  const child = spawn(program, rest, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  living.add(child);
  child.once('close', () => living.delete(child));
  return child;
}

/**
 * Ends at once the programs that were started here with this text in an argument, and waits until
 * they are gone. Test only: a test that failed.
 */
export async function killNaming(text: string): Promise<void> {
  const left = [...living].filter(({ spawnargs }) =>
    spawnargs.some((argument) => argument.includes(text)),
  );
  await Promise.all(
    left.map((child) => {
      const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
      child.kill('SIGKILL');
      return closed;
    }),
  );
}

/** Ends every program that was started here, and lets no other start. */
export async function stopPrograms(): Promise<void> {
  stopping = true;
  await Promise.all(
    [...living].map((child) => {
      const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
      child.kill('SIGTERM');
      const impatience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
      return closed.finally(() => clearTimeout(impatience));
    }),
  );
}

const launcher = (name: ProgramName): string =>
  fileURLToPath(new URL(`../bin/${name}`, import.meta.url));

/**
 * Runs a command to its end. Never throws for an exit code: that is the caller's to judge. Test
 * only: the demo's own commands have to succeed.
 *
 * @param under another program with its arguments, which runs ours (a tracer, say)
 */
export async function run(
  name: ProgramName,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  under: readonly string[] = [],
): Promise<Finished> {
  const child = start(name, args, environment, under);
  const output: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => complaints.push(bytes));
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? (signal ? 128 : 1)));
  });
  const stdout = Buffer.concat(output).toString();
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as JsonLine);
  return { code, stdout, stderr: Buffer.concat(complaints).toString(), lines };
}

/** Runs a command that has to succeed. Throws with its complaint when it does not. */
export async function mustRun(
  name: ProgramName,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Finished> {
  const finished = await run(name, args, environment);
  if (finished.code !== 0)
    throw new Error(`${name} ${args[0]} ended with ${finished.code}: ${finished.stderr.trim()}`);
  return finished;
}

/** A program that keeps running. */
export class DemoService {
  readonly child: ChildProcess;
  readonly #events: JsonLine[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #closed: Promise<number>;
  #complaint = '';
  #ended = false;

  constructor(
    name: ProgramName,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
    under: readonly string[] = [],
  ) {
    const child = start(name, args, environment, under);
    this.child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.#events.push(JSON.parse(line) as JsonLine);
      for (const wake of this.#waiting) wake();
    });
    child.stderr.on('data', (bytes: Buffer) => {
      this.#complaint = (this.#complaint + bytes.toString()).slice(-4000);
      for (const wake of this.#waiting) wake();
    });
    this.#closed = new Promise((resolve) => {
      child.once('close', (exit) => {
        this.#ended = true;
        for (const wake of this.#waiting) wake();
        resolve(exit ?? 128);
      });
    });
  }

  /**
   * The first line `{"event": name, …}`, when it comes. Throws with the last of standard error if
   * the program ends before.
   */
  async event(name: string): Promise<JsonLine> {
    for (;;) {
      const found = this.#events.find((line) => line['event'] === name);
      if (found) return found;
      if (this.#ended)
        throw new Error(`the program ended before it said "${name}": ${this.#complaint.trim()}`);
      await this.#woken();
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
    });
  }

  /**
   * Waits until standard error says something like this. Throws with the last of it if the program
   * ends before.
   */
  async complained(words: RegExp): Promise<void> {
    while (!words.test(this.#complaint)) {
      if (this.#ended)
        throw new Error(`the program ended before it said ${words}: ${this.#complaint.trim()}`);
      await this.#woken();
    }
  }

  /** The last few thousand characters of standard error. */
  get complaint(): string {
    return this.#complaint;
  }

  /** Asks it to stop and waits; gives its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
    if (!this.#ended) this.child.kill(signal);
    return this.#closed;
  }
}
