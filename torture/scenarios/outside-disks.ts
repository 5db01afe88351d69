import { execFile } from 'node:child_process';
import { rename, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import type { Finished } from '../../demo/programs.ts';
import { type OutsideCase, tryCases } from '../outside/cases.ts';
import { mustBeNamed, mustComeBack, mustSend } from '../outside/judge.ts';
import { writeSmallFiles } from '../outside/small-files.ts';
import { must, type Stage } from '../outside/stage.ts';
import { CrowdedDisk } from '../soak/disk.ts';
import { enrolled, mustDrainWhole, queued } from './outside-agent.ts';

/** A disk without room, and a disk that somebody mounts read-only, under the built programs. */

const MEBIBYTES = 24;
const command = promisify(execFile);

/** Moves a folder to a small disk at the same path, for as long as `use` takes. */
async function onSmallDisk(
  folder: string,
  use: (disk: CrowdedDisk) => Promise<void>,
): Promise<void> {
  await rename(folder, `${folder}.before`);
  const disk = await CrowdedDisk.mount(folder, MEBIBYTES);
  if (typeof disk === 'string') throw new Error(disk);
  try {
    await command('cp', ['-a', `${folder}.before/.`, folder]);
    await use(disk);
  } finally {
    await disk.unmount();
    await rm(`${folder}.before`, { recursive: true, force: true });
  }
}

/** A program that was given a failing disk, or ended well. */
function mustFailNamed(finished: Finished): void {
  mustBeNamed(finished);
  must(finished.code !== 128, `it was killed: ${finished.stderr.trim()}`);
}

/** From no room at all to nearly enough: each lands in another write. */
const leftBytes = [
  0, 1, 4096, 8192, 20_000, 60_000, 150_000, 300_000, 420_000, 600_000, 740_000, 760_000, 800_000,
  900_000, 1_100_000,
] as const;

async function startsOrNames(stage: Stage): Promise<boolean> {
  const server = stage.startServer();
  const listens = await server.event('listening').then(
    () => true,
    () => false,
  );
  must(
    listens || /\[[A-Z][A-Z0-9_]+\]/.test(server.complaint),
    `it ended and named nothing: ${server.complaint.trim()}`,
  );
  return listens;
}

const agentFull = leftBytes.map(
  (left): OutsideCase => ({
    what: `backup --offline with ${left} bytes left`,
    run: (stage) =>
      onSmallDisk(stage.agentData, async (disk) => {
        await disk.fill(left);
        const full = await stage.agent(['backup', stage.source, '--offline', '--json']);
        mustFailNamed(full);
        await disk.free();
        await stage.serve();
        // What was captured is sent first, and proves that it was whole.
        await mustSend(stage, ['flush']);
        await mustSend(stage, ['backup', stage.source]);
        await stage.mustBeSound();
        await mustComeBack(stage, stage.source);
        await stage.unserve();
      }),
  }),
);

const collectorFull = leftBytes.flatMap((left) =>
  [false, true].map(
    (restarted): OutsideCase => ({
      what: `serve with ${left} bytes left, then freed ${restarted ? 'and started again' : 'under the running server'}`,
      run: (stage) =>
        onSmallDisk(stage.collectorData, async (disk) => {
          await disk.fill(left);
          if (await startsOrNames(stage)) mustFailNamed(await stage.agent(['flush', '--json']));
          else await stage.unserve();
          await disk.free();
          if (restarted) await stage.unserve();
          await stage.serve();
          await mustDrainWhole(stage);
          await stage.unserve();
        }),
    }),
  ),
);

async function remount(folder: string, how: 'ro' | 'rw'): Promise<void> {
  await command('mount', ['-o', `remount,${how}`, folder]);
}

const readOnly: readonly OutsideCase[] = [
  ...(['backup', 'flush', 'status', 'fsck', 'fsck --repair', 'run'] as const).map(
    (words): OutsideCase => ({
      what: `aliquot-agent ${words} on a disk that is read-only`,
      run: (stage) =>
        onSmallDisk(stage.agentData, async () => {
          await remount(stage.agentData, 'ro');
          const args =
            words === 'backup' ? ['backup', stage.source, '--offline'] : words.split(' ');
          mustFailNamed(await stage.agent(args));
          await remount(stage.agentData, 'rw');
          await stage.serve();
          await mustDrainWhole(stage);
          await stage.unserve();
        }),
    }),
  ),
  ...(['serve', 'fsck --repair', 'fsck'] as const).map(
    (words): OutsideCase => ({
      what: `aliquot ${words} on a disk that is read-only`,
      run: (stage) =>
        onSmallDisk(stage.collectorData, async () => {
          await remount(stage.collectorData, 'ro');
          if (words === 'serve') {
            must(
              !(await startsOrNames(stage)),
              'the collector serves from a disk on which it can write nothing',
            );
            await stage.unserve();
          } else {
            mustFailNamed(
              await stage.operate([...words.split(' '), '--data', stage.collectorData]),
            );
          }
          await remount(stage.collectorData, 'rw');
          await stage.serve();
          await mustDrainWhole(stage);
          await stage.unserve();
        }),
    }),
  ),
];

function scenario(
  name: string,
  about: string,
  prepare: (stage: Stage) => Promise<void>,
  cases: readonly OutsideCase[],
): TortureScenario {
  return {
    name,
    about,
    proves: ['P1', 'P2', 'P6'],
    async run(context) {
      const probe = await CrowdedDisk.mount('/tmp/aliquot-probe', 1);
      if (typeof probe === 'string') {
        context.log(`not run: ${probe}`);
        return { injected: 0, passed: 0, failed: [], whole: false };
      }
      await probe.unmount();
      return tryCases(context, prepare, cases);
    },
  };
}

export const outsideDiskScenarios: readonly TortureScenario[] = [
  scenario(
    'outside-disk-full-agent',
    'an agent on a disk with room for less and less: the error is named, what was captured is sent when there is room, and the rest is captured then.',
    (stage) => enrolled(stage),
    agentFull,
  ),
  scenario(
    'small-files-disk-full',
    'as outside-disk-full-agent, for a tree of 600 small files: the disk is full in the middle of what many of them share.',
    (stage) => enrolled(stage, writeSmallFiles),
    agentFull,
  ),
  scenario(
    'outside-disk-full-collector',
    'a collector on a disk with room for less and less, freed under it or before a restart: nothing is acknowledged that is not there, and it goes on.',
    queued,
    collectorFull,
  ),
  scenario(
    'outside-read-only',
    'each command on a data folder whose disk is mounted read-only: it says so, and goes on when the disk can be written again.',
    queued,
    readOnly,
  ),
];
