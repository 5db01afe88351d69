import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeClientFrame,
  encodeCarriedFile,
  splitCarriedFile,
  splitFrame,
  splitItems,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { fixtureVault, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import {
  startAgent,
  testIdentity,
  type UplinkTestAgent,
  vault,
} from '../../testing/uplink/test-agent.ts';
import { type BendAnswer, carryTo, NOBODYS_HASH } from '../../testing/uplink/test-carrier.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import { TrustStore } from '../uplink/trust.ts';
import { exportQueue } from './export-queue.ts';
import { type ImportSummary, importReceipts } from './import-receipts.ts';

let collector: TestCollector;
let url: string;
let agent: UplinkTestAgent;

beforeEach(async () => {
  collector = new TestCollector(vault);
  url = await collector.listen();
  agent = await startAgent(url, { start: false });
});

afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

const at = (name: string) => join(agent.dir, name);

async function capture(...names: string[]): Promise<void> {
  for (const name of names) await put(agent.queue, sample(name, 3));
  await agent.queue.sync();
}

const exportTo = (name: string) =>
  agent.uplink.instead((parts) => exportQueue({ ...parts, port: nodeFiles }, at(name)));

async function exported(): Promise<Uint8Array> {
  await exportTo('q');
  return new Uint8Array(readFileSync(at('q')));
}

function take(receipts: Uint8Array): Promise<ImportSummary> {
  writeFileSync(at('r'), receipts);
  return agent.uplink.instead((parts) => importReceipts({ ...parts, port: nodeFiles }, at('r')));
}

async function refused(receipts: Uint8Array, code: string): Promise<void> {
  const before = {
    queued: agent.queue.intake.pending().entries,
    receipted: agent.queue.outbox.receiptedSequence(),
    chain: hex(agent.queue.chain.present().chainId),
  };
  await expect(take(receipts)).rejects.toMatchObject({ code });
  const after = {
    queued: agent.queue.intake.pending().entries,
    receipted: agent.queue.outbox.receiptedSequence(),
    chain: hex(agent.queue.chain.present().chainId),
  };
  expect(after).toEqual(before);
}

describe('a queue that is carried by hand', () => {
  test('P1: what was captured arrives, and the receipts make it safe', async () => {
    await capture('/data/a', '/data/b');
    const file = await exported();
    expect(agent.queue.intake.pending().entries).toBe(2);
    const summary = await take(await carryTo(collector, file));
    expect(summary).toMatchObject({ receipts: 1, versions: 2, queued: 0, renewed: false });
    expect(collector.itemCount).toBe(6);
    expect((await agent.queue.ledger.known(Buffer.from('/data/a')))?.state).toBe('safe');
    agent.uplink.start();
    await agent.uplink.drained();
    expect(collector.commits).toHaveLength(1);
  });

  test('P3: it holds sealed items and signed commits, each item before the commit that needs it and once', async () => {
    await capture('/data/a', '/data/b');
    await exportTo('first');
    await put(agent.queue, sample('/data/a', 3));
    const frames = splitCarriedFile(await exported()).frames.map((bytes) => {
      const { header, body } = splitFrame(bytes);
      return { frame: decodeClientFrame(header), body };
    });
    expect(frames.map(({ frame }) => frame.type)).toEqual(['auth', 'chunks', 'commit', 'commit']);
    const ids = new Set<string>();
    for (const { frame, body } of frames) {
      if (frame.type !== 'chunks') continue;
      for (const { id, bytes } of splitItems(frame.items, body)) {
        expect(hex(sha256(bytes))).toBe(hex(id));
        ids.add(hex(id));
      }
    }
    expect(ids.size).toBe(6);
  });

  test('I-A4: exported twice, the commits are the same, byte for byte, and both files are taken', async () => {
    await capture('/data/a');
    const first = await exported();
    const second = await exported();
    expect(Buffer.compare(first, second)).toBe(0);
    await carryTo(collector, first);
    expect(await take(await carryTo(collector, second))).toMatchObject({ receipts: 1, queued: 0 });
    expect(collector.commits).toHaveLength(1);
  });

  test('an empty queue asks for news: the head is learnt, and with it what a rolled-back collector has lost', async () => {
    await capture('/data/a');
    await take(await carryTo(collector, await exported()));
    const file = await exported();
    expect(splitCarriedFile(file).frames).toHaveLength(1);
    expect(await take(await carryTo(collector, file))).toMatchObject({ receipts: 0, queued: 0 });
    const lost = await collector.head();
    collector.putBack({
      leaves: [],
      items: new Map(),
      commits: [],
      apart: [],
      epoch: 0,
      openings: [],
    });
    await expect(take(await carryTo(collector, await exported()))).rejects.toMatchObject({
      code: 'UPLINK_ROLLED_BACK',
    });
    expect(agent.queue.intake.pending().entries).toBe(1);
    expect(agent.uplink.status().problem?.code).toBe('UPLINK_ROLLED_BACK');
    expect((await TrustStore.open(nodeFiles, agent.dir, testIdentity(url))).problem?.code).toBe(
      'UPLINK_ROLLED_BACK',
    );
    // Healed by the authority, it gets the same commit again, and the problem goes.
    await collector.reopen([lost]);
    expect(await take(await carryTo(collector, await exported()))).toMatchObject({
      receipts: 1,
      queued: 0,
    });
    expect(agent.uplink.status().problem).toBeUndefined();
    expect(collector.itemCount).toBe(3);
  });

  test('receipts may be taken in twice, and after a crash between two of them', async () => {
    await capture('/data/a');
    await exportTo('first');
    await capture('/data/b');
    const receipts = await carryTo(collector, await exported());
    const second = agent.queue.outbox.receipted.bind(agent.queue.outbox);
    let crash = true;
    agent.queue.outbox.receipted = async (receipt, body) => {
      if (body.sequence === 2 && crash) throw new Error('crash');
      return second(receipt, body);
    };
    await expect(take(receipts)).rejects.toThrow('crash');
    expect(agent.queue.outbox.receiptedSequence()).toBe(1);
    crash = false;
    expect(await take(receipts)).toMatchObject({ receipts: 1, queued: 0 });
    expect(await take(receipts)).toMatchObject({ receipts: 0, queued: 0 });
  });

  test('a folder that was put back learns it by hand too: renewed, nothing mixed, the receipts of its own commits count', async () => {
    const other = await startAgent(url);
    await put(other.queue, sample('/data/z', 3));
    await other.queue.sync();
    await other.uplink.drained();
    await other.close();
    await capture('/data/a');
    const summary = await take(await carryTo(collector, await exported()));
    expect(summary).toMatchObject({
      receipts: 1,
      queued: 0,
      renewed: true,
      notices: [{ code: 'chain-held' }],
    });
    expect(agent.uplink.status().problem?.code).toBe('chain-held');
    await capture('/data/b');
    expect(await take(await carryTo(collector, await exported()))).toMatchObject({
      receipts: 1,
      queued: 0,
      renewed: false,
    });
    expect(collector.commits).toHaveLength(1);
    expect(collector.apart.map((line) => line.length)).toEqual([2]);
  });

  test('I-A9: the epoch of the sweep is learnt from the receipts and answered with the next file', async () => {
    collector.gcEpoch = 4;
    await capture('/data/a');
    await take(await carryTo(collector, await exported()));
    expect(agent.queue.epochs.newest()).toBe(4);
    expect(collector.learned).toEqual([]);
    await carryTo(collector, await exported());
    expect(collector.learned).toEqual([
      { chainId: hex(agent.queue.chain.present().chainId), gcEpoch: 4 },
    ]);
  });
});

describe('receipts that are not to be believed', () => {
  let receipts: Uint8Array;

  beforeEach(async () => {
    await capture('/data/a');
    receipts = await carryTo(collector, await exported());
  });

  test('cut at any byte', async () => {
    for (let end = 0; end < receipts.length; end += end < 32 ? 1 : 211)
      await refused(receipts.slice(0, end), 'CARRY_CUT');
    await refused(receipts.slice(0, -1), 'CARRY_CUT');
    expect(await take(receipts)).toMatchObject({ receipts: 1 });
  });

  test('altered in any byte behind the head', async () => {
    for (let byte = 9; byte < receipts.length; byte += 127) {
      const altered = receipts.slice();
      altered[byte] = (altered[byte] ?? 0) ^ 0x10;
      await expect(take(altered)).rejects.toMatchObject({
        code: expect.stringMatching(/^CARRY_(ALTERED|CUT)$/),
      });
    }
    expect(agent.queue.intake.pending().entries).toBe(1);
    await refused(Uint8Array.from([...receipts, 0]), 'CARRY_ALTERED');
  });

  test('signed by somebody else than the collector, or by nobody', async () => {
    await refused(
      await carryTo(collector, await exported(), undefined, newSigningKey(seededRandom('thief'))),
      'CARRY_ALTERED',
    );
    const split = splitCarriedFile(receipts);
    await refused(
      encodeCarriedFile({ ...split, frames: split.frames.slice(0, -1) }),
      'CARRY_ALTERED',
    );
  });

  test('of a collector that the authority did not certify, or that another has succeeded', async () => {
    const foreign = fixtureVault('another lab');
    const old = { key: collector.key, certificate: collector.certificate };
    Object.assign(collector, { key: foreign.collector, certificate: foreign.collectorCertificate });
    await refused(await carryTo(collector, await exported()), 'UPLINK_FOREIGN_COLLECTOR');
    const successor = newSigningKey(seededRandom('successor'));
    Object.assign(collector, { key: successor, certificate: vault.certify(successor, 2) });
    agent.uplink.start();
    await agent.until('ready', 'refused');
    await agent.uplink.stop();
    Object.assign(collector, old);
    await refused(receipts, 'UPLINK_FOREIGN_COLLECTOR');
  });

  test('P5: older ones after newer ones', async () => {
    await capture('/data/b');
    await take(await carryTo(collector, await exported()));
    await refused(receipts, 'CARRY_OUTDATED');
    expect(agent.uplink.status().problem).toBeUndefined();
  });

  test('P5: ones that answer an export from before the network was there', async () => {
    agent.uplink.start();
    await capture('/data/b');
    await agent.uplink.drained();
    await agent.uplink.stop();
    await refused(receipts, 'CARRY_OUTDATED');
  });

  const lies: Record<string, { readonly bend: BendAnswer; readonly code: string }> = {
    'with a receipt that is in no log': {
      bend: (frames) =>
        frames.map((frame) =>
          frame.type === 'receipt' ? { ...frame, inclusion: [new Uint8Array(32)] } : frame,
        ),
      code: 'UPLINK_BAD_RECEIPT',
    },
    'with a receipt by another key': {
      bend: (frames) =>
        frames.map((frame) =>
          frame.type === 'receipt'
            ? { ...frame, receipt: { ...frame.receipt, signature: new Uint8Array(64).fill(1) } }
            : frame,
        ),
      code: 'UPLINK_BAD_RECEIPT',
    },
    'with no head of the log': {
      bend: (frames) => frames.filter(({ type }) => type !== 'ready'),
      code: 'CARRY_ALTERED',
    },
    'with two heads of the log': {
      bend: (frames) => [...frames.slice(0, 1), ...frames],
      code: 'CARRY_ALTERED',
    },
    'with a frame that belongs elsewhere': {
      bend: (frames) => [{ type: 'stateEnd', requestId: 1 }, ...frames],
      code: 'CARRY_ALTERED',
    },
  };

  test.each(Object.entries(lies))('I-A2: %s', async (_name, { bend, code }) => {
    await expect(take(await carryTo(collector, await exported(), bend))).rejects.toMatchObject({
      code,
    });
    expect(agent.queue.intake.pending().entries).toBe(1);
    expect(agent.queue.outbox.receiptedSequence()).toBe(0);
    await exportTo('q');
  });

  test('I-A8: a lie about the head of the chain costs a new chain and no version', async () => {
    const lie: BendAnswer = (frames) =>
      frames.map((frame) =>
        frame.type === 'ready' && frame.chainHead !== undefined
          ? { ...frame, chainHead: { ...frame.chainHead, hash: NOBODYS_HASH } }
          : frame,
      );
    expect(await take(await carryTo(collector, await exported(), lie))).toMatchObject({
      receipts: 1,
      queued: 0,
      renewed: true,
    });
    await capture('/data/b');
    expect(await take(await carryTo(collector, await exported()))).toMatchObject({
      receipts: 1,
      queued: 0,
    });
  });
});
