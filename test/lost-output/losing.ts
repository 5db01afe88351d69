import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { JsonLine, ProgramName } from '../../demo/programs.ts';

/**
 * Runs the built programs with a standard output, or a standard error, that nothing can be
 * delivered to.
 */

/**
 * How a stream is of no use: closed as by `>&-`, a full disk, a reader that has left before the
 * first word.
 */
export type Way = 'closed' | 'full' | 'gone';
export const ways: readonly Way[] = ['closed', 'full', 'gone'];

export interface Lost {
  readonly code: number;
  /** The stream that was not lost. */
  readonly heard: string;
}

/** Runs a command to its end with standard output (or, with `stream` 2, standard error) lost. */
export async function losing(
  way: Way,
  name: ProgramName,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  stream: 1 | 2 = 1,
): Promise<Lost> {
  const launcher = fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
  const lost = way === 'gone' ? endWithoutReader() : openSync('/dev/full', 'w');
  const ends = (['pipe', 'pipe'] as (number | 'pipe')[]).with(stream - 1, lost);
  // Closing is the shell's to do: a program that is started from here always has all three.
  const [program, ...before] =
    way === 'closed' ? ['sh', '-c', `exec "$0" "$@" ${stream}>&-`, launcher] : [launcher];
  const child = spawn(program ?? launcher, [...before, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', ...ends],
  });
  closeSync(lost);
  let heard = '';
  (stream === 1 ? child.stderr : child.stdout)?.on('data', (bytes: Buffer) => {
    heard += bytes.toString();
  });
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? (signal ? 128 : 1)));
  });
  return { code, heard };
}

/**
 * A program that keeps running, started with a standard error of the test's own. Its standard
 * output is read line by line.
 */
export function serviceWithErrors(
  name: ProgramName,
  args: readonly string[],
  errors: number,
  environment: NodeJS.ProcessEnv = {},
): LostService {
  const launcher = fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
  const child = spawn(launcher, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', errors],
  });
  if (child.stdout === null) throw new Error('no pipe');
  const { stdout } = child;
  const closed = new Promise<number>((resolve) =>
    child.once('close', (exit, signal) => resolve(exit ?? (signal ? 128 : 1))),
  );
  const ready = new Promise<JsonLine>((resolve, reject) => {
    createInterface({ input: stdout }).on('line', (line) => resolve(JSON.parse(line) as JsonLine));
    void closed.then((code) => reject(new Error(`it ended with ${code}`)));
  });
  return {
    ready,
    stop: () => {
      child.kill('SIGTERM');
      return closed;
    },
  };
}

export interface LostService {
  /** Its first line. */
  readonly ready: Promise<JsonLine>;
  /** Asks it to end; gives its exit code. */
  stop(): Promise<number>;
}

/**
 * A pipe of which the test holds both ends, so that it decides whether and when anything is read.
 */
export interface Pipe {
  readonly writer: number;
  /** All that lies in the pipe now. */
  drain(): string;
  closeReader(): void;
  close(): void;
}

let fifos = 0;

export function openPipe(): Pipe {
  const path = join(tmpdir(), `aliquot-fifo-${process.pid}-${fifos++}`);
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  rmSync(path);
  return {
    writer,
    drain() {
      const bytes = Buffer.alloc(1 << 20);
      let text = '';
      for (;;) {
        try {
          const count = readSync(reader, bytes);
          if (count === 0) return text;
          text += bytes.toString('utf8', 0, count);
        } catch (error) {
          if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return text;
          throw error;
        }
      }
    },
    closeReader: () => closeSync(reader),
    close() {
      closeSync(reader);
      closeSync(writer);
    },
  };
}

/**
 * The writing end of a pipe that nobody reads: every write fails with EPIPE, from the first one on.
 */
function endWithoutReader(): number {
  const { writer, closeReader } = openPipe();
  closeReader();
  return writer;
}
