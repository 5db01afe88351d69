import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService, type Finished, type JsonLine, run } from '../demo/programs.ts';
import { whyNoStrace } from '../torture/outside/strace.ts';
import { type AgentPlace, summaryOf, World } from './world.ts';

/** Root reads everything; without these capabilities it reads what others may. */
const asOrdinary =
  process.getuid?.() === 0
    ? ['setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--inh-caps', '-all']
    : [];

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);
/** Of the agent in a namespace of processes of its own, and of the folders that it holds open. */
const PROCESSES = numbers(2, 6);
const DESCRIPTORS = numbers(10, 80);

describe('a folder result', () => {
  let world: World;
  let agent: AgentPlace;
  beforeAll(async () => {
    world = await World.open();
    agent = await world.agent('gcms-1');
  });
  afterAll(() => world.close());

  /** The root, two folders, and four files. */
  async function measured(name: string): Promise<string> {
    const root = await world.place(`data/${name}`);
    await mkdir(join(root, 'AcqData'));
    await mkdir(join(root, 'empty'));
    await writeFile(join(root, 'AcqData', 'MSScan.bin'), waveform(300_000, 5));
    for (const file of ['acq.txt', 'RUN.LOG', 'AcqData/sample_info.xml'])
      await writeFile(join(root, file), `${file} of ${name}\r\n`.repeat(20));
    return root;
  }
  const backup = (root: string, under: readonly string[]): Promise<Finished> =>
    run('aliquot-agent', ['backup', root, '--data', agent.data, '--json'], {}, under);
  const versions = async (root: string): Promise<readonly JsonLine[]> =>
    (await world.aliquot(['versions', '--agent', agent.name, '--path', root, '--json'])).lines;
  const restore = (root: string, to: string): Promise<Finished> =>
    world.tryAliquot([
      ...['restore', '--kit', world.kit, '--agent', agent.name, '--result', root],
      ...['--to', join(world.folder, to)],
    ]);
  const states = (lines: readonly JsonLine[]): readonly unknown[] =>
    lines.map(({ state, grade, members }) => ({ state, grade, members }));
  const problems = ({ lines }: Finished): readonly unknown[] =>
    lines.filter(({ event }) => event === 'problem').map(({ path, code }) => ({ path, code }));

  /** A member that cannot be read for a while, which `under` brings about. */
  async function isLockedAndReleased(
    root: string,
    lock: { readonly under: readonly string[]; readonly file: string },
    release: () => Promise<void>,
  ): Promise<void> {
    const first = await backup(root, lock.under);
    expect(first.code).toBe(3);
    expect(problems(first)).toEqual([{ path: lock.file, code: 'unreadable' }]);
    expect(summaryOf(first)).toMatchObject({ files: 3, queued: 0, failed: 1 });
    expect(states(await versions(root))).toEqual([{ state: 'open', grade: 'assumed', members: 6 }]);
    const open = await restore(root, 'never');
    expect(open.code).not.toBe(0);
    expect(open.stderr).toContain('[COMMAND_RESULT_OPEN]');
    // What could be read is safe all the same.
    const some = join(world.folder, 'some');
    await world.aliquot([
      ...['restore', '--kit', world.kit, '--agent', agent.name, '--path', root, '--to', some],
    ]);
    const missing = differences(await pictureOf(root), await pictureOf(join(some, root)));
    expect(missing.filter((line) => !line.includes(lock.file.slice(root.length + 1)))).toEqual([]);
    await rm(some, { recursive: true });
    await release();
    const second = await backup(root, []);
    expect(second.code).toBe(0);
    expect(states(await versions(root))).toEqual([
      { state: 'open', grade: 'assumed', members: 6 },
      { state: 'closed', grade: 'assumed', members: 7 },
    ]);
    const whole = join(world.folder, 'whole');
    const { code } = await restore(root, 'whole');
    expect(code).toBe(0);
    expect(differences(await pictureOf(root), await pictureOf(join(whole, root)))).toEqual([]);
    await rm(whole, { recursive: true });
  }

  it('I-A16 P2 P6 with a member that nobody may read is open and names it; released, it closes as one and comes back whole', async () => {
    const root = await measured('noAccess.D');
    const file = join(root, 'AcqData', 'MSScan.bin');
    await chmod(file, 0o000);
    await isLockedAndReleased(root, { under: asOrdinary, file }, () => chmod(file, 0o644));
  });

  it('I-A16 P2 P6 with a member that is in use is open and names it; released, it closes as one', async ({
    skip,
  }) => {
    const unable = (await whyNoStrace()) ?? (process.getuid?.() === 0 ? undefined : 'needs root');
    if (unable !== undefined) skip(unable);
    const root = await measured('inUse.D');
    const file = join(root, 'AcqData', 'MSScan.bin');
    // A capture opens what lies in a folder that it holds as /proc/PID/fd/N/NAME. In a namespace of
    // its own the agent has one of the first numbers, and strace is given all that may come.
    const alone = ['unshare', '--pid', '--fork', '--mount-proc', 'strace', '-f', '-o', '/dev/null'];
    const paths = PROCESSES.flatMap((pid) =>
      DESCRIPTORS.flatMap((at) => ['-P', `/proc/${pid}/fd/${at}/MSScan.bin`]),
    );
    const busy = ['-e', 'trace=openat', '-e', 'inject=openat:error=EBUSY'];
    const under = [...alone, ...paths, ...busy];
    await isLockedAndReleased(root, { under, file }, async () => undefined);
  });

  it('I-A16 that a service watches is closed when it has rested, and again when a member changed', async () => {
    const root = await measured('watched.D');
    const source = `{path: ${JSON.stringify(join(world.folder, 'data'))}, quietPeriodSeconds: 0}`;
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `scanIntervalSeconds: 1\nsources: [${source}]\n`,
    );
    const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
    try {
      const closed = { state: 'closed', grade: 'assumed', members: 7 };
      await expect.poll(async () => states(await versions(root)), slow).toEqual([closed]);
      await writeFile(join(root, 'acq.txt'), 'reprocessed');
      await expect.poll(async () => states(await versions(root)), slow).toEqual([closed, closed]);
      const { code } = await restore(root, 'reprocessed');
      expect(code).toBe(0);
    } finally {
      await service.stop('SIGTERM');
    }
  });
});

const slow = { timeout: 120_000, interval: 500 };
