/**
 * `npm run bench`: Aliquot beside other backup systems, verb by verb. `npm run bench -- --help`
 * says what it can be told; docs/performance.md what the figures mean.
 */
import { execFileSync } from 'node:child_process';
import {
  type Dirent,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { type DataSet, prepare, type SetName } from './data/prepare.ts';
import { bytesUnder, readThrough } from './measure/disk.ts';
import { workFolder } from './measure/folder.ts';
import { measureLimits } from './measure/limits.ts';
import { type BenchOptions, help, readOptions } from './options.ts';
import { limitsLine, type Report, table } from './report.ts';
import type { BenchSample, Verb } from './samples.ts';
import { folderScene, type Scene, scenes } from './scenes.ts';
import { borg } from './systems/borg.ts';
import { copy } from './systems/copy.ts';
import { ours } from './systems/ours.ts';
import { restic } from './systems/restic.ts';
import { rsync } from './systems/rsync.ts';
import type { BackupSystem } from './systems/system.ts';

const known: readonly BackupSystem[] = [ours, restic, borg, rsync, copy];
const corpusFolder = join(import.meta.dirname, '../../shared/corpus');
const PATIENT_LINE_MS = 5_000;
/** A folder of the corpus with more than so many files of up to so many bytes is measured alone. */
const MANY_SMALL = 50;
const SMALL_BYTES = 64 << 10;

/** What is done now: a line that is written over on a terminal, one now and then elsewhere. */
class Teller {
  #lastMs = 0;
  #live = false;

  now(text: string): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
      this.#live = true;
    } else if (performance.now() - this.#lastMs > PATIENT_LINE_MS) {
      this.#lastMs = performance.now();
      process.stderr.write(`${text}\n`);
    }
  }

  line(text: string): void {
    if (this.#live) process.stderr.write('\r\u001b[K');
    this.#live = false;
    process.stderr.write(`${text}\n`);
  }
}

async function main(options: BenchOptions): Promise<void> {
  const teller = new Teller();
  const asked = known.filter(({ name }) => options.systems.includes(name));
  const versions: Record<string, string> = {};
  const skipped: Record<string, string> = {};
  for (const { name, probe } of asked) {
    const answer = await probe();
    if ('version' in answer) versions[name] = answer.version;
    else skipped[name] = answer.missing;
  }
  for (const [name, why] of Object.entries(skipped)) teller.line(`skipped: ${name}: ${why}`);
  const systems = asked.filter(({ name }) => versions[name] !== undefined);
  if (systems.length === 0) throw new Error('none of the systems can run here');
  const corpus = await corpusSet();
  for (const verb of ['corpus', 'corpus-folders'] as const)
    if (corpus === undefined && options.verbs.includes(verb))
      teller.line(`skipped: ${verb}: there is no ${corpusFolder}`);

  mkdirSync(options.data, { recursive: true });
  const { path: work, remove } = workFolder(options.work, options.keep);
  const aside =
    options.restored === undefined ? undefined : workFolder(options.restored, options.keep);
  const startedAt = new Date().toISOString();
  try {
    const sets = new Map<SetName, DataSet>();
    const data = (name: SetName): DataSet => {
      const set =
        sets.get(name) ?? prepare(options.data, name, options.scale, (line) => teller.line(line));
      sets.set(name, set);
      return set;
    };
    const cached = (name: SetName): DataSet => {
      const set = data(name);
      readThrough(set.folder);
      return set;
    };
    const samples: BenchSample[] = [];
    const all = corpus === undefined ? scenes : [...scenes, ...(await folderScenes())];
    const wanted = all.filter((scene) => scene.verbs.some((verb) => options.verbs.includes(verb)));
    for (const scene of wanted) makeData(scene, options.verbs, data);
    if (options.limits) teller.now('measuring the machine');
    const limits = options.limits ? await measureLimits(work) : undefined;
    if (limits !== undefined) teller.line(`this machine: ${limitsLine(limits)}`);
    for (let run = 1; run <= options.runs; run += 1) {
      for (const scene of wanted) {
        for (const system of systems) {
          const folder = join(work, `${run}-${scene.name}-${system.name}`);
          mkdirSync(folder);
          // What the one before wrote is not to be written while this one is measured.
          execFileSync('sync');
          const title = `run ${run} of ${options.runs}, ${system.name}`;
          teller.now(`${title}: setting up`);
          const repository = await system.open(
            folder,
            options.normalPriority ? { agentPriority: 'normal' } : {},
          );
          try {
            await scene.play({
              ...{ system, repository, scale: options.scale, corpus: () => corpus },
              data: cached,
              restored: join(aside?.path ?? folder, 'restored'),
              wants: (verb: Verb) => options.verbs.includes(verb),
              keep(sample) {
                samples.push({ system: system.name, run, ...sample });
                teller.line(`${title}: ${describe(sample)}`);
              },
              say: (what) => teller.now(`${title}: ${what}`),
            });
          } finally {
            await repository.close();
            if (!options.keep || run < options.runs)
              rmSync(folder, { recursive: true, force: true });
          }
        }
      }
    }
    const names = systems.map(({ name }) => name);
    console.log(
      `\nmedians of ${options.runs} ${options.runs === 1 ? 'run' : 'runs'}, scale ${options.scale}; first backups read files that are in the page cache`,
    );
    for (const [name, version] of Object.entries(versions)) console.log(`${name}: ${version}`);
    console.log('');
    for (const line of table(samples, names)) console.log(line);
    const report: Report = {
      version: 1,
      startedAt,
      machine: machine(),
      ...(limits === undefined ? {} : { limits }),
      options: { ...options },
      systems: versions,
      skipped,
      samples,
    };
    if (options.json !== undefined)
      writeFileSync(options.json, `${JSON.stringify(report, undefined, 1)}\n`);
  } finally {
    if (options.keep) teller.line(`left: ${work}`);
    remove();
    aside?.remove();
  }
}

