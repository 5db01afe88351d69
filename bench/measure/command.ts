import { type ChildProcess, spawn } from 'node:child_process';
import {
  commandLineOf,
  cpuOf,
  cpuOfTrees,
  memoryOf,
  memoryOfTrees,
  resetPeaks,
  treeOf,
} from './procfs.ts';

/** A program as it is started, and what counts as its success. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Exit codes that mean success; 0 by default. */
  readonly accepted?: readonly number[];
}

/** What one measured command cost. */
export interface Usage {
  readonly wallSeconds: number;
  /**
   * Processor seconds, user and system, of the command with all its children. Exact: from the
   * kernel's accounts, in steps of 10 ms.
   */
  readonly clientCpuSeconds: number;
  /** The same of the servers while it ran. */
  readonly serverCpuSeconds: number;
  /** Peaks of resident memory, sampled every 25 ms from the kernel's own high-water marks. */
  readonly clientPeakBytes: number;
  readonly serverPeakBytes: number;
}

export interface Surroundings {
  /** Processes that serve and go on living. */
  readonly servers?: readonly number[];
  /**
   * Processes that go on living and belong to the client's side: a service that does the command's
   * work.
   */
  readonly companions?: readonly number[];
  /**
   * Tells, by its command line, a child of the command that is the server's side (one that a pipe
   * connects).
   */
  readonly isServer?: (commandLine: string) => boolean;
  /** Once true, the client's memory peak starts over: what came before is not to be counted. */
  readonly peakFrom?: () => boolean;
}

const SAMPLE_MS = 25;
const TAIL = 4000;
const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/**
 * Starts a program of which something is expected; it is ended with this process, if not before.
 */
export function start({ program, args, cwd, environment }: Command): ChildProcess {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  living.add(child);
  child.once('close', () => living.delete(child));
  child.once('error', () => living.delete(child));
  return child;
}

/**
 * Runs a command that has to succeed, and gives its standard output. Throws with its last words
 * when it does not.
 */
export async function run(command: Command): Promise<string> {
  return (await finish(start(command), command)).output;
}

/**
 * Runs a command that has to succeed and measures it. Nothing else may be waited for meanwhile: its
 * account would be mixed up with this one.
 */
export async function measure(
  command: Command,
  { servers = [], companions = [], isServer, peakFrom }: Surroundings = {},
): Promise<Usage & { readonly output: string }> {
  resetPeaks([...servers, ...companions]);
  const cpuBefore = cpuOf('self').waited;
  const serverBefore = cpuOfTrees(servers);
  const companionBefore = cpuOfTrees(companions);
  const peaks = new Map<number, { bytes: number; server: boolean }>();
  let counting = peakFrom === undefined;
  const began = performance.now();
  const child = start(command);
  const sample = (): void => {
    if (child.pid === undefined) return;
    const tree = treeOf(child.pid);
    if (!counting && peakFrom?.() === true) {
      counting = true;
      resetPeaks(tree);
    }
    if (!counting) return;
    for (const pid of tree) {
      const bytes = memoryOf(pid, 'VmHWM');
      // Asked again while the answer is no: between fork and exec a child still has its parent's
      // command line.
      const server = peaks.get(pid)?.server === true || isServer?.(commandLineOf(pid)) === true;
      if (bytes > 0) peaks.set(pid, { bytes, server });
    }
  };
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    const { output } = await finish(child, command);
    const wallSeconds = (performance.now() - began) / 1000;
    const sumOf = (server: boolean): number =>
      [...peaks.values()].reduce((sum, peak) => sum + (peak.server === server ? peak.bytes : 0), 0);
    return {
      output,
      wallSeconds,
      clientCpuSeconds: cpuOf('self').waited - cpuBefore + cpuOfTrees(companions) - companionBefore,
      serverCpuSeconds: cpuOfTrees(servers) - serverBefore,
      clientPeakBytes: sumOf(false) + memoryOfTrees(companions, 'VmHWM'),
      serverPeakBytes: sumOf(true) + memoryOfTrees(servers, 'VmHWM'),
    };
  } finally {
    clearInterval(timer);
  }
}

/** Asks a program to stop, and waits for it. */
export async function stop(child: ChildProcess, patienceMs = 20_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  await closed.finally(() => clearTimeout(impatience));
}

/** Waits for a program that has to succeed. Throws with its last words when it does not. */
export function finish(
  child: ChildProcess,
  command: Command,
): Promise<{ readonly output: string }> {
  const { program, args, accepted = [0] } = command;
  const parts: Buffer[] = [];
  let complaint = '';
  child.stdout?.on('data', (bytes: Buffer) => parts.push(bytes));
  child.stderr?.on('data', (bytes: Buffer) => {
    complaint = (complaint + bytes.toString()).slice(-TAIL);
  });
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(new Error(`${program} could not be started: ${error.message}`)),
    );
    child.once('close', (code, signal) => {
      const output = Buffer.concat(parts).toString();
      if (code !== null && accepted.includes(code)) return resolve({ output });
      const words = (complaint || output.slice(-TAIL)).trim().split('\n').slice(-5).join('\n');
      reject(
        new Error(
          `${program} ${args.slice(0, 3).join(' ')} … ended with ${code ?? signal}: ${words}`,
        ),
      );
    });
  });
}
