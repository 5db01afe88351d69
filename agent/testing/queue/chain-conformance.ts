/**
 * What every `Queue` must do about its chain and about garbage collection, as tests; part of
 * `queueConformance`.
 */
import {
  type ChainId,
  type CommitHash,
  decodeCommitHeader,
  decodeSignedCommit,
} from '@aliquot/proto';
import { expect, test } from 'vitest';
import type { QueueEvent } from '../../src/queue/log/events.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { collect, drainAll, put, receiptFor, sample, testSigner } from './support.ts';

const NEW_CHAIN = new Uint8Array(16).fill(77) as ChainId;
const named = {
  chainId: new Uint8Array(16).fill(2) as ChainId,
  sequence: 57,
  hash: new Uint8Array(32).fill(9) as CommitHash,
};
const headerOf = (bytes: Uint8Array) => decodeCommitHeader(decodeSignedCommit(bytes).header);

async function receipt(queue: Queue): Promise<Uint8Array> {
  const commit = await queue.outbox.nextCommit(testSigner());
  if (commit === undefined) throw new Error('no commit');
  await queue.outbox.receipted(receiptFor(commit).signed, receiptFor(commit).body);
  return commit.bytes;
}

export function queueChainConformance(queue: () => Queue, reopen: () => Promise<void>): void {
  test('I-A8: after a fork what was signed goes out as signed, and what was not begins the new chain behind it', async () => {
    await put(queue(), sample('/data/a'));
    const signed = await queue().outbox.nextCommit(testSigner());
    const before = queue().chain.head();
    const enrolled = queue().chain.present();
    expect(enrolled.forkedFrom).toBeUndefined();
    await queue().chain.fork({ chainId: NEW_CHAIN, named });
    await queue().chain.fork({ chainId: NEW_CHAIN, named });
    await put(queue(), sample('/data/b'));
    await reopen();
    expect(queue().chain.present()).toEqual({
      chainId: NEW_CHAIN,
      forkedFrom: before,
      inherited: false,
    });
    expect(queue().chain.head()).toEqual(before);
    expect(Buffer.compare(await receipt(queue()), signed?.bytes ?? new Uint8Array())).toBe(0);
    const first = headerOf(await receipt(queue()));
    expect(first).toMatchObject({
      chainId: NEW_CHAIN,
      sequence: 2,
      predecessor: signed?.hash,
      forkedFrom: before,
    });
    await put(queue(), sample('/data/c'));
    await reopen();
    const second = headerOf(await receipt(queue()));
    expect(second).toMatchObject({ chainId: NEW_CHAIN, sequence: 3, forkedFrom: undefined });
    expect(queue().chain.head()).toMatchObject({ chainId: NEW_CHAIN, sequence: 3 });
  });

  test('I-A8: a fork before anything was signed begins at the head that the collector named', async () => {
    await queue().chain.fork({ chainId: NEW_CHAIN, named });
    await put(queue(), sample('/data/a'));
    await reopen();
    const first = headerOf(await receipt(queue()));
    expect(first).toMatchObject({
      chainId: NEW_CHAIN,
      sequence: 1,
      predecessor: new Uint8Array(32),
      forkedFrom: named,
    });
  });

  test('I-A8: a second fork goes on from our newest commit, whichever chain that is on', async () => {
    const third = new Uint8Array(16).fill(78) as ChainId;
    await put(queue(), sample('/data/a'));
    await receipt(queue());
    const before = queue().chain.head();
    await queue().chain.fork({ chainId: NEW_CHAIN, named });
    await queue().chain.fork({ chainId: third, named });
    expect(queue().chain.present()).toEqual({
      chainId: third,
      forkedFrom: before,
      inherited: false,
    });
    await put(queue(), sample('/data/b'));
    await receipt(queue());
    await queue().chain.fork({ chainId: NEW_CHAIN, named });
    expect(queue().chain.present().forkedFrom).toMatchObject({ chainId: third, sequence: 2 });
  });

  test('P1: another agent takes the queue over: what waits goes under its chain, behind what the earlier one signed', async () => {
    const [a, b] = [sample('/data/a'), sample('/data/b')];
    await put(queue(), a);
    await queue().outbox.nextCommit(testSigner());
    await expect(queue().chain.inherit(NEW_CHAIN)).rejects.toMatchObject({ code: 'QUEUE_REFUSED' });
    await receipt(queue());
    const before = queue().chain.head();
    await put(queue(), b);
    await queue().chain.inherit(NEW_CHAIN);
    await queue().chain.inherit(NEW_CHAIN);
    await reopen();
    expect(queue().chain.present()).toEqual({
      chainId: NEW_CHAIN,
      forkedFrom: before,
      inherited: true,
    });
    expect(queue().intake.pending()).toMatchObject({ entries: 1 });
    expect(headerOf(await receipt(queue()))).toMatchObject({
      chainId: NEW_CHAIN,
      sequence: 2,
      predecessor: before?.hash,
      forkedFrom: before,
    });
    expect(await queue().ledger.known(a.known.path)).toBeDefined();
    // The collector lost everything: what this agent signed goes again, what the earlier one did is
    // captured again.
    await queue().outbox.unreceipt(0);
    await reopen();
    expect(queue().outbox.receiptedSequence()).toBe(1);
    expect(await queue().ledger.known(a.known.path)).toBeUndefined();
    expect(await queue().ledger.known(b.known.path)).toBeDefined();
    expect((await queue().outbox.nextCommit(testSigner()))?.sequence).toBe(2);
  });

  test('a queue of which nothing was signed needs no record to be taken over', async () => {
    await put(queue(), sample('/data/a'));
    const { chainId } = queue().chain.present();
    await queue().chain.inherit(NEW_CHAIN);
    await reopen();
    expect(queue().chain.present()).toEqual({ chainId, forkedFrom: undefined, inherited: false });
    expect(headerOf(await receipt(queue()))).toMatchObject({ sequence: 1, forkedFrom: undefined });
  });

  test('I-A4: everything queued can be signed at once; receipts then come in the order of the commits', async () => {
    const first = sample('/data/a');
    for (let count = 0; count < 4100; count += 1)
      await queue().intake.capture().putVersion(first.draft, first.known);
    await queue().sync();
    expect(await queue().outbox.signAll(testSigner())).toBe(2);
    expect(await queue().outbox.signAll(testSigner())).toBe(0);
    await put(queue(), sample('/data/later'));
    await reopen();
    const commits = await collect(queue().outbox.unreceipted());
    expect(commits.map(({ sequence, entries }) => [sequence, entries])).toEqual([
      [1, 4096],
      [2, 4],
    ]);
    expect(queue().intake.pending().entries).toBe(4101);
    const [one, two] = commits.map(receiptFor);
    if (one === undefined || two === undefined) throw new Error('no commits');
    await expect(queue().outbox.receipted(two.signed, two.body)).rejects.toMatchObject({
      code: 'QUEUE_FOREIGN_RECEIPT',
    });
    await queue().outbox.receipted(one.signed, one.body);
    await queue().outbox.receipted(two.signed, two.body);
    expect(await collect(queue().outbox.unreceipted())).toEqual([]);
    expect(await drainAll(queue())).toBe(1);
  });

  test('I-A9: an epoch that was learnt empties the cache for good, and is answered once everything older is receipted', async () => {
    const index = new Uint8Array(32).fill(4);
    const chunk = {
      id: sample('/data/a').items[0]?.id,
      plainSize: 200,
      epoch: 1,
      maskedKey: new Uint8Array(32).fill(5),
    };
    const capture = queue().intake.capture();
    if (chunk.id !== undefined) capture.cachePut(index, { ...chunk, id: chunk.id });
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
  test('I-A9: a version of before that is not synced yet is waited for, whatever is put behind it', async () => {
    const stale = queue().intake.capture();
    await queue().epochs.learn(1);
    const file = sample('/data/stale');
    for (const { id, kind, sealed } of file.items) await stale.putItem({ id, kind, sealed });
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
