/**
 * What one small file costs in operations, by thread, on both sides: `npm run build && node
 * --conditions=aliquot-source bench/small-operations.ts [--files 20000] [--json FILE]`.
 *
 * Three first backups of the same files, each beside one of a few files that is taken off, so that
 * starting and ending count nothing: the built programs as they are, for the processor time of
 * their threads; the built programs with the C library's calls counted; and the programs from their
 * sources with every operation counted. Counts repeat from run to run; times are those of the
 * machine. Linux only; the C library's calls need a C compiler.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare } from './data/prepare.ts';
import { type Command, finish, start } from './measure/command.ts';
import { workFolder } from './measure/folder.ts';
import { threadTimesOf } from './measure/procfs.ts';
import { countedOperations, operations, readOperations } from './operations/operations.ts';
import { dataFolder, repositoryFolder } from './options.ts';
import { aligned } from './report.ts';
import { ours } from './systems/ours.ts';

const FEW_FILES = 200;
const SAMPLE_MS = 20;
const root = join(import.meta.dirname, '..');

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '20000' },
    data: { type: 'string', default: dataFolder() },
    work: { type: 'string', default: repositoryFolder() },
    json: { type: 'string' },
  },
});
const files = Number(values.files);
if (!Number.isSafeInteger(files) || files <= FEW_FILES || files > 100_000) {
  process.stderr.write(`--files takes a number above ${FEW_FILES} up to 100000\n`);
  process.exit(2);
}

type Side = 'agent' | 'collector';
/** How often something was done, by `side, thread`. */
type Counts = Map<string, Map<string, number>>;

function add(counts: Counts, thread: string, what: string, times: number): void {
  const column = counts.get(thread) ?? new Map<string, number>();
  column.set(what, (column.get(what) ?? 0) + times);
  counts.set(thread, column);
}

/** A way to run the programs so that something of them is counted. */
interface Counting {
  readonly name: string;
  /** How a program is started; what it leaves behind goes to files that `out` begins. */
  command(command: Command, out: string): Command;
  /** What a program left behind; undefined: something else that was started. */
  read(text: string): readonly (readonly [thread: string, what: string, times: number])[];
}

/** V8's and libuv's helpers are several, and whose work they do is not told. */
function shown(thread: string): string {
  if (thread === 'MainThread' || thread === 'main') return 'main';
  if (/^(V8Worker|node-V8Worker)/.test(thread)) return "V8's helpers";
  if (/^libuv-worker/.test(thread)) return "libuv's helpers";
  return /^(DelayedTaskSche|SignalInspector)/.test(thread) ? 'other' : thread;
}

const asBuilt: Counting = { name: 'processor time', command: (command) => command, read: () => [] };

function callsOfC(library: string): Counting {
  return {
    name: "the C library's calls",
    command: (command, out) => ({
      ...command,
      environment: { ...command.environment, LD_PRELOAD: library, CALLS_OUT: out },
    }),
    read(text) {
      // The launcher's own helpers (`sed`, `env`) leave files behind as well.
      if (!text.includes('\tMainThread\t')) return [];
      return text
        .split('\n')
        .filter(Boolean)
        .flatMap((line) => {
          const [, thread = '', mallocs, syncs] = line.split('\t');
          return [
            [shown(thread), 'C library, pieces of memory', Number(mallocs)],
            [shown(thread), 'C library, syncs', Number(syncs)],
          ] as const;
        });
    },
  };
}

const ownOperations: Counting = {
  name: 'operations',
  command: countedOperations,
  read: (text) =>
    readOperations(text).flatMap(({ name, counts }) =>
      Object.entries(counts).map(([what, times]) => [shown(name), what, times] as const),
    ),
};

