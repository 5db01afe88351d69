import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChainPoint, ServerFrame } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import { startAgent, type UplinkTestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import { MAX_FORKS_WITHOUT_RECEIPT } from './welcome.ts';

let collector: TestCollector;
let url: string;
const agents = new Set<UplinkTestAgent>();
const folders: string[] = [];

beforeEach(async () => {
  collector = new TestCollector(vault);
  url = await collector.listen();
});

afterEach(async () => {
  for (const agent of agents) await agent.close();
  agents.clear();
  await collector.stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function start(options?: Parameters<typeof startAgent>[1]): Promise<UplinkTestAgent> {
  const agent = await startAgent(url, options);
  agents.add(agent);
  folders.push(agent.dir);
  return agent;
}

async function stop(agent: UplinkTestAgent): Promise<void> {
  agents.delete(agent);
  await agent.uplink.stop();
  await agent.queue.close();
}

async function capture(agent: UplinkTestAgent, ...names: string[]): Promise<void> {
  for (const name of names) await put(agent.queue, sample(name, 3));
  await agent.queue.sync();
}

/** A copy of a stopped agent's folder: an image of the disk. */
function image(dir: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'aliquot-image-'));
  folders.push(copy);
  cpSync(dir, copy, { recursive: true });
  return copy;
}

function bendReady(
  change: (frame: Extract<ServerFrame, { type: 'ready' }>) => ChainPoint | undefined,
): void {
  collector.bend = (frame) =>
    frame.type === 'ready' ? { ...frame, chainHead: change(frame) } : frame;
}

/** Waits until a standing problem of this code is in the status. */
function problem(agent: UplinkTestAgent, code: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (agent.uplink.status().problem?.code !== code) return;
      stopLooking();
      resolve();
    };
    const stopLooking = agent.uplink.subscribe(look);
    look();
  });
}

const sequences = (commits: readonly { readonly header: { readonly sequence: number } }[]) =>
  commits.map(({ header }) => header.sequence);

