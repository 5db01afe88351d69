/**
 * How the cost grows with what is protected: `npm run build && node --conditions=aliquot-source
 * bench/growth.ts [--steps 0.01,0.1,1] [--json FILE] [--svg FILE]`.
 *
 * At each step one agent backs up the mixed and the small set at that scale (1, 10 and 100 times as
 * many files and bytes; 105,000 files and 2.6 GB at the last), then looks at them again. `--from
 * FILE` draws the picture again from figures that are there.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare } from './data/prepare.ts';
import { type GrowthReport, type GrowthStep, growthPicture } from './growth-picture.ts';
import { measure, run } from './measure/command.ts';
import { bytesUnder } from './measure/disk.ts';
import { workFolder } from './measure/folder.ts';
import { memoryOfTrees } from './measure/procfs.ts';
import { median } from './measure/statistics.ts';
import { dataFolder, repositoryFolder } from './options.ts';
import { ours } from './systems/ours.ts';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '0.01,0.1,1' },
    runs: { type: 'string', default: '3' },
    data: { type: 'string', default: dataFolder() },
    work: { type: 'string', default: repositoryFolder() },
    'normal-priority': { type: 'boolean', default: false },
    json: { type: 'string' },
    svg: { type: 'string' },
    from: { type: 'string' },
  },
});
/** Bytes of all catalogs of a collector's folder: one below each vault. */
async function catalogBytes(collector: string): Promise<number> {
  const folders = readdirSync(collector, { recursive: true, withFileTypes: true });
  const catalogs = folders.filter((entry) => entry.isDirectory() && entry.name === 'catalog');
  let sum = 0;
  for (const { parentPath, name } of catalogs) sum += await bytesUnder(join(parentPath, name));
  return sum;
}

async function step(scale: number): Promise<GrowthStep> {
  const sets = (['mixed', 'small'] as const).map((name) =>
    prepare(values.data, name, scale, (line) => console.error(line)),
  );
  const folder = workFolder(values.work);
  const repository = await ours.open(
    folder.path,
    values['normal-priority'] ? { agentPriority: 'normal' } : {},
  );
  const { servers } = repository;
  try {
    const agentPeaks: number[] = [];
    let collectorPeak = 0;
    let firstSeconds = 0;
    for (const set of sets) {
      const usage = await measure(repository.backup(set.folder, 'pc-1'), { servers });
      agentPeaks.push(usage.clientPeakBytes);
      collectorPeak = Math.max(collectorPeak, usage.serverPeakBytes);
      firstSeconds += usage.wallSeconds;
    }
    const unchanged: number[] = [];
    for (let turn = 0; turn < Number(values.runs); turn += 1) {
      let seconds = 0;
      for (const set of sets)
        seconds += (await measure(repository.backup(set.folder, 'pc-1'), { servers })).wallSeconds;
      unchanged.push(seconds);
    }
    const figures = await chunksOf(repository);
    return {
      scale,
      files: sets.reduce((sum, set) => sum + set.files, 0),
      bytes: sets.reduce((sum, set) => sum + set.bytes, 0),
      firstSeconds,
      unchangedSeconds: median(unchanged),
      agentPeakBytes: Math.max(...agentPeaks),
      collectorPeakBytes: collectorPeak,
      collectorRestBytes: memoryOfTrees(servers, 'VmRSS'),
      chunks: figures,
      catalogBytes: await catalogBytes(join(folder.path, 'collector')),
      storedBytes: await repository.storedBytes(),
    };
  } finally {
    await repository.close();
    folder.remove();
  }
}

async function chunksOf(repository: Awaited<ReturnType<typeof ours.open>>): Promise<number> {
  const answer = await run(repository.statistics());
  for (const line of answer.split('\n')) {
    if (line.startsWith('{')) return Number((JSON.parse(line) as { chunks?: unknown }).chunks);
  }
  throw new Error('the collector gave no statistics');
}

async function measured(): Promise<GrowthReport> {
  const steps: GrowthStep[] = [];
  for (const scale of values.steps.split(',').map(Number)) {
    console.error(`scale ${scale}`);
    steps.push(await step(scale));
  }
  return { version: 1, node: process.version, steps };
}

const report =
  values.from === undefined
    ? await measured()
    : (JSON.parse(readFileSync(values.from, 'utf8')) as GrowthReport);
const rows = [
  [
    'files',
    'MB',
    'chunks',
    'first s',
    'unchanged s',
    'agent MiB',
    'collector MiB',
    'catalog B/chunk',
    'stored / raw',
  ],
  ...report.steps.map((one) => [
    one.files.toLocaleString('en'),
    (one.bytes / 1e6).toFixed(0),
    one.chunks.toLocaleString('en'),
    one.firstSeconds.toFixed(2),
    one.unchangedSeconds.toFixed(2),
    (one.agentPeakBytes / 2 ** 20).toFixed(0),
    (one.collectorPeakBytes / 2 ** 20).toFixed(0),
    (one.catalogBytes / one.chunks).toFixed(0),
    (one.storedBytes / one.bytes).toFixed(3),
  ]),
];
const widths =
  rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
for (const row of rows)
  console.log(row.map((cell, at) => cell.padStart(widths[at] ?? 0)).join('  '));
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
if (values.svg !== undefined) writeFileSync(values.svg, growthPicture(report));
