import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

const wineScript = join(import.meta.dirname, '../wine.sh');
/** What wine.sh ends with where there can be no Wine. */
const SKIPPED = 77;
const LOOK_MS = 250;

export interface Ended {
  /** Wine's exit code: a hint, never evidence. */
  readonly code: number;
  readonly out: string;
}

/** A Windows made of Wine, for one test run. Test only: deploy/windows/test.ts. */
export class Windows {
  readonly folder: string;
  #anchor: ChildProcess | undefined;
  #runs = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Makes one in a new folder; undefined, with a line that says why, where this machine has no
   * Wine.
   */
  static async make(folder: string, wine10: boolean): Promise<Windows | undefined> {
    await mkdir(folder, { recursive: true });
    const windows = new Windows(join(folder, 'windows'));
    const { code, out } = await windows.#sh(
      [...(wine10 ? ['--wine10'] : []), 'make', windows.folder],
      join(folder, 'make.txt'),
    );
    process.stdout.write(out);
    if (code === SKIPPED) return undefined;
    if (code !== 0) throw new Error(`wine.sh make ended with ${code}`);
    return windows;
  }

  /** How a Windows path is named on this machine. */
  disk(path: string): string {
    return join(this.folder, 'prefix/drive_c', ...path.replace(/^C:\\/i, '').split('\\'));
  }

  read(path: string): string {
    const bytes = readFileSync(this.disk(path));
    return bytes[0] === 0xff && bytes[1] === 0xfe
      ? bytes.subarray(2).toString('utf16le')
      : bytes.toString('utf8');
  }

  /**
   * Runs a program to its end. What it says goes through a file: Wine gives it no pipe that works.
   */
  async run(
    program: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Ended> {
    this.#runs += 1;
    return this.#sh(
      ['run', this.folder, program, ...args],
      join(this.folder, `run-${this.#runs}.txt`),
      environment,
    );
  }

  /**
   * Services live for as long as somebody does: Wine ends them with the last program that is none.
   * A machine has somebody logged on, or its own sessions; here it is a command line that waits for
   * input.
   */
  logOn(environment: NodeJS.ProcessEnv = {}, output = join(this.folder, 'log-on.txt')): void {
    const file = openSync(output, 'w');
    const env = { ...process.env, ...environment };
    this.#anchor = spawn(wineScript, ['run', this.folder, 'cmd'], {
      stdio: ['pipe', file, file],
      env,
    });
    closeSync(file);
  }

  /** Ends every program, the services too. */
  async shutDown(): Promise<void> {
    this.#anchor?.stdin?.end();
    await this.#sh(['stop', this.folder], join(this.folder, 'stop.txt'));
    this.#anchor?.kill();
    this.#anchor = undefined;
  }

  /** The processes of this Windows whose command line holds a text. */
  processes(text: string): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
          if (!commandLine.includes(text)) return false;
          return (
            readFileSync(`/proc/${pid}/environ`, 'utf8').includes(
              `WINEPREFIX=${this.folder}/prefix`,
            ) && readlinkSync(`/proc/${pid}/exe`) !== ''
          );
        } catch {
          return false; // it ended while it was looked at
        }
      });
  }

  #sh(
    args: readonly string[],
    output: string,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Ended> {
    const file = openSync(output, 'w');
    const child = spawn(wineScript, args, {
      stdio: ['ignore', file, file],
      env: { ...process.env, ...environment },
    });
    closeSync(file);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) =>
        resolve({ code: code ?? 1, out: readFileSync(output, 'utf8').replaceAll('\r', '') }),
      );
    });
  }
}

/** Waits until something is so. Throws with its name when it does not come to be. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  patienceMs = 120_000,
): Promise<T> {
  const end = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited ${patienceMs / 1000} s in vain until ${what}`);
    await setTimeout(LOOK_MS);
  }
}
