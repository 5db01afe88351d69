/**
 * What small files cost that are stored already: `npm run build && node
 * --conditions=aliquot-source bench/small-again.ts [--files 20000] [--json FILE]`.
 *
 * One repository, one step after the other, each with what it added to the parts of the collector
 * and of the first PC, in bytes a file of the step. Linux only.
 */
import { cpSync, mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare } from './data/prepare.ts';
import { measure, type Usage } from './measure/command.ts';
import { workFolder } from './measure/folder.ts';
import type { KeptShares } from './measure/kept.ts';
import { dataFolder, repositoryFolder } from './options.ts';
import { aligned } from './report.ts';
import { ours } from './systems/ours.ts';
import type { BenchPc } from './systems/system.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '20000' },
    data: { type: 'string', default: dataFolder() },
    work: { type: 'string', default: repositoryFolder() },
    json: { type: 'string' },
    'normal-priority': { type: 'boolean', default: false },
  },
});
const count = Number(values.files);
/** The set has a thousand files a folder, and three folders are changed. */
const FOLDER_FILES = 1000;
if (!Number.isSafeInteger(count) || count < 4 * FOLDER_FILES || count > 100_000) {
  process.stderr.write(`--files takes a number from ${4 * FOLDER_FILES} to 100000\n`);
  process.exit(2);
}

/** One line of the table. */
interface Step {
  readonly name: string;
  readonly files: number;
  readonly usage: Usage;
  readonly grown: KeptShares['bytes'];
}

async function steps(work: string): Promise<Step[]> {
  const set = prepare(values.data, 'small', count / 100_000, (line) => console.error(line));
  const [source, other] = [join(work, 'pc-1'), join(work, 'pc-2')];
  // Copies: what is changed here is no longer the set, and no two have the same inodes.
  for (const to of [source, other])
    cpSync(set.folder, to, { recursive: true, preserveTimestamps: true });
  mkdirSync(join(work, 'repository'));
  const repository = await ours.open(
    join(work, 'repository'),
    values['normal-priority'] ? { agentPriority: 'normal' } : {},
  );
  const folder = (at: number): string => join(source, readdirSync(set.folder).sort()[at] ?? '');
  const filesOf = (path: string): string[] =>
    readdirSync(path)
      .sort()
      .map((name) => join(path, name));
  const done: Step[] = [];
  const step = async (name: string, files: number, change?: () => void, pc: BenchPc = 'pc-1') => {
    console.error(name);
    change?.();
    const before = await repository.bytes();
    const command = repository.backup(pc === 'pc-1' ? source : other, pc);
    const { output: _, ...usage } = await measure(command, { servers: repository.servers });
    const now = await repository.bytes();
    const grown = { ...now };
    for (const part of Object.keys(now) as (keyof typeof now)[]) grown[part] -= before[part];
    done.push({ name, files, usage, grown });
  };
  try {
    await step('first backup', count);
    await step('a second PC with the same files', count, undefined, 'pc-2');
    await step('a folder renamed', FOLDER_FILES, () =>
      renameSync(folder(1), `${folder(1)}-renamed`),
    );
    await step('a folder touched', FOLDER_FILES, () => {
      for (const path of filesOf(folder(2))) utimesSync(path, 1_700_000_000, 1_700_000_000);
    });
    await step('one file touched', 1, () => {
      utimesSync(filesOf(folder(3))[500] ?? '', 1_700_000_000, 1_700_000_000);
    });
    await step('half of a folder moved', FOLDER_FILES / 2, () => {
      mkdirSync(join(source, 'moved'));
      for (const path of filesOf(folder(3)).filter((_, at) => at % 2 === 0))
        renameSync(path, join(source, 'moved', path.slice(folder(3).length + 1)));
    });
  } finally {
    await repository.close();
  }
  return done;
}

const work = workFolder(values.work);
const done = await steps(work.path);
work.remove();
const parts = ['packs', 'history', 'catalog', 'index', 'chain'] as const;
for (const line of aligned([
  ['', 'files', 'wall', 'processor', ...parts.map((part) => `${part}, bytes a file`)],
  ...done.map(({ name, files, usage, grown }) => [
    name,
    String(files),
    `${usage.wallSeconds.toFixed(2)} s`,
    `${(usage.clientCpuSeconds + usage.serverCpuSeconds).toFixed(2)} s`,
    ...parts.map((part) => (grown[part] / files).toFixed(1)),
  ]),
]))
  console.log(line);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ version: 1, count, steps: done }, null, 1)}\n`);