/** Makes all data before anything is measured. */
function makeData(scene: Scene, asked: readonly Verb[], data: (name: SetName) => DataSet): void {
  if (scene.name === 'mixed') {
    data('mixed');
    if (asked.includes('second')) data('second');
  }
  if (scene.name === 'small' || scene.name === 'growing') data(scene.name);
  if (scene.name === 'small-kept') data('small');
  if (scene.name === 'small' && asked.includes('small-second')) data('small-second');
}

async function corpusSet(): Promise<DataSet | undefined> {
  if (!existsSync(corpusFolder) || !statSync(corpusFolder).isDirectory()) return undefined;
  return dataSet('corpus', corpusFolder);
}

async function dataSet(name: string, folder: string): Promise<DataSet> {
  const files = filesBelow(folder).length;
  return { name, folder, files, bytes: await bytesUnder(folder) };
}

const filesBelow = (folder: string): Dirent[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());

/** Of each folder of the corpus that is mostly about small files. */
async function folderScenes(): Promise<Scene[]> {
  const made: Scene[] = [];
  for (const entry of readdirSync(corpusFolder, { withFileTypes: true })) {
    const folder = join(corpusFolder, entry.name);
    if (!entry.isDirectory()) continue;
    const small = filesBelow(folder).filter(
      ({ parentPath, name }) => statSync(join(parentPath, name)).size <= SMALL_BYTES,
    );
    if (small.length > MANY_SMALL) made.push(folderScene(await dataSet(entry.name, folder)));
  }
  return made.sort((left, right) => left.name.localeCompare(right.name));
}

function describe({
  verb,
  wallSeconds,
  clientCpuSeconds,
  serverCpuSeconds,
  rawBytes,
  storedBytes,
}: Omit<BenchSample, 'system' | 'run'>): string {
  const cpu = (clientCpuSeconds + serverCpuSeconds).toFixed(2);
  const stored =
    storedBytes === undefined
      ? ''
      : `, ${(storedBytes / 1e6).toFixed(1)} MB stored of ${(rawBytes / 1e6).toFixed(1)}`;
  return `${verb} ${wallSeconds.toFixed(2)} s, ${cpu} s of processor${stored}`;
}

function machine(): Report['machine'] {
  const all = cpus();
  return {
    processor: all[0]?.model ?? '',
    cores: all.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  };
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(help);
  else if (process.platform !== 'linux')
    throw new Error(
      'the bench reads /proc to account for processor and memory: it runs on Linux only',
    );
  else await main(options);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = process.exitCode ?? 1;
}