/** Backs up one set of files with both programs counted. */
async function countsOf(counting: Counting, count: number, work: string): Promise<Counts> {
  const set = prepare(values.data, 'small', count / 100_000, (line) => console.error(line));
  const folder = join(work, `${counting.name.replaceAll(/\W+/g, '-')}-${count}`);
  const left = join(folder, 'left');
  mkdirSync(left, { recursive: true });
  const started = (side: Side) => (command: Command) => counting.command(command, join(left, side));
  const counts: Counts = new Map();
  const times = new Map<string, Map<number, readonly [thread: string, seconds: number]>>();
  const look = (side: Side, pid: number | undefined): void => {
    const threads = times.get(side) ?? new Map();
    for (const { id, name, seconds } of threadTimesOf(pid ?? 0)) threads.set(id, [name, seconds]);
    times.set(side, threads);
  };
  const repository = await ours.open(folder, { agentPriority: 'normal' }, started('collector'));
  try {
    const command = started('agent')(repository.backup(set.folder, 'pc-1'));
    const agent = start(command);
    const timer = setInterval(() => {
      look('agent', agent.pid);
      look('collector', repository.servers[0]);
    }, SAMPLE_MS);
    await finish(agent, command).finally(() => clearInterval(timer));
    look('collector', repository.servers[0]);
  } finally {
    await repository.close();
  }
  if (counting === asBuilt)
    for (const [side, threads] of times)
      for (const [name, seconds] of threads.values())
        add(counts, `${side}, ${shown(name)}`, 'processor, µs', seconds * 1e6);
  for (const name of readdirSync(left)) {
    const [side = ''] = name.split('-');
    for (const [thread, what, times] of counting.read(readFileSync(join(left, name), 'utf8')))
      add(counts, `${side}, ${thread}`, what, times);
  }
  return counts;
}

/** What each further file costs: many files less few, by the file. */
function byFile(many: Counts, few: Counts): Counts {
  const each: Counts = new Map();
  for (const [thread, column] of many)
    for (const [what, times] of column)
      add(each, thread, what, (times - (few.get(thread)?.get(what) ?? 0)) / (files - FEW_FILES));
  return each;
}

function compiled(folder: string): Counting[] {
  const library = join(folder, 'calls.so');
  const source = join(root, 'bench/operations/calls.c');
  const flags = ['-O2', '-shared', '-fPIC', '-ftls-model=initial-exec'];
  try {
    execFileSync('cc', [...flags, '-o', library, source], { stdio: 'pipe' });
    return [callsOfC(library)];
  } catch {
    console.error("the C library's calls are not counted: there is no C compiler (cc)");
    return [];
  }
}

const LEAST_SHOWN = 0.0005;
const number = (value: number): string => {
  if (Math.abs(value) < LEAST_SHOWN) return '';
  return value.toFixed(Math.abs(value) < 1 ? 3 : Math.abs(value) < 100 ? 2 : 0);
};

/** One side: a column a thread, and a row for whatever at least one of them does. */
function table(side: Side, each: Counts): string[] {
  const cell = (thread: string, what: string): string => number(each.get(thread)?.get(what) ?? 0);
  const mine = [...each.keys()].filter((thread) => thread.startsWith(`${side}, `)).sort();
  const listed = [
    'processor, µs',
    'C library, pieces of memory',
    'C library, syncs',
    ...operations,
  ];
  const others = new Set(mine.flatMap((thread) => [...(each.get(thread)?.keys() ?? [])].sort()));
  const rows = [...new Set([...listed, ...others])].filter((what) =>
    mine.some((thread) => cell(thread, what) !== ''),
  );
  const threads = mine.filter((thread) => rows.some((what) => cell(thread, what) !== ''));
  const cells = [
    [`${side}, by the file`, ...threads.map((thread) => thread.slice(side.length + 2))],
    ...rows.map((what) => [what, ...threads.map((thread) => cell(thread, what))]),
  ];
  return aligned(cells);
}

const folder = workFolder(values.work);
const each: Counts = new Map();
for (const counting of [asBuilt, ...compiled(folder.path), ownOperations]) {
  console.error(`counting ${counting.name}`);
  const [few, many] = [
    await countsOf(counting, FEW_FILES, folder.path),
    await countsOf(counting, files, folder.path),
  ];
  for (const [thread, column] of byFile(many, few))
    for (const [what, times] of column) add(each, thread, what, times);
}
folder.remove();
for (const line of [...table('agent', each), '', ...table('collector', each)]) console.log(line);
if (values.json !== undefined) {
  const figures = Object.fromEntries(
    [...each].map(([at, column]) => [at, Object.fromEntries(column)]),
  );
  writeFileSync(
    values.json,
    `${JSON.stringify({ version: 1, files, byFile: figures }, null, 1)}\n`,
  );
}
