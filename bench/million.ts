/**
 * A million small files, from the first backup to the last: `npm run build && node
 * --conditions=aliquot-source bench/million.ts [--files 1000000] [--shape tree|folder|both]
 * [--no-restores] [--json FILE]`.
 *
 * First backup, nothing changed, one changed, all renamed, all deleted, with what each cost; then
 * the state of each time is restored and every byte compared. What one changed file costs in rows
 * is counted with a second one, by programs from their sources. Linux only.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { measure, run, type Usage } from './measure/command.ts';
import { workFolder } from './measure/folder.ts';
import type { KeptShares } from './measure/kept.ts';
import { ManyFiles, type TreeShape, type TreeState } from './million/tree.ts';
import { countedOperations, readOperations } from './operations/operations.ts';
import { repositoryFolder } from './options.ts';
import { aligned } from './report.ts';
import { type OurRepository, ours } from './systems/ours.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000000' },
    shape: { type: 'string', default: 'both' },
    'no-restores': { type: 'boolean', default: false },
    work: { type: 'string', default: repositoryFolder() },
    json: { type: 'string' },
    'normal-priority': { type: 'boolean', default: false },
  },
});
const count = Number(values.files);
const shapes = (['tree', 'folder'] as const).filter(
  (shape) => values.shape === 'both' || values.shape === shape,
);
if (!Number.isSafeInteger(count) || count < 10 || count > 10_000_000 || shapes.length === 0) {
  process.stderr.write(
    '--files takes a number from 10 to 10000000, --shape tree, folder or both\n',
  );
  process.exit(2);
}
/** What a file takes of the disk at most: its own block, stored, restored, and in the indexes. */
const ROOM_A_FILE = 14_000;

/** One line of the table. */
interface Step {
  readonly shape: TreeShape;
  readonly name: string;
  readonly usage: Usage;
  /** By how much each part grew; of a restore: nothing. */
  readonly grown?: KeptShares['bytes'];
}
/** A time, and what there was then. */
interface Moment {
  readonly name: string;
  readonly at: string;
  readonly state: TreeState;
}
type Rows = ReadonlyMap<string, number>;

const steps: Step[] = [];
const costs: string[] = [];
const say = (line: string): void => console.error(line);

