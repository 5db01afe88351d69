import { expect, test } from 'vitest';
import { encodeCached } from '../../src/queue/ledger/rows.ts';
import type { QueueEvent } from '../../src/queue/log/events.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { collect, drainAll, put, receiptFor, sample } from './support.ts';

/** What every `SweepEpochs` must do, as tests. */
export function epochsConformance(queue: () => Queue, reopen: () => Promise<void>): void {
  test('I-A9: an epoch that was learnt empties the cache for good, and is answered once everything older is receipted', async () => {
    const index = new Uint8Array(32).fill(4);
    const chunk = {
      id: sample('/data/a').items[0]?.id,
      plainSize: 200,
      epoch: 1,
      maskedKey: new Uint8Array(32).fill(5),
    };
    const capture = queue().intake.capture();
    if (chunk.id !== undefined)
      capture.cachePut(encodeCached([{ index, chunk: { ...chunk, id: chunk.id } }]));
    const file = sample('/data/old');
    await capture.putVersion(file.draft, file.known);
    await queue().sync();
    expect(await queue().epochs.answer()).toBeUndefined();
    expect((await queue().ledger.cacheGetMany([index]))[0]).toBeDefined();
    await queue().epochs.learn(3);
    await queue().epochs.learn(2);
    expect(await queue().ledger.cacheGetMany([index])).toEqual([undefined]);
    expect(queue().epochs.newest()).toBe(3);
    expect(await queue().epochs.answer()).toBeUndefined();
    await reopen();
    expect(queue().epochs.newest()).toBe(3);
    expect(await queue().ledger.cacheGetMany([index])).toEqual([undefined]);
    expect(await queue().epochs.answer()).toBeUndefined();
    const heard: QueueEvent['type'][] = [];
    queue().subscribe(({ type }) => heard.push(type));
    await drainAll(queue());
    expect(heard).toContain('gcReady');
    await put(queue(), sample('/data/new'));
    await queue().sync();
    expect(await queue().epochs.answer()).toBe(3);
    await queue().outbox.unreceipt(0);
    expect(await queue().epochs.answer()).toBeUndefined();
  });

  test('I-A9: a capture that was open when the epoch was learnt is waited for, and what is put beside it too', async () => {
    const guard = queue().intake.capture();
    await queue().epochs.learn(1);
    const idle = new Promise<void>((resolve) => {
      queue().subscribe(({ type }) => {
        if (type === 'gcReady') resolve();
      });
    });
    expect(await queue().epochs.answer()).toBeUndefined();
    await put(queue(), sample('/data/beside'));
    guard.abort();
    await queue().sync();
    expect(await queue().epochs.answer()).toBeUndefined();
    await drainAll(queue());
    await idle;
    expect(await queue().epochs.answer()).toBe(1);
    const second = queue().intake.capture();
    await queue().epochs.learn(2);
    const ready = new Promise<void>((resolve) => {
      queue().subscribe(({ type }) => {
        if (type === 'gcReady') resolve();
      });
    });
    second.abort();
    await ready;
    expect(await queue().epochs.answer()).toBe(2);
  });

  test('I-A9: after a rollback what was captured since the epoch was learnt is waited for too, and the cache is empty', async () => {
    await queue().epochs.learn(1);
    const index = new Uint8Array(32).fill(4);
    const file = sample('/data/since');
    const [{ id } = { id: undefined }] = file.items;
    if (id === undefined) throw new Error('no items');
    const maskedKey = new Uint8Array(32).fill(5);
    const capture = queue().intake.capture();
    capture.cachePut(encodeCached([{ index, chunk: { id, plainSize: 200, epoch: 1, maskedKey } }]));
    await capture.putVersion(file.draft, file.known);
    await queue().sync();
    await drainAll(queue());
    expect(await queue().epochs.answer()).toBe(1);
    expect((await queue().ledger.cacheGetMany([index]))[0]).toBeDefined();
    await queue().outbox.unreceipt(0);
    expect(await queue().ledger.cacheGetMany([index])).toEqual([undefined]);
    expect(await queue().epochs.answer()).toBeUndefined();
    for (const { signed, body } of (await collect(queue().outbox.unreceipted())).map(receiptFor))
      await queue().outbox.receipted(signed, body);
    expect(await queue().epochs.answer()).toBe(1);
  });

  test('I-A9: a version of before that is not synced yet is waited for, whatever is put behind it', async () => {
    const stale = queue().intake.capture();
    await queue().epochs.learn(1);
    const file = sample('/data/stale');
    for (const { id, kind, sealed } of file.items) await stale.putItems([{ id, kind, sealed }]);
    await stale.putVersion(file.draft, file.known);
    await put(queue(), sample('/data/fresh'));
    expect(await queue().epochs.answer()).toBeUndefined();
    await drainAll(queue());
    expect(await queue().epochs.answer()).toBe(1);
  });

  test('I-A9: the end of the last capture of before is told also while something else is not synced yet', async () => {
    const stale = queue().intake.capture();
    await queue().epochs.learn(1);
    await queue().ledger.setProblem(Buffer.from('/data/p'), {
      code: 'locked',
      message: 'in use',
      sinceMs: 1,
    });
    const heard: QueueEvent['type'][] = [];
    queue().subscribe(({ type }) => heard.push(type));
    stale.abort();
    // Behind the telling in the queue's order.
    await queue().losses.pathsOf(1, []);
    expect(heard).toContain('gcReady');
    expect(await queue().epochs.answer()).toBe(1);
  });
}
