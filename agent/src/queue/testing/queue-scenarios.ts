import { type CrashScenario, tortureOf } from '@aliquot/shared/testing/enumerate';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { QueueLife } from './queue-life.ts';

/** Capture, sync, sign, receipt, rotation, problems, and what a scan records. */
export const queueDay: CrashScenario = {
  name: 'queue-day',
  about:
    'every file and LevelDB call of a queue that captures, signs, takes receipts and rotates fails, is cut short or is the last; nothing captured or signed may be lost or changed',
  proves: ['P1', 'P6'],
  begin: async (root, random) => {
    const life = new QueueLife(root, random);
    life.capture(['a', 2]).capture(['b', 1], ['c', 3]).sign().capture(['a', 1]).drain();
    life.gone('c').step('problem', async (queue) => {
      await queue.setProblem(Buffer.from('/data/locked'), { code: 'locked', message: 'in use', sinceMs: 1 });
      await queue.sync();
    });
    life.step('refresh', async (queue) => {
      const known = await queue.known(Buffer.from('/data/b'));
      if (known !== undefined) await queue.refresh({ ...known, ino: 77n });
      await queue.sync();
    });
    life.step('forget', async (queue) => {
      await queue.forget(Buffer.from('/data/b'));
      await queue.sync();
    });
    return life.capture(['large', 3, 2500]).drain();
  },
};

/** Receipted segments that are dropped, and a collector that is put back. */
export const queueRollback: CrashScenario = {
  name: 'queue-rollback',
  about:
    'as queue-day, for a queue that drops receipted segments, learns that the collector lost commits, sends them again byte for byte and lists what nobody has any more',
  proves: ['P1', 'P5', 'P6'],
  begin: async (root, random) => {
    const life = new QueueLife(root, random, { keptBytes: 3000 });
    life.capture(['a', 4, 700]).drain().capture(['b', 4, 700]).drain().capture(['c', 4, 700]).drain();
    return life.unreceipt(1).lose(2).capture(['d', 2]).sign().drain();
  },
};

/** What `npm test` enumerates whole. */
export const queueShort: CrashScenario = {
  name: 'queue-short',
  about: 'as queue-day, in four steps: capture, sign, receipt, and a last capture that rotates the segment',
  proves: ['P1'],
  begin: async (root, random) => new QueueLife(root, random, { keptBytes: 0 }).capture(['a', 1]).drain().capture(['b', 2, 2200]).drain(),
};

export const queueScenarios: readonly TortureScenario[] = [queueDay, queueRollback, queueShort].map(tortureOf);
