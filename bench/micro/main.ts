/**
 * `npm run bench:micro -- [--rounds N] [--json FILE] [NAME…]`: each stage of the pipeline alone.
 * The stages take turns, so that a busy moment of the machine hits all of them; medians of the
 * rounds. A NAME is the beginning of a stage's name.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { median } from '../measure/statistics.ts';
import { chunker } from './chunker.ts';
import { queueItems, queueVersions } from './queue.ts';
import { retention } from './retention.ts';
import { scan } from './scan.ts';
import { sealSmall, sealText, sealWaveform, unseal } from './seal.ts';
import type { MicroTask, OpenTask } from './task.ts';
import { frames, wire } from './wire.ts';

const all: readonly MicroTask[] = [
  chunker,
  sealWaveform,
  sealText,
  sealSmall,
  unseal,
  queueVersions,
  queueItems,
  frames,
  wire,
  scan,
  retention,
];

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, json: { type: 'string' } },
  allowPositionals: true,
});
const tasks = all.filter(
  ({ name }) =>
    positionals.length === 0 || positionals.some((beginning) => name.startsWith(beginning)),
);
if (tasks.length === 0) {
  process.stderr.write(
    `no stage begins with ${positionals.join(' or ')}; there are: ${all.map(({ name }) => name).join('; ')}\n`,
  );
  process.exit(2);
}

interface Measured {
  readonly task: MicroTask;
  readonly open: OpenTask;
  readonly perWallSecond: number[];
  readonly perCpuSecond: number[];
}

const measured: Measured[] = [];
for (const task of tasks)
  measured.push({ task, open: await task.open(), perWallSecond: [], perCpuSecond: [] });
// The first round warms compiled code and caches, and does not count.
for (let round = 0; round <= Number(values.rounds); round += 1) {
  process.stderr.write(
    `${process.stderr.isTTY ? '\r' : ''}round ${round} of ${values.rounds}${process.stderr.isTTY ? '' : '\n'}`,
  );
  for (const { open, perWallSecond, perCpuSecond } of measured) {
    const cpu = process.cpuUsage();
    const began = performance.now();
    const amount = await open.run();
    const wallSeconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    if (round === 0) continue;
    perWallSecond.push(amount / wallSeconds);
    perCpuSecond.push((amount * 1e6) / (user + system));
  }
}
for (const { open } of measured) await open.close?.();
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');

const show = (task: MicroTask, rate: number): string =>
  task.unit === 'MB/s'
    ? `${(rate / 1e6).toFixed(0)} MB/s`
    : `${Math.round(rate).toLocaleString('en')} /s`;
process.stdout.write(
  `${'stage'.padEnd(28)}${'a second'.padStart(16)}${'a CPU second'.padStart(16)}\n`,
);
for (const { task, perWallSecond, perCpuSecond } of measured) {
  const cells = [median(perWallSecond), median(perCpuSecond)].map((rate) =>
    show(task, rate).padStart(16),
  );
  process.stdout.write(`${task.name.padEnd(28)}${cells.join('')}\n`);
}
if (values.json !== undefined) {
  const figures = measured.map(({ task, perWallSecond, perCpuSecond }) => ({
    name: task.name,
    unit: task.unit,
    perWallSecond,
    perCpuSecond,
  }));
  writeFileSync(
    values.json,
    `${JSON.stringify({ version: 1, node: process.version, figures }, undefined, 1)}\n`,
  );
}
