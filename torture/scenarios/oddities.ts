import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { DemoService, type JsonLine } from '../../demo/programs.ts';
import { type AgentPlace, World } from '../../test/world.ts';

const MEBIBYTE = 1 << 20;
const GIBIBYTE = 1 << 30;

/**
 * How often a program's peak memory is read; the kernel keeps it, so only the last reading counts.
 */
const LOOK_EVERY_MS = 50;

interface Measured {
  readonly code: number;
  readonly seconds: number;
  readonly peakMebibytes: number;
  readonly summary: JsonLine | undefined;
  readonly complaint: string;
}

/** Runs a program to its end and reads the most memory that it ever had resident. */
async function measured(
  name: 'aliquot' | 'aliquot-agent',
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Measured> {
  const startedMs = Date.now();
  const service = new DemoService(name, args, environment);
  let peak = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, peakOf(service.child.pid));
  }, LOOK_EVERY_MS);
  try {
    const ended = new Promise<number>((resolve) =>
      service.child.once('close', (code) => resolve(code ?? 128)),
    );
    const summary = await service.event('summary').catch(() => undefined);
    const code = await ended;
    const seconds = (Date.now() - startedMs) / 1000;
    return {
      code,
      seconds,
      peakMebibytes: Math.round(peak / 1024),
      summary,
      complaint: service.complaint,
    };
  } finally {
    clearInterval(look);
  }
}

/** Kilobytes; 0 where the system does not tell, or the program has ended. */
function peakOf(pid: number | undefined): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** One step of a scenario: what it is, and what is wrong with it, if anything. */
type Step = readonly [name: string, check: () => Promise<string | undefined>];

async function steps(context: TortureContext, list: readonly Step[]): Promise<TortureCounts> {
  const failed: string[] = [];
  let done = 0;
  for (const [name, check] of list) {
    if (context.over())
      return { injected: done, passed: done - failed.length, failed, whole: false };
    done += 1;
    const wrong = await check();
    if (wrong !== undefined) failed.push(`case ${done}: ${name}: ${wrong}`);
    // What follows builds on it.
    if (wrong !== undefined)
      return { injected: done, passed: done - failed.length, failed, whole: false };
  }
  return { injected: done, passed: done - failed.length, failed, whole: true };
}

function told(
  context: TortureContext,
  what: string,
  { code, seconds, peakMebibytes, complaint }: Measured,
): string | undefined {
  context.log(`${what}: ${seconds.toFixed(1)} s, at most ${peakMebibytes} MiB resident`);
  return code === 0 ? undefined : `ended with ${code}: ${complaint.trim().split('\n').at(-1)}`;
}

/** Writes a file that is nearly all hole, as instruments do that reserve their space first. */
function writeSparse(path: string, bytes: number, islands: number, random: SeededRandom): void {
  const file = openSync(path, 'w');
  try {
    ftruncateSync(file, bytes);
    for (let island = 0; island < islands; island += 1) {
      const at =
        Math.floor((bytes / islands) * island) +
        random.below(Math.floor(bytes / islands) - MEBIBYTE);
      writeSync(file, random.bytes(64 << 10), 0, 64 << 10, at);
    }
  } finally {
    closeSync(file);
  }
}

const backup = (agent: AgentPlace, folder: string) =>
  measured('aliquot-agent', ['backup', folder, '--data', agent.data, '--json']);

const restore = (world: World, agent: AgentPlace, target: string) =>
  measured(
    'aliquot',
    [
      ...['restore', '--kit', world.kit, '--agent', agent.name, '--to', target, '--json'],
      ...['--token-file', join(world.collectorData, 'admin.token')],
    ],
    world.environment(),
  );

/** One sparse file of so many bytes, through both programs and back. */
export async function hugeSparseFile(
  context: TortureContext,
  bytes = 20 * GIBIBYTE,
): Promise<TortureCounts> {
  const world = await World.open();
  try {
    const agent = await world.agent('huge');
    const folder = await world.place('huge');
    const file = join(folder, 'acquisition.raw');
    const islands = 40;
    writeSparse(file, bytes, islands, context.random);
    const target = join(world.folder, 'back');
    const own = join(world.folder, 'own');
    const sameAt = (root: string) => () => {
      const back = join(root, file);
      execFileSync('cmp', [file, back]);
      const disk = statSync(back).blocks * 512;
      return Promise.resolve(
        disk > bytes / 4 ? `the holes were filled: ${disk} bytes on disk` : undefined,
      );
    };
    return await steps(context, [
      [
        'backup',
        async () => {
          const done = await backup(agent, folder);
          const sent = Number(done.summary?.['sentBytes']);
          context.log(`${bytes} bytes captured, ${sent} sent`);
          return (
            told(context, 'backup', done) ??
            (sent > bytes / 50 ? `${sent} bytes were sent for a file of holes` : undefined)
          );
        },
      ],
      [
        'backup of nothing new',
        async () => told(context, 'nothing new', await backup(agent, folder)),
      ],
      [
        'backup of what was appended',
        async () => {
          writeFileSync(file, context.random.bytes(3 * MEBIBYTE), { flag: 'a' });
          return told(context, 'appended 3 MiB', await backup(agent, folder));
        },
      ],
      [
        'restore by the operator',
        async () => told(context, 'restore', await restore(world, agent, target)),
      ],
      ['compare', sameAt(target)],
      [
        'restore by the agent',
        async () => {
          rmSync(target, { recursive: true });
          return told(
            context,
            'self-restore',
            await measured('aliquot-agent', ['restore', folder, '--data', agent.data, '--to', own]),
          );
        },
      ],
      ['compare', sameAt(own)],
      ['the store and the queue are sound', () => sound(world, agent)],
    ]);
  } finally {
    await world.close();
  }
}

