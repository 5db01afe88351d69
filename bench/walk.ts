/**
 * How far one chunk walks through the programs, and the shape of the rooms that it passes.
 *
 *     node --conditions=aliquot-source bench/walk.ts [--list]
 *
 * A collector, an agent that backs up files of one chunk each, and a restore run from their
 * sources; every function that is entered is written down, in all threads. What is entered at least
 * once more for each further file is on the walk of a chunk. `--list` names the files.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readSources } from '../scripts/lib/sources.ts';
import { type Command, run } from './measure/command.ts';
import { workFolder } from './measure/folder.ts';
import { fromSources } from './measure/sources.ts';
import { ours } from './systems/ours.ts';
import { shapeOf } from './walk/shape.ts';

const FURTHER_FILES = 20;
/** Below the smallest size at which a file is cut. */
const FILE_BYTES = 100_000;
const shapedRooms = ['agent/src/queue', 'agent/src/capture', 'collector/src/store'];

const { values } = parseArgs({ options: { list: { type: 'boolean', default: false } } });
const root = join(import.meta.dirname, '..');

/** What one program entered, in order, in all its threads: `file:offset`. */
type Trace = ReadonlyMap<string, readonly string[]>;

/** Backs up and restores so many files; gives what each program entered. */
async function walk(folder: string, files: number): Promise<Trace> {
  const [source, traces] = [join(folder, 'source'), join(folder, 'traces')];
  for (const path of [source, traces]) mkdirSync(path, { recursive: true });
  for (let number = 0; number < files; number++)
    writeFileSync(join(source, `${number}`), randomBytes(FILE_BYTES));
  const traced = (command: Command, name: string): Command =>
    fromSources(command, 'walk/hook.ts', { WALK_TRACE: join(traces, name) });
  const repository = await ours.open(folder, {}, (command) => traced(command, 'serve'));
  try {
    await run(traced(repository.backup(source, 'pc-1'), 'backup'));
    await run(traced(repository.restore(source, join(folder, 'restored')), 'restore'));
  } finally {
    await repository.close();
  }
  const trace = new Map<string, string[]>();
  for (const name of readdirSync(traces)) {
    const [program = ''] = name.split('-');
    const entered = readFileSync(join(traces, name), 'utf8').split('\n').filter(Boolean);
    trace.set(program, [...(trace.get(program) ?? []), ...entered]);
  }
  return trace;
}

const fileOf = (where: string): string => where.split(':')[0] ?? '';

function timesOf(entered: readonly string[] = []): Map<string, number> {
  const times = new Map<string, number>();
  for (const where of entered) times.set(where, (times.get(where) ?? 0) + 1);
  return times;
}

const folder = workFolder(tmpdir());
const one = await walk(join(folder.path, 'one'), 1);
const many = await walk(join(folder.path, 'many'), 1 + FURTHER_FILES);
folder.remove();

/** How often a program goes from one file to another, of what is on a chunk's walk. */
function movesOf(entered: readonly string[] = [], onWalk: ReadonlySet<string>): number {
  const files = entered.filter((where) => onWalk.has(where)).map(fileOf);
  return files.filter((file, at) => file !== files[at - 1]).length;
}

const passed = new Map<string, string[]>();
let [moves, first] = [0, 0];
for (const [program, entered] of many) {
  const alone = timesOf(one.get(program));
  const onWalk = new Set<string>();
  for (const [where, times] of timesOf(entered))
    if (times - (alone.get(where) ?? 0) >= FURTHER_FILES) onWalk.add(where);
  const further = movesOf(entered, onWalk) - movesOf(one.get(program), onWalk);
  moves += Math.round(further / FURTHER_FILES);
  const files = new Set([...onWalk].map(fileOf));
  first += files.size;
  for (const file of files) passed.set(file, [...(passed.get(file) ?? []), program]);
}

console.log(
  `one chunk passes ${passed.size} files, in ${moves} moves, ${moves - first} of them returns`,
);
const byRoom = new Map<string, string[]>();
for (const file of [...passed.keys()].sort()) {
  const room = file.split('/').slice(0, 3).join('/');
  byRoom.set(room, [...(byRoom.get(room) ?? []), file]);
}
for (const [room, files] of [...byRoom].sort((a, b) => b[1].length - a[1].length)) {
  console.log(`  ${room}: ${files.length}`);
  if (values.list)
    for (const file of files) console.log(`    ${file} (${passed.get(file)?.join(', ')})`);
}
const sources = readSources(root);
for (const name of shapedRooms) {
  const { room, files, floors, circles, widest, methods } = shapeOf(name, sources);
  console.log(
    `${room}: ${files} files, ${floors} floors, ${circles} circles, widest interface ${widest} with ${methods} methods`,
  );
}
