/**
 * What every `CommitChain` must do, as tests.
 */
import {
  type ChainId,
  type CommitHash,
  decodeCommitHeader,
  decodeSignedCommit,
} from '@aliquot/proto';
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queue/queue.ts';
import { put, receiptFor, sample, testSigner } from './support.ts';

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

export function chainConformance(queue: () => Queue, reopen: () => Promise<void>): void {
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
    // What is captured again stays known, however often the loss is told.
    await put(queue(), a);
    await queue().outbox.unreceipt(0);
    await queue().sync();
    await reopen();
    expect(await queue().ledger.known(a.known.path)).toMatchObject({ state: 'queued', entry: 3 });
  });

  test('a queue of which nothing was signed needs no record to be taken over', async () => {
    await put(queue(), sample('/data/a'));
    const { chainId } = queue().chain.present();
    await queue().chain.inherit(NEW_CHAIN);
    await reopen();
    expect(queue().chain.present()).toEqual({ chainId, forkedFrom: undefined, inherited: false });
    expect(headerOf(await receipt(queue()))).toMatchObject({ sequence: 1, forkedFrom: undefined });
  });
}
