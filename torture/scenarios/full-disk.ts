import { randomBytes } from 'node:crypto';
import { mkdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TortureCounts, TortureScenario } from '@aliquot/shared/testing/scenario';
import { SmallDisk } from '../../test/small-disk.ts';
import { mustBeNamed, mustComeBack, mustSend } from '../outside/judge.ts';
import { must, Stage } from '../outside/stage.ts';
import { DAY_MS, setRule } from './outside-collection.ts';

/** A disk that the collector's own old versions have filled, and nobody but collection frees. */

const MEBIBYTE = 1 << 20;
/** Ten times the reserve has to be free when that is made. */
const ROOMY_MEBIBYTES = 1500;
/** Of each state; three of them go: more than twice the reserve, so that it is taken again. */
const STATE_BYTES = 80 * MEBIBYTE;
const mebibytesLeft = [0, 1] as const;

async function fillAndCollect(stage: Stage, disk: SmallDisk, left: number): Promise<void> {
  const at = async (daysAgo: number, act: () => Promise<void>): Promise<void> => {
    await stage.serveBehind(daysAgo * DAY_MS);
    await act();
    await stage.unserve();
  };
  const backUp = async (bytes: number): Promise<void> => {
    await writeFile(join(stage.source, 'run.raw'), randomBytes(bytes));
    await stage.mustAgent(['backup', stage.source]);
  };
  await stage.mustOperate(['init', '--data', stage.collectorData]);
  await mkdir(stage.source);
  await at(45, async () => {
    await stage.mustOperate(['vault', 'add', '--kit', stage.kit]);
    await stage.mustOperate(['enroll', 'pc', '--kit', stage.kit, '--out', stage.bundle]);
    await stage.mustAgent(['enroll', stage.bundle]);
    await setRule(stage);
    await stage.mustOperate(['gc', 'run']);
    for (let state = 0; state < 3; state += 1) await backUp(STATE_BYTES);
  });
  await at(25, () => backUp(MEBIBYTE));
  await at(9, async () => {
    await stage.tryOperate(['retention', 'run']);
    await stage.mustOperate(['retention', 'approve', '1', '--kit', stage.kit]);
  });
  await stage.serve();
  // A PC that has something to send when the disk is full could not answer any more.
  await stage.tryOperate(['gc', 'run']);
  await stage.mustAgent(['flush']);
  const { blocks, bavail, bsize } = await statfs(stage.collectorData);
  await disk.grow(Math.ceil(((blocks - bavail) * bsize) / MEBIBYTE) + left);
  await writeFile(join(stage.source, 'new.raw'), randomBytes(20 * MEBIBYTE));
  const refused = await stage.agent(['backup', stage.source, '--json']);
  must(refused.code !== 0, 'there was room for it: nothing is tried');
  mustBeNamed(refused);
  await stage.mustOperate(['gc', 'run', '--all']);
  await mustSend(stage, ['backup', stage.source]);
  await mustComeBack(stage, stage.source);
  await stage.unserve();
  await stage.mustBeSound();
}

async function tryOne(left: number): Promise<void> {
  const stage = await Stage.open();
  const disk = await SmallDisk.mount(stage.collectorData, ROOMY_MEBIBYTES);
  if (typeof disk === 'string') throw new Error(disk);
  try {
    await fillAndCollect(stage, disk, left);
  } finally {
    await stage.unserve('SIGKILL');
    await disk.unmount();
    await stage.close();
  }
}

export const fullDiskScenarios: readonly TortureScenario[] = [
  {
    name: 'full-disk-collected',
    leastSeconds: 120,
    about:
      'a collector whose disk its own old versions have filled refuses a PC by name; a collection drops them, sweeps and removes packs with nothing but its reserve, and then the PC goes on.',
    proves: ['P1', 'P2', 'P6'],
    async run({ over, log, mine }): Promise<TortureCounts> {
      const probe = await SmallDisk.mount('/tmp/aliquot-probe-full', 1);
      if (typeof probe === 'string') {
        log(`not run: ${probe}`);
        return { injected: 0, passed: 0, failed: [], whole: false };
      }
      await probe.unmount();
      const failed: string[] = [];
      let injected = 0;
      for (const [number, left] of mebibytesLeft.entries()) {
        if (!mine(number)) continue;
        if (over()) return { injected, passed: injected - failed.length, failed, whole: false };
        injected += 1;
        try {
          await tryOne(left);
        } catch (error) {
          failed.push(
            `case ${number}: ${left} MiB left: ${error instanceof Error ? error.message : String(error)}`,
          );
        }
      }
      return { injected, passed: injected - failed.length, failed, whole: true };
    },
  },
];