async function sound(world: World, agent: AgentPlace): Promise<string | undefined> {
  const store = await world.tryAliquot(['fsck', '--data', world.collectorData]);
  if (store.code !== 0) return store.stderr;
  const queue = await measured('aliquot-agent', ['fsck', '--data', agent.data]);
  return queue.code === 0 ? undefined : queue.complaint;
}

const FILES_IN_ONE_FOLDER = 10_000;

/**
 * A tree of small files: most in folders of ten thousand, so that both many names and many folders
 * are met.
 */
function makeSmallFiles(root: string, files: number): void {
  for (let folder = 0; folder * FILES_IN_ONE_FOLDER < files; folder += 1) {
    const path = join(root, `plate ${folder}`);
    mkdirSync(path);
    for (
      let file = 0;
      file < FILES_IN_ONE_FOLDER && folder * FILES_IN_ONE_FOLDER + file < files;
      file += 1
    ) {
      writeFileSync(
        join(path, `well ${file}.csv`),
        `plate,${folder}\nwell,${file}\nabsorbance,${(folder * 7 + file * 13) % 4001}\n`,
      );
    }
  }
}

/** What differs between two such trees, without holding either. */
async function compareTrees(expected: string, actual: string): Promise<string | undefined> {
  let files = 0;
  for await (const folder of await opendir(expected)) {
    for await (const { name } of await opendir(join(expected, folder.name))) {
      const [one, other] = [join(expected, folder.name, name), join(actual, folder.name, name)];
      if (!readFileSync(one).equals(readFileSync(other))) return `${one} came back changed`;
      if (Math.floor(statSync(one).mtimeMs) !== Math.floor(statSync(other).mtimeMs))
        return `${one} came back with another time`;
      files += 1;
    }
  }
  return files > 0 ? undefined : 'nothing was compared';
}

/** So many small files in one tree, through both programs and back. */
export async function manySmallFiles(
  context: TortureContext,
  files = 1_000_000,
): Promise<TortureCounts> {
  const world = await World.open();
  try {
    const agent = await world.agent('small');
    const folder = await world.place('plates');
    const target = join(world.folder, 'back');
    makeSmallFiles(folder, files);
    context.log(`${files} files made`);
    const collector = () =>
      context.log(
        `collector: at most ${Math.round(peakOf(world.server.child.pid) / 1024)} MiB resident`,
      );
    return await steps(context, [
      [
        'backup',
        async () => {
          const done = await backup(agent, folder);
          collector();
          const { summary } = done;
          return (
            told(context, 'backup', done) ??
            (summary?.['newFiles'] === files
              ? undefined
              : `${String(summary?.['newFiles'])} files were captured`)
          );
        },
      ],
      [
        'backup of nothing new',
        async () => {
          const done = await backup(agent, folder);
          return (
            told(context, 'nothing new', done) ??
            (done.summary?.['unchanged'] === files ? undefined : 'files were captured again')
          );
        },
      ],
      [
        'status',
        async () =>
          told(
            context,
            'status',
            await measured('aliquot-agent', ['status', '--data', agent.data, '--json']),
          ),
      ],
      [
        'restore by the operator',
        async () => {
          const done = await restore(world, agent, target);
          collector();
          return told(context, 'restore', done);
        },
      ],
      ['compare', () => compareTrees(folder, join(target, folder))],
      ['the store and the queue are sound', () => sound(world, agent)],
    ]);
  } finally {
    await world.close();
  }
}

export const oddityScenarios: readonly TortureScenario[] = [
  {
    name: 'huge-sparse-file',
    undivided: true,
    about:
      'one file of 20 GiB, nearly all of it holes, is backed up, grows, and is restored by operator and agent: same bytes, holes stay holes, memory does not grow with the file (figures are printed)',
    proves: ['P2'],
    run: (context) => hugeSparseFile(context),
  },
  {
    name: 'million-small-files',
    undivided: true,
    about:
      'a tree of 1,000,000 small files is backed up, looked at again, and restored whole: every byte and time compared, time and peak memory of each step printed',
    proves: ['P1', 'P2'],
    run: (context) => manySmallFiles(context),
  },
];
