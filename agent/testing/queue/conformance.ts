/**
 * What every `Queue` must do, as tests. A new implementation's test file is its factory and one
 * call.
 */
import { asChunkId } from '@aliquot/proto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { QueueEvent } from '../../src/queue/log/events.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { queueChainConformance } from './chain-conformance.ts';
import { queueGrowthConformance } from './growth-conformance.ts';
import { queueReferenceConformance } from './references-conformance.ts';
import { collect, drainAll, put, putGone, receiptFor, sample, testSigner } from './support.ts';

export interface QueueFactory {
  /** A new, empty queue. */
  make(): Promise<Queue>;
  /** Closes the queue and opens it again over what it left. */
  reopen(queue: Queue): Promise<Queue>;
  dispose(queue: Queue): Promise<void>;
}

export function queueConformance(name: string, factory: QueueFactory): void {
  describe(`${name} as a Queue`, () => {
    let queue: Queue;
    beforeEach(async () => {
      queue = await factory.make();
    });
    afterEach(() => factory.dispose(queue));
    const reopen = async (): Promise<void> => {
      queue = await factory.reopen(queue);
    };

    test('I-A1: a version is known and its items are there once sync has returned, and after opening again', async () => {
      const file = sample('/data/one', 3);
      await put(queue, file);
      expect(await queue.ledger.known(file.path)).toBeUndefined();
      await queue.sync();
      queue = await factory.reopen(queue);
      expect(await queue.ledger.known(file.path)).toMatchObject({
        size: 600,
        state: 'queued',
        ino: 7n,
      });
      for (const { id, sealed } of file.items) {
        const item = await queue.items.readItem(id);
        expect(item && Buffer.compare(item.sealed, sealed)).toBe(0);
      }
      expect(queue.intake.pending()).toMatchObject({
        entries: 1,
        oldestMs: file.draft.capturedAtMs,
      });
    });

    test('many items are read in the order in which they are asked for, with a gap for what is not there', async () => {
      const file = sample('/data/one', 3);
      await put(queue, file);
      await queue.sync();
      const absent = asChunkId(new Uint8Array(32).fill(9));
      const [a, b, c] = file.items.map(({ id }) => id);
      if (a === undefined || b === undefined || c === undefined) throw new Error('three items');
      const read = await collect(queue.items.readItems([c, absent, a, b]));
      expect(read.map((item) => item?.id)).toEqual([c, undefined, a, b]);
      const [first, second, third] = file.items.map(({ sealed }) => Buffer.from(sealed));
      expect(read.map((item) => item && Buffer.from(item.sealed))).toEqual([
        third,
        undefined,
        first,
        second,
      ]);
    });

    test('an item that is queued is not stored twice, and is told of before the sync', async () => {
      const file = sample('/data/one');
      await put(queue, file);
      const [item] = file.items;
      expect(item && (await queue.items.hasItems([item.id]))).toEqual([true]);
      await queue.sync();
      const { bytes } = queue.intake.pending();
      await put(queue, file);
      await queue.sync();
      expect(queue.intake.pending()).toMatchObject({ entries: 2, bytes });
    });

    test('an item whose id is not the hash of its bytes is refused', async () => {
      const [item] = sample('/data/one').items;
      const capture = queue.intake.capture();
      if (item === undefined) throw new Error('no item');
      await expect(
        capture.putItem({ id: item.id, kind: 'chunk', sealed: new Uint8Array(3) }),
      ).rejects.toMatchObject({
        code: 'QUEUE_REFUSED',
      });
    });

    test('a capture takes nothing more after its end', async () => {
      const file = sample('/data/one');
      const capture = queue.intake.capture();
      capture.abort();
      await expect(capture.putVersion(file.draft, file.known)).rejects.toMatchObject({
        code: 'QUEUE_CLOSED',
      });
    });

    test('a chunk is cached from the version that protects it on, and never from an aborted capture', async () => {
      const index = new Uint8Array(32).fill(4);
      const [item] = sample('/data/one').items;
      if (item === undefined) throw new Error('no item');
      const chunk = {
        id: item.id,
        plainSize: 200,
        epoch: 1,
        maskedKey: new Uint8Array(32).fill(5),
      };
      const aborted = queue.intake.capture();
      aborted.cachePut(index, chunk);
      aborted.abort();
      await queue.sync();
      expect(await queue.ledger.cacheGetMany([index])).toEqual([undefined]);
      const file = sample('/data/two');
      const capture = queue.intake.capture();
      capture.cachePut(index, chunk);
      await capture.putVersion(file.draft, file.known);
      await queue.sync();
      const [found] = await queue.ledger.cacheGetMany([index]);
      expect(found).toMatchObject({ plainSize: 200, epoch: 1 });
    });

    test('commits take versions in order; the same commit is given until its receipt, byte for byte', async () => {
      for (const name of ['/data/a', '/data/b']) await put(queue, sample(name));
      const first = await queue.outbox.nextCommit(testSigner());
      expect(first).toMatchObject({ sequence: 1, entries: 2 });
      await put(queue, sample('/data/c'));
      queue = await factory.reopen(queue);
      const again = await queue.outbox.nextCommit(testSigner());
      expect(again && first && Buffer.compare(again.bytes, first.bytes)).toBe(0);
      expect(queue.intake.pending().entries).toBe(3);
    });

    test('I-A2: an entry leaves the queue with its durable receipt and not before', async () => {
      const file = sample('/data/a');
      await put(queue, file);
      const commit = await queue.outbox.nextCommit(testSigner());
      if (commit === undefined) throw new Error('no commit');
      queue = await factory.reopen(queue);
      expect(queue.intake.pending().entries).toBe(1);
      expect((await queue.ledger.known(file.path))?.state).toBe('queued');
      const { signed, body } = receiptFor(commit);
      await queue.outbox.receipted(signed, body);
      queue = await factory.reopen(queue);
      expect(queue.intake.pending()).toEqual({ entries: 0, bytes: 0, oldestMs: undefined });
      expect((await queue.ledger.known(file.path))?.state).toBe('safe');
      expect(queue.outbox.lastReceipt()).toMatchObject({ sequence: 1, copies: 1 });
      await queue.outbox.receipted(signed, body);
      expect(queue.outbox.receiptedSequence()).toBe(1);
    });

    test('a receipt for a commit that this queue did not sign is refused', async () => {
      await put(queue, sample('/data/a'));
      const commit = await queue.outbox.nextCommit(testSigner());
      if (commit === undefined) throw new Error('no commit');
      const { signed, body } = receiptFor({
        ...commit,
        hash: new Uint8Array(32) as typeof commit.hash,
      });
      await expect(queue.outbox.receipted(signed, body)).rejects.toMatchObject({
        code: 'QUEUE_FOREIGN_RECEIPT',
      });
      expect(queue.intake.pending().entries).toBe(1);
    });

    test('commits chain: each names its predecessor, and the chain head survives', async () => {
      await put(queue, sample('/data/a'));
      expect(await drainAll(queue)).toBe(1);
      await put(queue, sample('/data/b'));
      queue = await factory.reopen(queue);
      const second = await queue.outbox.nextCommit(testSigner());
      expect(second?.sequence).toBe(2);
      expect(queue.chain.head()).toMatchObject({ sequence: 2 });
      expect((await queue.outbox.signedCommit(1))?.sequence).toBe(1);
      expect(await queue.outbox.signedCommit(3)).toBeUndefined();
    });

    test('more versions than one commit holds make several commits', async () => {
      const file = sample('/data/a');
      for (let count = 0; count < 4100; count += 1)
        await queue.intake.capture().putVersion(file.draft, file.known);
      expect(await drainAll(queue)).toBe(2);
      expect(queue.intake.pending().entries).toBe(0);
    });

    test('known files come in byte order under a prefix; gone ones do not come', async () => {
      const files = ['/b/2', '/a/1', '/b/10', '/bb', '/c\xff'].map((name) => sample(name));
      for (const file of files) await put(queue, file);
      await queue.sync();
      const under = async (prefix: string): Promise<string[]> =>
        (await collect(queue.ledger.knownUnder(Buffer.from(prefix)))).map(({ path }) =>
          Buffer.from(path).toString(),
        );
      expect(await under('/b/')).toEqual(['/b/10', '/b/2']);
      expect(await under('')).toHaveLength(5);
      const [first] = files;
      if (first === undefined) throw new Error('no files');
      await putGone(queue, first);
      await queue.sync();
      expect(await under('/b/')).toEqual(['/b/10']);
      expect(await queue.ledger.known(first.path)).toBeUndefined();
      expect(queue.intake.pending().entries).toBe(6);
    });

    test('refreshing changes what a scan compares with, and makes no version', async () => {
      const file = sample('/data/a');
      await put(queue, file);
      await queue.sync();
      const known = await queue.ledger.known(file.path);
      if (known === undefined) throw new Error('not known');
      await queue.ledger.refresh({ ...known, ctimeNs: 99n });
      queue = await factory.reopen(queue);
      expect(await queue.ledger.known(file.path)).toMatchObject({ ctimeNs: 99n, state: 'queued' });
      expect(queue.intake.pending().entries).toBe(1);
    });

    test('P6: a problem stays visible until it is cleared or the path is captured', async () => {
      const file = sample('/data/locked');
      await queue.ledger.setProblem(file.path, {
        code: 'locked',
        message: 'another program holds it',
        sinceMs: 5,
      });
      await queue.ledger.setProblem(Buffer.from('/data/pipe'), {
        code: 'special',
        message: 'a pipe',
        sinceMs: 6,
      });
      queue = await factory.reopen(queue);
      expect(await collect(queue.ledger.problems())).toMatchObject([
        { code: 'locked', sinceMs: 5 },
        { code: 'special' },
      ]);
      await put(queue, file);
      await queue.ledger.setProblem(Buffer.from('/data/pipe'), undefined);
      await queue.sync();
      expect(await collect(queue.ledger.problems())).toEqual([]);
    });

    test('P6: what was lost is listed with its path until a person has seen it, and is captured again', async () => {
      const files = ['/data/a', '/data/b'].map((name) => sample(name));
      for (const file of files) await put(queue, file);
      expect(await drainAll(queue)).toBe(1);
      expect(
        (await queue.losses.pathsOf(1, [1])).map((path) => Buffer.from(path).toString()),
      ).toEqual(['/data/b']);
      await queue.losses.record(1, [1]);
      queue = await factory.reopen(queue);
      const [lost] = await collect(queue.losses.list());
      expect(lost?.path && Buffer.from(lost.path).toString()).toBe('/data/b');
      expect(await queue.ledger.known(Buffer.from('/data/b'))).toBeUndefined();
      expect(await queue.ledger.known(Buffer.from('/data/a'))).toBeDefined();
      await queue.losses.acknowledge(lost === undefined ? [] : [lost.entry]);
      queue = await factory.reopen(queue);
      expect(await collect(queue.losses.list())).toEqual([]);
    });

    queueChainConformance(() => queue, reopen);
    queueReferenceConformance(() => queue, reopen);
    queueGrowthConformance(() => queue, reopen);

    test('listeners hear of queued and receipted versions', async () => {
      const heard: QueueEvent['type'][] = [];
      const stop = queue.subscribe(({ type }) => heard.push(type));
      await put(queue, sample('/data/a'));
      await queue.sync();
      await drainAll(queue);
      stop();
      await put(queue, sample('/data/b'));
      await queue.sync();
      expect(heard).toEqual(['queued', 'receipted']);
    });

    test('calls without waiting keep their order, several captures at once too', async () => {
      const files = Array.from({ length: 20 }, (_, index) =>
        sample(`/data/${String(index).padStart(2, '0')}`, 2),
      );
      await Promise.all(files.map((file) => put(queue, file)));
      await queue.sync();
      expect(queue.intake.pending().entries).toBe(20);
      expect(await drainAll(queue)).toBe(1);
      for (const file of files) expect((await queue.ledger.known(file.path))?.state).toBe('safe');
    });
  });
}
