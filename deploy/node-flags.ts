/**
 * The flags that both programs want of Node, each with the first Node that knows it: one that is
 * not known ends Node with "bad option". Whatever starts a program takes its flags from here, by
 * the version of the Node that it starts: the launchers of a clone, packages, units, the host on
 * Windows.
 */

/** Which of the two programs. */
export type Program = 'agent' | 'collector';

interface NodeFlag {
  readonly flag: string;
  /** The first version of Node that knows the flag; absent where every supported one does. */
  readonly since?: string;
  readonly programs: readonly Program[];
  /** Only for this command, or for all but this one. */
  readonly command?: string;
  readonly notFor?: string;
}

const both: readonly Program[] = ['agent', 'collector'];

const list: readonly NodeFlag[] = [
  // One limit for objects and buffers together: else every 32 MB of buffers make V8 look at the
  // whole heap, which took a quarter of all processor time.
  { flag: '--external-memory-accounted-in-global-limit', since: '24.0.0', programs: both },
  // At most as much garbage as there is alive, and a small heap to begin with: a fifth less memory
  // at the peak. A server has more that lives.
  { flag: '--heap-growing-percent=100', programs: both, notFor: 'serve' },
  // What agents send lives shortly: to look at the heap more often costs a server a hundredth of
  // its time, and spares it 15 MiB.
  { flag: '--heap-growing-percent=60', programs: ['collector'], command: 'serve' },
  { flag: '--initial-old-space-size=16', programs: both, notFor: 'serve' },
  { flag: '--initial-old-space-size=32', programs: ['collector'], command: 'serve' },
  { flag: '--max-semi-space-size=2', programs: ['collector'] },
  // Code for size. New objects are collected by the mebibyte, which one thread does with less than
  // several that wake each other.
  { flag: '--optimize-for-size', programs: ['agent'] },
  { flag: '--no-parallel-scavenge', programs: ['agent'] },
];

/**
 * The flags for one command of a program on the Node of this version, such as `24.21.0`.
 *
 * Seam: for lines that are written once for one command, such as a unit's.
 */
export function nodeFlags(program: Program, command: string, version: string): string[] {
  return list
    .filter(
      ({ programs, since }) =>
        programs.includes(program) && (since === undefined || !isOlder(version, since)),
    )
    .filter(
      (flag) => (flag.command === undefined || flag.command === command) && flag.notFor !== command,
    )
    .map(({ flag }) => flag);
}

/**
 * The file `node-flags` beside a program, which launchers read: lines of a command and its flags,
 * of which the first that fits counts; `*` is any other command. Written for the Node that will
 * start the program: by the build for the project's own, by packaging for the one in the package.
 */
export function nodeFlagsFile(program: Program, version: string): string {
  const commands = [
    ...new Set(
      list.flatMap(({ programs, command }) =>
        programs.includes(program) && command !== undefined ? [command] : [],
      ),
    ),
  ];
  return [...commands, '*']
    .map((command) => `${command} ${nodeFlags(program, command, version).join(' ')}\n`)
    .join('');
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number)) as [number[], number[]];
  const differing = a.findIndex((part, index) => part !== b[index]);
  return differing >= 0 && (a[differing] ?? 0) < (b[differing] ?? 0);
}
