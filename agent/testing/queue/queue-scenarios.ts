import { join } from 'node:path';
import { asChainId, asCommitHash } from '@aliquot/proto';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { ensureDirectory, writeFileDurably } from '@aliquot/shared/durable/durable';
import { type CrashScenario, type Life, tortureOf } from '@aliquot/shared/testing/enumerate';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import type { FileReference } from '../../src/queue/log/facts.ts';
import { fsckQueue } from '../../src/queue/log/fsck.ts';
import { familyRange } from '../../src/queue/log/index-rows.ts';
import { queuePaths } from '../../src/queue/log/open-queue.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { QueueLife } from './queue-life.ts';
import { collect, indexOf } from './support.ts';

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
      await queue.ledger.setProblem(Buffer.from('/data/locked'), {
        code: 'locked',
        message: 'in use',
        sinceMs: 1,
      });
      await queue.sync();
    });
    life.step('refresh', async (queue) => {
      const known = await queue.ledger.known(Buffer.from('/data/b'));
      if (known !== undefined) await queue.ledger.refresh({ ...known, ino: 77n });
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
    life
      .capture(['a', 4, 700])
      .drain()
      .capture(['b', 4, 700])
      .drain()
      .capture(['c', 4, 700])
      .drain();
    return life.unreceipt(1).lose(2).capture(['d', 2]).sign().drain();
  },
};

/** Slabs of small files: captured, rotated, signed, receipted, lost and found. */
export const queueSlabs: CrashScenario = {
  name: 'queue-slabs',
  about:
    'as queue-day, for a queue of small files in slabs: no version without its slab, and none of a slab waits for another; some are dropped, and asked for again after a rollback',
  proves: ['P1', 'P5', 'P6'],
  begin: async (root, random) => {
    const life = new QueueLife(root, random, { segmentBytes: 3000, keptBytes: 2500 });
    life.captureSlab('a', 'b', 'c').capture(['large', 2]).sign();
    life.captureSlab('a', 'd').gone('b').drain().captureSlab('e', 'f', 'g', 'h').drain();
    return life.unreceipt(1).captureSlab('c', 'i').sign().drain();
  },
};

/** What a fork, the sweep and a full queue leave in the log. */
export const queueFacts: CrashScenario = {
  name: 'queue-facts',
  about:
    'as queue-day, for a queue that goes on under another chain, learns an epoch of the sweep, and keeps references to what had no room: none of it is forgotten, and what was signed goes out as it is',
  proves: ['P1', 'P5', 'P6'],
  begin: async (root, random) => {
    const life = new QueueLife(root, random);
    const chainId = asChainId(random.bytes(16));
    const named = {
      chainId: asChainId(random.bytes(16)),
      sequence: 7,
      hash: asCommitHash(random.bytes(32)),
    };
    const reference = (name: string): FileReference => ({
      path: Buffer.from(`/data/${name}`),
      size: 1000,
      mtimeNs: 5n,
      class: 'default',
      resultPathLength: 0,
      settledAtMs: 1_767_323_000_000,
    });
    const isReferred = (name: string) => async (queue: Queue) =>
      (await queue.references.get(reference(name).path)) !== undefined;
    const refer = (name: string) =>
      life.step(
        `refer ${name}`,
        async (queue) => {
          await queue.references.put(reference(name));
          await queue.sync();
        },
        `the reference to ${name}`,
        isReferred(name),
      );
    life.capture(['a', 1]).sign().capture(['b', 1]);
    const forked = async (queue: Queue) =>
      Buffer.compare(queue.chain.present().chainId, chainId) === 0;
    life.step('fork', (queue) => queue.chain.fork({ chainId, named }), 'I-A8', forked);
    refer('x');
    refer('y');
    life.capture(['c', 2]);
    life.step(
      'learn',
      (queue) => queue.epochs.learn(3),
      'I-A9',
      async (queue) => queue.epochs.newest() === 3,
    );
    life.step(
      'lose y',
      (queue) => queue.references.lose(reference('y').path, 'reference-gone'),
      'the reference to y',
      async (queue) =>
        (await collect(queue.losses.list())).some(
          ({ path }) => path !== undefined && Buffer.from(path).toString() === '/data/y',
        ),
    );
    life.step(
      'drop x',
      async (queue) => {
        await queue.references.drop(reference('x').path);
        await queue.sync();
      },
      'the reference to x',
      async (queue) => !(await isReferred('x')(queue)),
    );
    return life.drain().step('answer', async (queue) => {
      if ((await queue.epochs.answer()) !== 3)
        throw new Error('I-A9: everything is receipted, and there is no answer to the epoch');
    });
  },
};

