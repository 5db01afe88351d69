/**
 * What a foreground job loses beside a running first backup: `npm run build && node
 * --conditions=aliquot-source bench/courtesy.ts`.
 *
 *     node --conditions=aliquot-source bench/courtesy.ts [--turns 5] [--scale 0.4] [--data DIR]
 *     [--work DIR]
 *
 * The job is fixed work, as an instrument's software does it: it hashes (CPU) and reads a file past
 * the page cache (disk), in one process of usual priority, as fast as it can. It runs alone and
 * beside a first backup, in turns; the medians are compared. The collector stands for another
 * machine, so it runs behind everything (nice 19) too. Linux only.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { setPriority } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepare } from './data/prepare.ts';
import { start, stop } from './measure/command.ts';
import { median } from './measure/statistics.ts';
import { readOptions } from './options.ts';
import { ours } from './systems/ours.ts';

const MIB = 1 << 20;
const HASHED_BYTES = 1536 * MIB;
const READ_BYTES = 256 * MIB;
const BLOCK = MIB;
/** Direct reads want memory that lies on a boundary of this size. */
const ALIGNMENT = 4096;

interface Job {
  readonly cpuSeconds: number;
  readonly diskSeconds: number;
  readonly direct: boolean;
}

/** The foreground job, in a process of its own. */
function job(file: string): Job {
  const block = Buffer.alloc(4 * MIB, 7);
  let began = performance.now();
  const hash = createHash('sha256');
  for (let done = 0; done < HASHED_BYTES; done += block.length) hash.update(block);
  hash.digest();
  const cpuSeconds = (performance.now() - began) / 1000;
  began = performance.now();
  const direct = readThrough(file, constants.O_DIRECT);
  if (!direct) readThrough(file, 0);
  return { cpuSeconds, diskSeconds: (performance.now() - began) / 1000, direct };
}

/**
 * Reads the whole file; false where the file system, or this memory, does not allow direct reads.
 */
function readThrough(file: string, flags: number): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | flags);
  } catch {
    return false;
  }
  const memory = Buffer.alloc(BLOCK + ALIGNMENT);
  try {
    // Where the memory lies nobody tells; the system says which offset suits it.
    for (let offset = 0; offset < ALIGNMENT; offset += 8) {
      try {
        let position = 0;
        for (let count = -1; count !== 0; position += count)
          count = readSync(descriptor, memory, offset, BLOCK, position);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      }
    }
    return false;
  } finally {
    closeSync(descriptor);
  }
}

async function runJob(file: string): Promise<Job> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, fileURLToPath(import.meta.url), '--job', file],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await once(child, 'close');
  return JSON.parse(text) as Job;
}

/** The job beside a first backup; undefined when the backup ended before the job did. */
async function besideBackup(work: string, source: string, file: string): Promise<Job | undefined> {
  const repository = await ours.open(work);
  try {
    for (const pid of repository.servers)
      for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), 19);
    const backup = start(repository.backup(source, 'pc-1'));
    backup.stdout?.resume();
    backup.stderr?.resume();
    // the programs have started, and files are read
    await new Promise((wait) => setTimeout(wait, 700));
    const done = await runJob(file);
    const lasted = backup.exitCode === null;
    await stop(backup);
    return lasted ? done : undefined;
  } finally {
    await repository.close();
    rmSync(work, { recursive: true, force: true });
  }
}

const loss = (beside: number, alone: number): string =>
  `${(100 * (beside / alone - 1)).toFixed(1)} %`;

async function main(): Promise<void> {
  const defaults = readOptions([]);
  const { values } = parseArgs({
    options: {
      turns: { type: 'string', default: '5' },
      scale: { type: 'string', default: '0.4' },
      data: { type: 'string', default: defaults.data },
      work: { type: 'string', default: join(defaults.work, 'courtesy') },
    },
  });
  const work = resolve(values.work);
  const source = prepare(resolve(values.data), 'mixed', Number(values.scale), (line) =>
    console.error(line),
  );
  mkdirSync(work, { recursive: true });
  const file = join(work, 'foreground.dat');
  for (let at = 0; at < READ_BYTES / BLOCK; at += 1)
    writeFileSync(file, Buffer.alloc(BLOCK, at), { flag: 'a' });
  const alone: Job[] = [];
  const beside: Job[] = [];
  try {
    for (let turn = 1; turn <= Number(values.turns); turn += 1) {
      alone.push(await runJob(file));
      const one = await besideBackup(join(work, 'repository'), source.folder, file);
      if (one === undefined)
        console.error(
          `turn ${turn}: the backup ended before the job; a larger --scale lasts longer`,
        );
      else beside.push(one);
      const [last] = alone.slice(-1);
      console.error(
        `turn ${turn}: alone ${JSON.stringify(last)}, beside ${JSON.stringify(one ?? null)}`,
      );
    }
    const of = (jobs: readonly Job[], part: 'cpuSeconds' | 'diskSeconds'): number =>
      median(jobs.map((one) => one[part]));
    const whole = (jobs: readonly Job[]): number =>
      median(jobs.map(({ cpuSeconds, diskSeconds }) => cpuSeconds + diskSeconds));
    for (const [name, a, b] of [
      ['computing', of(alone, 'cpuSeconds'), of(beside, 'cpuSeconds')],
      [
        alone[0]?.direct === true ? 'reading past the page cache' : 'reading',
        of(alone, 'diskSeconds'),
        of(beside, 'diskSeconds'),
      ],
      ['the whole job', whole(alone), whole(beside)],
    ] as const)
      console.log(
        `${name}: ${a.toFixed(2)} s alone, ${b.toFixed(2)} s beside a first backup, loses ${loss(b, a)}`,
      );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--job')
  process.stdout.write(`${JSON.stringify(job(process.argv[3] ?? ''))}\n`);
else await main();
