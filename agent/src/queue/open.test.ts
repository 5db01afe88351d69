import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { NO_FOLDER_FLUSH, posixOnly } from '@aliquot/shared/testing/platform';
import {
  nothingSurvives,
  SimulatedDisk,
  type SimulatedProcess,
} from '@aliquot/shared/testing/simulated-disk';
import { describe } from 'vitest';
import { queueConformance } from '../../testing/queue/conformance.ts';
import { openQueue, temporaryFolder } from '../../testing/queue/support.ts';
import type { Queue } from './queue.ts';

const folders = new Map<Queue, ReturnType<typeof temporaryFolder>>();

queueConformance('a queue on the disk', {
  keepsCaches: true,
  async make() {
    const folder = temporaryFolder();
    const queue = await openQueue(folder.dir);
    folders.set(queue, folder);
    return queue;
  },
  async reopen(queue) {
    const folder = folders.get(queue);
    if (folder === undefined) throw new Error('no such queue');
    await queue.close();
    const again = await openQueue(folder.dir);
    folders.set(again, folder);
    return again;
  },
  async dispose(queue) {
    await queue.close();
    folders.get(queue)?.remove();
  },
});

interface Machine {
  readonly folder: ReturnType<typeof temporaryFolder>;
  readonly disk: SimulatedDisk;
  readonly process: SimulatedProcess;
}

const machines = new Map<Queue, Machine>();

async function start({ folder, disk }: Omit<Machine, 'process'>): Promise<Queue> {
  const process = disk.process();
  const queue = await openQueue(folder.dir, { port: process.files });
  machines.set(queue, { folder, disk, process });
  return queue;
}

// Its index is in memory, and each opening follows a power failure.
describe.runIf(posixOnly(NO_FOLDER_FLUSH))('after a power failure', () => {
  queueConformance('a queue on a disk that keeps nothing but what was flushed', {
    keepsCaches: false,
    make() {
      const folder = temporaryFolder();
      return start({ folder, disk: new SimulatedDisk(folder.dir, nodeDisk) });
    },
    async reopen(queue) {
      const machine = machines.get(queue);
      if (machine === undefined) throw new Error('no such queue');
      await queue.close();
      await machine.process.end();
      await machine.disk.powerFails(nothingSurvives);
      return start(machine);
    },
    async dispose(queue) {
      await queue.close();
      machines.get(queue)?.folder.remove();
    },
  });
});