/**
 * An index of which much was never flushed: LevelDB may find the later pages of its log and not the
 * earlier ones.
 */
const queueIndex: CrashScenario = {
  name: 'queue-index',
  about:
    'every LevelDB call of a queue whose index has many blocks that were never flushed fails or is the last, and any of its pages are lost with the power: whatever it says then, what was captured is sent',
  proves: ['P1'],
  strikes: ({ operation }) => operation.startsWith('level:batch'),
  begin: async (root, random) => {
    const life = new QueueLife(root, random);
    for (let file = 0; file < 20; file += 1)
      life.capture([`${'long-name/'.repeat(400)}${file}`, 1]);
    return life.drain();
  },
};

/** Known files in blocks, changes beside them, and the merging of both. */
export const queueKnown: CrashScenario = {
  name: 'queue-known',
  about:
    'as queue-day, for a queue whose index keeps many known files in a block: changes beside it, a block written anew, and the taking in of what stands beside',
  proves: ['P1'],
  begin: async (root, random) => {
    const life = new QueueLife(root, random, { segmentBytes: 256 * 1024 });
    const some = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, at) => [longName(from + at), 0] as const);
    life.capture(...some(0, 10)).capture(...some(3, 4));
    life
      .gone(longName(5))
      .capture(...some(2, 11))
      .drain();
    // Each stands beside the blocks, until so much does that it is taken into them.
    for (let file = 0; file < 10; file += 1) life.capture([longName(file, 'other'), 0]);
    return life
      .gone(longName(3))
      .capture(...some(4, 6))
      .drain();
  },
};

const longName = (file: number, folder = 'one'): string =>
  `${folder}/${'long-name/'.repeat(2800)}${file}`;

/** A repair that dies at every step, of an index that lies and bytes that were set aside. */
const queueRepair: CrashScenario = {
  name: 'queue-repair',
  about:
    'every file and LevelDB call of aliquot-agent fsck --repair fails, is cut short or is the last; the next repair ends the work, and nothing queued is lost',
  proves: ['P1', 'P6'],
  begin: async (root, random): Promise<Life<DiskPort>> => {
    const life = new QueueLife(root, random).capture(['a', 2], ['b', 1]).drain().capture(['c', 2]);
    const queue = await life.open(nodeDisk);
    for (const step of life.steps) await step.run(queue);
    await queue.close();
    const paths = queuePaths(root);
    const store = await indexOf(root);
    store.del((await store.firstKey(familyRange('i'))) ?? new Uint8Array());
    await store.write({ sync: true });
    await store.close();
    await ensureDirectory(nodeDisk, paths.damaged);
    await writeFileDurably(
      nodeDisk,
      join(paths.damaged, '00000001-16.bin'),
      Buffer.from('damaged'),
    );
    const options = { dataDir: root, random, repair: true };
    return {
      open: async (files) => files,
      steps: [
        {
          name: 'repair',
          run: async (port) => void (await collect(fsckQueue({ ...options, port }))),
        },
        {
          name: 'send the rest',
          run: async (port) => {
            const rest = new QueueLife(root, random).drain();
            const opened = await rest.open(port);
            for (const step of rest.steps) await step.run(opened);
            await opened.close();
          },
        },
      ],
      close: async () => undefined,
      judge: (files, state) =>
        life.judge(files, { ...state, damaged: state.damaged || !state.whole }),
    };
  },
};

/** What `npm test` enumerates in part. */
export const queueShort: CrashScenario = {
  name: 'queue-short',
  about:
    'as queue-day, in four steps: capture, sign, receipt, and a last capture that rotates the segment',
  proves: ['P1'],
  begin: async (root, random) =>
    new QueueLife(root, random, { keptBytes: 0 })
      .capture(['a', 1])
      .drain()
      .capture(['b', 2, 2200])
      .drain(),
};

export const crashScenarios: Readonly<Record<string, CrashScenario>> = { queueIndex, queueRepair };

export const queueScenarios: readonly TortureScenario[] = [
  queueDay,
  queueRollback,
  queueSlabs,
  queueFacts,
  queueIndex,
  queueKnown,
  queueRepair,
  queueShort,
].map(tortureOf);
