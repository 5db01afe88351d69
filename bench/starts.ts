/**
 * What the programs cost when they open what they find: `npm run build && node
 * --conditions=aliquot-source bench/starts.ts [--files 20000] [--scale 0.1] [--runs 5]`. One
 * collector and one agent, both filled by a first backup; then each is started, proved and rebuilt
 * in turn. Processor time and peak memory, the medians of the runs. Linux only.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type DataSet, prepare } from './data/prepare.ts';
import { type Command, measure, run, start, stop } from './measure/command.ts';
import { workFolder } from './measure/folder.ts';
import { cpuOfTrees, memoryOfTrees } from './measure/procfs.ts';
import { median } from './measure/statistics.ts';
import { dataFolder, repositoryFolder } from './options.ts';
import { ours } from './systems/ours.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '20000' },
    scale: { type: 'string', default: '0.1' },
    runs: { type: 'string', default: '5' },
    data: { type: 'string', default: dataFolder() },
    work: { type: 'string', default: repositoryFolder() },
  },
});

interface Cost {
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

const say = (line: string): void => console.error(line);
const program = (name: 'aliquot' | 'aliquot-agent', ...args: readonly string[]): Command => ({
  program: fileURLToPath(new URL(`../bin/${name}`, import.meta.url)),
  args,
  // An agent whose service rests says so with 3; one whose collector is away too.
  accepted: [0, 1, 3],
});

async function costOf(command: Command): Promise<Cost> {
  const { clientCpuSeconds, clientPeakBytes } = await measure(command);
  return { cpuSeconds: clientCpuSeconds, peakBytes: clientPeakBytes };
}

/** The collector until it listens. `kill`: it ends without closing anything. */
async function costOfServing(data: string, end: 'stop' | 'kill'): Promise<Cost> {
  const server = start({
    ...program('aliquot', 'serve', '--data', data, '--listen', '127.0.0.1:0'),
    environment: { ALIQUOT_LOG_LEVEL: 'error' },
  });
  const pid = server.pid ?? 0;
  for await (const bytes of server.stdout ?? []) if (String(bytes).includes('listening')) break;
  const cost = { cpuSeconds: cpuOfTrees([pid]), peakBytes: memoryOfTrees([pid], 'VmHWM') };
  if (cost.peakBytes === 0) throw new Error('the collector ended before it listened');
  if (end === 'kill') server.kill('SIGKILL');
  await stop(server);
  return cost;
}

const sets: readonly DataSet[] = [
  prepare(values.data, 'small', Number(values.files) / 100_000, say),
  prepare(values.data, 'mixed', Number(values.scale), say),
];
const folder = workFolder(values.work);
try {
  const repository = await ours.open(folder.path, { agentPriority: 'normal' });
  try {
    for (const set of sets) await run(repository.backup(set.folder, 'pc-1'));
  } finally {
    await repository.close();
  }
  const collector = join(folder.path, 'collector');
  const agent = join(folder.path, 'agent-pc-1');
  const vault = join(collector, 'vaults');
  const remove = (path: string): void => rmSync(path, { recursive: true });
  const catalogs = (): void => {
    for (const name of readdirSync(vault)) remove(join(vault, name, 'catalog'));
  };
  const fsck = (data: string, ...more: readonly string[]) =>
    program('aliquot', 'fsck', '--data', data, ...more);
  const acts: readonly (readonly [string, () => Promise<Cost>])[] = [
    ['collector: start', () => costOfServing(collector, 'kill')],
    ['collector: start after kill -9', () => costOfServing(collector, 'stop')],
    ['collector: fsck', () => costOf(fsck(collector))],
    [
      'collector: start without its catalog',
      () => {
        catalogs();
        return costOfServing(collector, 'stop');
      },
    ],
    ['agent: status', () => costOf(program('aliquot-agent', 'status', '--data', agent))],
    ['agent: fsck', () => costOf(program('aliquot-agent', 'fsck', '--data', agent))],
    [
      'agent: fsck --repair without its index',
      () => {
        remove(join(agent, 'queue/index'));
        return costOf(program('aliquot-agent', 'fsck', '--data', agent, '--repair'));
      },
    ],
  ];
  const costs = new Map<string, Cost[]>(acts.map(([name]) => [name, []]));
  for (let turn = 0; turn < Number(values.runs); turn += 1)
    for (const [name, act] of acts) costs.get(name)?.push(await act());
  for (const [name, all] of costs) {
    const seconds = median(all.map(({ cpuSeconds }) => cpuSeconds));
    const mebibytes = median(all.map(({ peakBytes }) => peakBytes)) / 2 ** 20;
    console.log(`${name.padEnd(40)} ${seconds.toFixed(2)} s  ${mebibytes.toFixed(0)} MiB`);
  }
} finally {
  folder.remove();
}