describe('a folder that was put back to an older state', () => {
  test('I-A8: sends what it had signed as it was signed, goes on under a new chain, and neither loses nor mixes anything', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    // Signed, but the collector is gone before it takes it: the image holds a signed commit without
    // a receipt.
    collector.hangUpOn = ({ type }) => type === 'commit';
    await capture(agent, '/data/of-both');
    await agent.until('offline');
    await stop(agent);
    const old = image(agent.dir);
    collector.hangUpOn = () => false;
    agent = await start({ dir: agent.dir });
    await capture(agent, '/data/only-new');
    await agent.uplink.drained();
    await stop(agent);
    expect(sequences(collector.commits)).toEqual([1, 2, 3]);

    const back = await start({ dir: old, start: false });
    const signed = await back.queue.outbox.signedCommit(2);
    await capture(back, '/data/after-the-image');
    back.uplink.start();
    await back.uplink.drained();
    expect(collector.commits.map(({ hash }) => hex(hash))).toContain(
      hex(signed?.hash ?? new Uint8Array()),
    );
    expect(sequences(collector.commits)).toEqual([1, 2, 3]);
    expect(collector.apart.map(sequences)).toEqual([[3]]);
    const [first] = collector.apart[0] ?? [];
    expect(first?.header.forkedFrom).toMatchObject({ sequence: 2 });
    expect(hex(first?.header.chainId ?? new Uint8Array())).toBe(
      hex(back.queue.chain.present().chainId),
    );
    expect(back.queue.intake.pending().entries).toBe(0);
    expect(back.queue.outbox.receiptedSequence()).toBe(3);
  });

  test('P6: tells that its history is held apart, in every process, until the collector says so no longer', async () => {
    let agent = await start();
    await stop(agent);
    const old = image(agent.dir);
    agent = await start({ dir: agent.dir });
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    await stop(agent);
    let back = await start({ dir: old });
    await capture(back, '/data/b');
    await back.uplink.drained();
    // A command that ends with its receipt has not heard the collector say it.
    expect(back.uplink.status().problem?.code).toBe('chain-held');
    await stop(back);
    back = await start({ dir: old });
    await back.until('ready');
    await problem(back, 'chain-held');
    expect(back.uplink.status().state).toBe('ready');
    await stop(back);
    back = await start({ dir: old, start: false });
    expect(back.uplink.status().problem?.code).toBe('chain-held');
    collector.bend = (frame) => (frame.type === 'notice' ? { type: 'credit', bytes: 1 } : frame);
    back.uplink.start();
    await back.until('ready');
    await back.uplink.drained();
    expect(back.uplink.status().problem).toBeUndefined();
  });

  test('I-A8: an installation that had signed nothing names the head that the collector told', async () => {
    const first = await start();
    await capture(first, '/data/a');
    await first.uplink.drained();
    await stop(first);
    const second = await start();
    await capture(second, '/data/b');
    await second.uplink.drained();
    expect(sequences(collector.commits)).toEqual([1]);
    const [opening] = collector.apart[0] ?? [];
    expect(opening?.header.sequence).toBe(1);
    expect(hex(opening?.header.forkedFrom?.hash ?? new Uint8Array())).toBe(
      hex(collector.commits[0]?.hash ?? new Uint8Array()),
    );
    expect(second.queue.intake.pending().entries).toBe(0);
  });

  test('the collector loses its disk after the fork and is healed: everything is sent again, byte for byte', async () => {
    const first = await start();
    await capture(first, '/data/a');
    await first.uplink.drained();
    const before = collector.snapshot();
    await stop(first);
    let second = await start();
    await capture(second, '/data/b');
    await second.uplink.drained();
    await capture(second, '/data/c');
    await second.uplink.drained();
    const lines = collector.apart.map((line) => line.map(({ hash }) => hex(hash)));
    const lost = await collector.head();
    collector.putBack(before);
    await collector.reopen([lost]);
    await stop(second);
    second = await start({ dir: second.dir });
    await second.until('ready');
    await second.uplink.drained();
    expect(collector.apart.map((line) => line.map(({ hash }) => hex(hash)))).toEqual(lines);
  });

  test('P6: a loss that is learnt together with a fork is not forgotten with the session: what the collector lost is sent again', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    await stop(agent);
    const old = image(agent.dir);
    agent = await start({ dir: agent.dir });
    for (const name of ['/data/b', '/data/c']) {
      await capture(agent, name);
      await agent.uplink.drained();
    }
    const wanted = [2, 3].map(async (sequence) =>
      hex((await agent.queue.outbox.signedCommit(sequence))?.hash ?? new Uint8Array()),
    );
    const hashes = await Promise.all(wanted);
    await stop(agent);
    const lost = await collector.head();
    collector.putBack(before);
    await collector.reopen([lost]);
    const stranger = await start({ dir: old });
    await capture(stranger, '/data/of-the-stranger');
    await stranger.uplink.drained();
    await stop(stranger);

    const back = await start({ dir: agent.dir });
    await capture(back, '/data/d');
    await back.uplink.drained();
    const held = [collector.commits, ...collector.apart].flat().map(({ hash }) => hex(hash));
    expect(held).toEqual(expect.arrayContaining(hashes));
    expect(back.queue.intake.pending().entries).toBe(0);
  });

  test('I-A8: a head that the collector named is not taken for a commit of ours', async () => {
    const first = await start();
    await capture(first, '/data/a');
    await first.uplink.drained();
    await stop(first);
    const second = await start();
    await capture(second, '/data/b');
    await second.uplink.drained();
    expect(second.queue.outbox.receiptedSequence()).toBe(1);
    // It says that it knows nothing of the second chain, and nothing of a loss.
    bendReady(() => undefined);
    await second.uplink.stop();
    const commits = (): number => collector.frames.filter(({ type }) => type === 'commit').length;
    const before = commits();
    second.uplink.start();
    await second.until('ready');
    await second.uplink.drained();
    expect(commits()).toBe(before + 1);
  });
});

describe('a collector that lies about the head of the chain', () => {
  test('I-A8: once: one fork, nothing is lost, and the next session takes no other', async () => {
    const agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    await agent.uplink.stop();
    const before = hex(agent.queue.chain.present().chainId);
    let lies = 1;
    bendReady(({ chainHead }) => {
      lies -= 1;
      return chainHead && lies >= 0
        ? { ...chainHead, hash: new Uint8Array(32).fill(1) as never }
        : chainHead;
    });
    agent.uplink.start();
    await capture(agent, '/data/b');
    await agent.uplink.drained();
    const after = hex(agent.queue.chain.present().chainId);
    expect(after).not.toBe(before);
    expect(agent.queue.intake.pending().entries).toBe(0);
    await agent.uplink.stop();
    agent.uplink.start();
    await agent.until('ready');
    expect(hex(agent.queue.chain.present().chainId)).toBe(after);
  });

  test('for every chain: it gets a limited number of them, and then nothing', async () => {
    const agent = await start({ start: false });
    await capture(agent, '/data/a');
    const chains = new Set<string>();
    collector.bend = (frame) => {
      if (frame.type !== 'ready') return frame;
      const { chainId } = agent.queue.chain.present();
      chains.add(hex(chainId));
      return {
        ...frame,
        chainHead: { chainId, sequence: 7, hash: new Uint8Array(32).fill(1) as never },
      };
    };
    agent.uplink.start();
    expect((await agent.until('refused')).problem?.code).toBe('UPLINK_CHAIN_FORKED');
    expect(chains.size).toBe(MAX_FORKS_WITHOUT_RECEIPT + 1);
    expect(collector.frames.filter(({ type }) => type === 'commit' || type === 'chunks')).toEqual(
      [],
    );
    expect(agent.queue.intake.pending().entries).toBe(1);
    expect(await agent.queue.outbox.signedCommit(1)).toBeUndefined();
  });
});
