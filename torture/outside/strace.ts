import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Start } from './stage.ts';

/**
 * Failing and killing the built programs from outside, at the n-th of a system call, with strace.
 * Its counters are per thread, so libuv gets one thread for files: then the n-th call is the n-th
 * of the program.
 */

/** What strace does at the chosen call. */
export type StraceEffect = 'error=EIO' | 'error=ENOSPC' | 'signal=KILL';

/** One call of a program that touches its data. */
export interface Point {
  readonly syscall: string;
  /**
   * Set where only calls on exactly this file are counted, from the stage's root; else all calls of
   * the thread are.
   */
  readonly path: string | undefined;
  /** Counted from 1. */
  readonly when: number;
}

export interface Injection extends Point {
  readonly effect: StraceEffect;
}

/**
 * Calls that a program makes on its data and on little else are counted by thread; `write` and
 * `openat` also go to pipes, modules and sources, so they are counted on each file of the data
 * folder.
 */
const countedCalls = [
  'fsync',
  'fdatasync',
  'pwrite64',
  'rename',
  'unlink',
  'ftruncate',
  'mkdir',
] as const;
const countedByFile = ['write', 'openat'] as const;
const effects: Readonly<Record<string, readonly StraceEffect[]>> = {
  fsync: ['error=EIO', 'signal=KILL'],
  fdatasync: ['error=EIO', 'signal=KILL'],
  pwrite64: ['error=EIO', 'error=ENOSPC', 'signal=KILL'],
  write: ['error=EIO', 'error=ENOSPC', 'signal=KILL'],
  rename: ['error=EIO', 'signal=KILL'],
  unlink: ['error=EIO', 'signal=KILL'],
  ftruncate: ['error=EIO', 'signal=KILL'],
  mkdir: ['error=ENOSPC', 'signal=KILL'],
  openat: ['error=EIO', 'error=ENOSPC', 'signal=KILL'],
};

/**
 * As a grandchild, so that whoever signals the program reaches it; all threads; paths of
 * descriptors, no contents.
 */
const straceCommand = ['strace', '-D', '-f', '-y', '-s', '0'] as const;
const tracedEnvironment = { UV_THREADPOOL_SIZE: '1', NODE_DISABLE_COMPILE_CACHE: '1' };

/** Why this machine cannot do it, or undefined. */
export async function whyNoStrace(): Promise<string | undefined> {
  try {
    await promisify(execFile)('strace', [
      '-f',
      '-o',
      '/dev/null',
      '-e',
      'inject=fsync:error=EIO',
      'true',
    ]);
    return undefined;
  } catch (error) {
    return `strace cannot be used here: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error)}`;
  }
}

/**
 * Runs a program so that every call of interest is written to `trace`; its pid is the program's
 * own.
 */
export function counting(trace: string): Start {
  const calls = [...countedCalls, ...countedByFile].join(',');
  return {
    environment: tracedEnvironment,
    under: [...straceCommand, '--seccomp-bpf', '-o', trace, '-e', `trace=${calls}`],
  };
}

/** Runs a program with one call failed, or itself killed there. */
export function injecting(
  { syscall, path, when, effect }: Injection,
  root: string,
  trace: string,
): Start {
  const filter = path === undefined ? [] : ['-P', join(root, path)];
  const what = ['-e', `trace=${syscall}`, '-e', `inject=${syscall}:${effect}:when=${when}`];
  // Letting the kernel pass over the other calls is quicker, but then strace (6.1) injects errors
  // and no signals.
  const quicker = effect === 'signal=KILL' ? [] : ['--seccomp-bpf'];
  return {
    environment: tracedEnvironment,
    under: [...straceCommand, ...quicker, '-o', trace, ...filter, ...what],
  };
}

/**
 * The trace when the tracer, which may end a moment after the program, has written it to its end.
 */
export async function finishedTrace(trace: string): Promise<string> {
  for (;;) {
    const text = existsSync(trace) ? await readFile(trace, 'utf8') : '';
    // The first line's process is the program itself; its end is the last thing that strace writes.
    const [, pid] = /^(\d+) /.exec(text) ?? [];
    if (pid !== undefined && new RegExp(`^${pid} +\\+\\+\\+ (exited|killed)`, 'm').test(text))
      return text;
    await delay(5); // how often we look; nothing depends on it
  }
}

/** Every call in a counting trace that touches something below one of these folders, in order. */
export function pointsOf(trace: string, root: string, folders: readonly string[]): Point[] {
  const byThread = new Map<string, number>();
  const byFile = new Map<string, number>();
  const points: Point[] = [];
  const countUp = (counts: Map<string, number>, key: string): number => {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count;
  };
  for (const line of trace.split('\n')) {
    const [, pid, syscall, rest] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
    if (pid === undefined || syscall === undefined || rest === undefined) continue;
    const ofThread = countUp(byThread, `${pid} ${syscall}`);
    const path = /"([^"]+)"/.exec(rest)?.[1] ?? /^\d+<([^>]+)>/.exec(rest)?.[1];
    if (
      path === undefined ||
      !folders.some((folder) => path === folder || path.startsWith(`${folder}/`))
    )
      continue;
    if (countedCalls.some((name) => name === syscall))
      points.push({ syscall, path: undefined, when: ofThread });
    // The random names of unfinished files cannot be told to strace before; what is written to them
    // is counted by thread.
    else if (!path.includes('/.aq-'))
      points.push({
        syscall,
        path: relative(root, path),
        when: countUp(byFile, `${pid} ${syscall} ${path}`),
      });
  }
  return points;
}

/** Every fault that can happen at these calls. */
export function injectionsAt(points: readonly Point[]): Injection[] {
  return points.flatMap((point) =>
    (effects[point.syscall] ?? []).map((effect) => ({ ...point, effect })),
  );
}

/** Whether the fault happened, and to something in one of these folders. */
export function wasHit(trace: string, folders: readonly string[], effect: StraceEffect): boolean {
  if (effect === 'signal=KILL') return /\+\+\+ killed by SIGKILL/.test(trace);
  return trace
    .split('\n')
    .some((line) => line.includes('(INJECTED)') && folders.some((folder) => line.includes(folder)));
}

export function describeInjection({ syscall, path, when, effect }: Injection): string {
  return `${effect} at ${syscall} ${when}${path === undefined ? '' : ` of ${path.split('/').slice(-3).join('/')}`}`;
}