/** Everything with one tree, in a repository of its own. */
async function live(shape: TreeShape, work: string): Promise<void> {
  const [folder, source] = [join(work, shape), join(work, shape, 'source')];
  mkdirSync(source, { recursive: true });
  const files = new ManyFiles(source, shape, count);
  const repository = await ours.open(
    folder,
    values['normal-priority'] ? { agentPriority: 'normal' } : {},
  );
  const moments: Moment[] = [];
  const step = async (name: string, change: () => void): Promise<void> => {
    say(`${shape}: ${name}`);
    change();
    const before = await repository.bytes();
    const { servers } = repository;
    const { output: _, ...usage } = await measure(repository.backup(source, 'pc-1'), { servers });
    steps.push({ shape, name, usage, grown: less(await repository.bytes(), before) });
    moments.push({ name, at: new Date().toISOString(), state: files.state });
    // A version's time is told to the millisecond: the next one has to be a later one.
    await delay(50);
  };
  try {
    await step('first backup', () => files.make());
    await step('nothing changed', () => undefined);
    await step('one changed', () => files.change(count >> 1));
    const nothing = await rowsOfBackup(repository, source, join(folder, 'counted-nothing'));
    files.change((count >> 1) + 1);
    const before = await repository.bytes();
    const one = await rowsOfBackup(repository, source, join(folder, 'counted-one'));
    costs.push(`${shape}: one changed file costs`);
    costs.push(...costOf(one, nothing), `  ${bytesLine(less(await repository.bytes(), before))}`);
    await step('all renamed', () => files.renameAll());
    await step('all deleted', () => files.deleteAll());
    for (const moment of values['no-restores'] ? [] : moments)
      await restore(shape, repository, files, moment, { source, to: join(folder, 'restored') });
  } finally {
    await repository.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function restore(
  shape: TreeShape,
  repository: OurRepository,
  files: ManyFiles,
  { name, at, state }: Moment,
  { source, to }: { readonly source: string; readonly to: string },
): Promise<void> {
  say(`${shape}: restoring ${name}`);
  mkdirSync(to);
  const { servers } = repository;
  const { output: _, ...usage } = await measure(repository.restoreAt(at, to), { servers });
  const differs = files.difference(repository.restoredPath(source, source, to), state);
  if (differs !== undefined) throw new Error(`${shape}, ${name}: ${differs}`);
  rmSync(to, { recursive: true });
  steps.push({ shape, name: `restored: ${name}`, usage });
}

/** A backup by programs that count their rows: what was put and deleted, by side and kind. */
async function rowsOfBackup(
  repository: OurRepository,
  source: string,
  left: string,
): Promise<Rows> {
  mkdirSync(left);
  await repository.restart((command) => countedOperations(command, join(left, 'collector')));
  await run(countedOperations(repository.backup(source, 'pc-1'), join(left, 'agent')));
  await repository.restart();
  const rows = new Map<string, number>();
  for (const name of readdirSync(left))
    for (const { counts } of readOperations(readFileSync(join(left, name), 'utf8')))
      for (const [what, times] of Object.entries(counts))
        if (/^LevelDB, rows (put|deleted):/.test(what)) {
          const row = `${name.split('-')[0]}, ${what.slice('LevelDB, '.length)}`;
          rows.set(row, (rows.get(row) ?? 0) + times);
        }
  return rows;
}

/** Rows that the one file costs more than none. */
function costOf(one: Rows, nothing: Rows): string[] {
  return [...one]
    .map(([row, times]) => [row, times - (nothing.get(row) ?? 0)] as const)
    .filter(([, times]) => times !== 0)
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([row, times]) => `  ${row} ${times}`);
}

function less(now: KeptShares['bytes'], before: KeptShares['bytes']): KeptShares['bytes'] {
  const { packs, history, catalog, index, chain, segments } = now;
  return {
    packs: packs - before.packs,
    history: history - before.history,
    catalog: catalog - before.catalog,
    index: index - before.index,
    chain: chain - before.chain,
    segments: segments - before.segments,
  };
}

const bytesLine = (grown: KeptShares['bytes']): string =>
  `bytes: ${Object.entries(grown)
    .map(([part, bytes]) => `${part} ${bytes}`)
    .join(', ')}`;

function lines(): string[] {
  const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
  const mb = (bytes: number | undefined): string =>
    bytes === undefined ? '' : `${(bytes / 1e6).toFixed(2)} MB`;
  return aligned([
    ['', 'wall', 'agent', 'collector', 'peak', 'its peak', 'packs', 'history', 'catalog', 'index'],
    ...steps.map(({ shape, name, usage, grown }) => [
      `${shape}, ${name}`,
      `${usage.wallSeconds.toFixed(2)} s`,
      `${usage.clientCpuSeconds.toFixed(2)} s`,
      `${usage.serverCpuSeconds.toFixed(2)} s`,
      mib(usage.clientPeakBytes),
      mib(usage.serverPeakBytes),
      mb(grown?.packs),
      mb(grown?.history),
      mb(grown?.catalog),
      mb(grown?.index),
    ]),
  ]);
}

const work = workFolder(values.work);
const { bavail, bsize } = statfsSync(work.path);
if (bavail * bsize < count * ROOM_A_FILE)
  throw new Error(
    `${work.path} has ${((bavail * bsize) / 1e9).toFixed(1)} GB free and this may need ${((count * ROOM_A_FILE) / 1e9).toFixed(1)}; choose fewer --files, or another --work`,
  );
for (const shape of shapes) await live(shape, work.path);
work.remove();
console.log(
  `${count.toLocaleString('en')} small files; every state restored and compared is named`,
);
for (const line of [...lines(), '', ...costs]) console.log(line);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ version: 1, count, steps, costs }, null, 1)}\n`);
