import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A user who owns nothing that others need. */
export const SOMEBODY = 65_534;

/**
 * Program and arguments of the swapper. It begins as root and becomes the other by itself, because
 * he may not execute or read what lies in a folder of root's, as this checkout may.
 *
 * @param outside Where links lead to; none: `home` is made his, one folder in it is swapped once, and that is all.
 */
export function asSwapper(home: string, ...outside: readonly string[]): [string, string[]] {
  const script = readFileSync(join(import.meta.dirname, 'swapper.cjs'), 'utf8');
  return [process.execPath, ['-e', script, String(SOMEBODY), home, ...outside]];
}

/** The other user at work (`swapper.cjs`). */
export class Swapper {
  readonly #child: ChildProcessWithoutNullStreams;
  /** How it ended. */
  readonly #ended: Promise<string>;
  #swaps = 0;
  #made: () => void = () => undefined;

  constructor(home: string, outside: string) {
    const child = spawn(...asSwapper(home, outside), { cwd: '/' });
    this.#child = child;
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-1000);
    });
    // A write to one that has ended; how it did is known by then.
    child.stdin.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, signal) => resolve(`${signal ?? code}: ${complaint.trim()}`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'made') this.#made();
      else this.#swaps = Number(line.slice('swaps '.length));
    });
  }

  /** How often a folder was swapped. */
  get swaps(): number {
    return this.#swaps;
  }

  /** A folder of his, with those above it. */
  async make(folder: string): Promise<void> {
    const made = new Promise<undefined>((resolve) => {
      this.#made = () => resolve(undefined);
      this.#child.stdin.write(`${folder}\n`);
    });
    const ended = await Promise.race([made, this.#ended]);
    if (ended !== undefined) throw new Error(`the one who swaps folders ended with ${ended}`);
  }

  /** Stops him, and waits until he has. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
