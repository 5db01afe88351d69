import { asChunkId } from '@aliquot/proto';
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queue/queue.ts';
import { collect, drainAll, put, receiptFor, sample, testSigner } from './support.ts';

/** What every `Outbox` and its `QueuedItems` must do, as tests. */
export function outboxConformance(current: () => Queue, reopen: () => Promise<void>): void {
  test('commits take versions in order; the same commit is given until its receipt, byte for byte', async () => {
    for (const name of ['/data/a', '/data/b']) await put(current(), sample(name));
    const first = await current().outbox.nextCommit(testSigner());
    expect(first).toMatchObject({ sequence: 1, entries: 2 });
    await put(current(), sample('/data/c'));
    await reopen();
    const again = await current().outbox.nextCommit(testSigner());
    expect(again && first && Buffer.compare(again.bytes, first.bytes)).toBe(0);
    expect(current().intake.pending().entries).toBe(3);
  });

  test('I-A2: an entry leaves the queue with its durable receipt and not before', async () => {
    const file = sample('/data/a');
    await put(current(), file);
    const commit = await current().outbox.nextCommit(testSigner());
    if (commit === undefined) throw new Error('no commit');
    await reopen();
    expect(current().intake.pending().entries).toBe(1);
    expect((await current().ledger.known(file.path))?.state).toBe('queued');
    const { signed, body } = receiptFor(commit);
    await current().outbox.receipted(signed, body);
    await reopen();
    expect(current().intake.pending()).toEqual({ entries: 0, bytes: 0, oldestMs: undefined });
    expect((await current().ledger.known(file.path))?.state).toBe('safe');
    expect(current().outbox.lastReceipt()).toMatchObject({ sequence: 1, copies: 1 });
    await current().outbox.receipted(signed, body);
    expect(current().outbox.receiptedSequence()).toBe(1);
  });

  test('a receipt for a commit that this queue did not sign is refused', async () => {
    await put(current(), sample('/data/a'));
    const commit = await current().outbox.nextCommit(testSigner());
    if (commit === undefined) throw new Error('no commit');
    const { signed, body } = receiptFor({
      ...commit,
      hash: new Uint8Array(32) as typeof commit.hash,
    });
    await expect(current().outbox.receipted(signed, body)).rejects.toMatchObject({
      code: 'QUEUE_FOREIGN_RECEIPT',
    });
    expect(current().intake.pending().entries).toBe(1);
  });

  test('commits chain: each names its predecessor, and the chain head survives', async () => {
    await put(current(), sample('/data/a'));
    expect(await drainAll(current())).toBe(1);
    await put(current(), sample('/data/b'));
    await reopen();
    const second = await current().outbox.nextCommit(testSigner());
    expect(second?.sequence).toBe(2);
    expect(current().chain.head()).toMatchObject({ sequence: 2 });
    expect((await current().outbox.signedCommit(1))?.sequence).toBe(1);
    expect(await current().outbox.signedCommit(3)).toBeUndefined();
  });

  test('more versions than one commit holds make several commits', async () => {
    const file = sample('/data/a');
    for (let count = 0; count < 4100; count += 1)
      await current().intake.capture().putVersion(file.draft, file.known);
    expect(await drainAll(current())).toBe(2);
    expect(current().intake.pending().entries).toBe(0);
  });

  test('many items are read in the order in which they are asked for, with a gap for what is not there', async () => {
    const file = sample('/data/one', 3);
    await put(current(), file);
    await current().sync();
    const absent = asChunkId(new Uint8Array(32).fill(9));
    const [a, b, c] = file.items.map(({ id }) => id);
    if (a === undefined || b === undefined || c === undefined) throw new Error('three items');
    const read = await collect(current().items.readItems([c, absent, a, b]));
    expect(read.map((item) => item?.id)).toEqual([c, undefined, a, b]);
    const [first, second, third] = file.items.map(({ sealed }) => Buffer.from(sealed));
    expect(read.map((item) => item && Buffer.from(item.sealed))).toEqual([
      third,
      undefined,
      first,
      second,
    ]);
  });

  test('I-A4: everything queued can be signed at once; receipts then come in the order of the commits', async () => {
    const first = sample('/data/a');
    for (let count = 0; count < 4100; count += 1)
      await current().intake.capture().putVersion(first.draft, first.known);
    await current().sync();
    expect(await current().outbox.signAll(testSigner())).toBe(2);
    expect(await current().outbox.signAll(testSigner())).toBe(0);
    await put(current(), sample('/data/later'));
    await reopen();
    const commits = await collect(current().outbox.unreceipted());
    expect(commits.map(({ sequence, entries }) => [sequence, entries])).toEqual([
      [1, 4096],
      [2, 4],
    ]);
    expect(current().intake.pending().entries).toBe(4101);
    const [one, two] = commits.map(receiptFor);
    if (one === undefined || two === undefined) throw new Error('no commits');
    await expect(current().outbox.receipted(two.signed, two.body)).rejects.toMatchObject({
      code: 'QUEUE_FOREIGN_RECEIPT',
    });
    await current().outbox.receipted(one.signed, one.body);
    await current().outbox.receipted(two.signed, two.body);
    expect(await collect(current().outbox.unreceipted())).toEqual([]);
    expect(await drainAll(current())).toBe(1);
  });
}
