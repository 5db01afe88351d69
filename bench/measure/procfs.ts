import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/**
 * What Linux tells of processes. A process that has ended meanwhile counts as nothing: it may do so
 * at any time.
 */

/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Processor seconds, user and system: of the process itself, and of its children that ended and
 * were waited for.
 */
export function cpuOf(pid: number | 'self'): { readonly own: number; readonly waited: number } {
  // The name stands in brackets and may hold anything; the fields follow the last one.
  const stat = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ');
  const seconds = (field: number): number => Number(stat?.[field - 3] ?? 0) / TICKS_PER_SECOND;
  return { own: seconds(14) + seconds(15), waited: seconds(16) + seconds(17) };
}

/** A thread of a living process, and the processor time that it took so far. */
export interface ThreadTime {
  readonly id: number;
  readonly name: string;
  readonly seconds: number;
}

/** Every living thread of a process, to the nanosecond. */
export function threadTimesOf(pid: number): ThreadTime[] {
  return namesIn(`/proc/${pid}/task`).flatMap((id) => {
    const [nanoseconds] = read(`/proc/${pid}/task/${id}/schedstat`)?.split(' ') ?? [];
    const name = read(`/proc/${pid}/task/${id}/comm`)?.trim();
    if (nanoseconds === undefined || name === undefined) return [];
    return [{ id: Number(id), name, seconds: Number(nanoseconds) / 1e9 }];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The living children of a process, whichever thread started them. */
function childrenOf(pid: number): number[] {
  return namesIn(`/proc/${pid}/task`).flatMap((thread) =>
    (read(`/proc/${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number),
  );
}

/** A process and all that it started, as far as they live. */
export function treeOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

/** Processor seconds of living process trees, with their ended children. */
export function cpuOfTrees(roots: readonly number[]): number {
  return roots.flatMap(treeOf).reduce((sum, pid) => sum + cpuOf(pid).own + cpuOf(pid).waited, 0);
}

/**
 * A figure of /proc/PID/status in bytes: `VmHWM` is the peak of the resident memory, `VmRSS` what
 * it is now, `RssAnon` what of that is no file's; 0 when the process has ended.
 */
export function memoryOf(pid: number, field: 'VmHWM' | 'VmRSS' | 'RssAnon'): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(
    read(`/proc/${pid}/status`) ?? '',
  )?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

/** The sum over the trees. Pages that two processes share count twice, as in every such figure. */
export function memoryOfTrees(roots: readonly number[], field: 'VmHWM' | 'VmRSS'): number {
  return roots.flatMap(treeOf).reduce((sum, pid) => sum + memoryOf(pid, field), 0);
}

/** Lets `VmHWM` start over at what the processes hold now. */
export function resetPeaks(roots: readonly number[]): void {
  for (const pid of roots.flatMap(treeOf)) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // It has ended, or the system does not let us: then the peak is one of a longer time, which
      // is no less true.
    }
  }
}

/** The words with which a process was started. */
export function commandLineOf(pid: number): string {
  return (read(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim();
}
