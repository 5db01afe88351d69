import { rmSync } from 'node:fs';
import { encodeTreeHeadBody, type ServerFrame } from '@aliquot/proto';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { fixtureVault, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { collect, put, putSlab, sample, sampleSlab } from '../../testing/queue/support.ts';
import {
  startAgent,
  testIdentity,
  type UplinkTestAgent,
  vault,
} from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import { TrustStore } from './trust.ts';

let collector: TestCollector;
let url: string;
const agents: UplinkTestAgent[] = [];

beforeEach(async () => {
  collector = new TestCollector(vault);
  url = await collector.listen();
});

afterEach(async () => {
  for (const agent of agents.splice(0)) {
    await agent.close();
    rmSync(agent.dir, { recursive: true, force: true });
  }
  await collector.stop();
});

async function start(options?: Parameters<typeof startAgent>[1]): Promise<UplinkTestAgent> {
  const agent = await startAgent(url, options);
  agents.push(agent);
  return agent;
}

async function restarted(
  agent: UplinkTestAgent,
  changes?: Parameters<UplinkTestAgent['restart']>[0],
): Promise<UplinkTestAgent> {
  const again = await agent.restart(changes);
  agents.splice(agents.indexOf(agent), 1, again);
  return again;
}

async function capture(agent: UplinkTestAgent, ...names: string[]): Promise<void> {
  for (const name of names) await put(agent.queue, sample(name, 3));
  await agent.queue.sync();
}

/** Bends frames of one type. */
function bend<T extends ServerFrame['type']>(
  type: T,
  change: (frame: Extract<ServerFrame, { type: T }>) => ServerFrame,
): void {
  collector.bend = (frame) =>
    frame.type === type ? change(frame as Extract<ServerFrame, { type: T }>) : frame;
}

describe('sending', () => {
  test('chunks that the collector has already are not sent again', async () => {
    const agent = await start({ start: false });
    await capture(agent, '/data/a');
    const other = await start();
    await capture(other, '/data/a');
    await other.uplink.drained();
    await other.close();
    agents.splice(agents.indexOf(other), 1);
    collector.putBack({ ...collector.snapshot(), commits: [], leaves: [] });
    agent.uplink.start();
    await agent.uplink.drained();
    expect(agent.uplink.status().sentContentBytes).toBe(0);
  });

  test('many small items travel in few frames, within the credit that was granted', async () => {
    collector.creditBytes = 64 * 1024;
    const agent = await start({ start: false });
    for (let index = 0; index < 30; index += 1)
      await put(agent.queue, sample(`/data/${index}`, 4, 4000));
    await agent.queue.sync();
    collector.creditBytes = 2 * 1024 * 1024;
    agent.uplink.start();
    await agent.uplink.drained();
    expect(collector.itemCount).toBe(120);
    expect(collector.frames.filter(({ type }) => type === 'chunks')).toHaveLength(1);
  });
});

describe('while results are captured', () => {
  const patience = (agent: UplinkTestAgent) =>
    agent.timers.waiting.find(({ milliseconds }) => milliseconds === 2000);

  test('what is queued waits for more, two seconds at most, and goes in one commit', async () => {
    const agent = await start();
    await agent.until('ready');
    const open = agent.queue.intake.capture();
    await capture(agent, '/data/a');
    await expect.poll(() => patience(agent)).toBeDefined();
    await capture(agent, '/data/b');
    expect(collector.commits).toEqual([]);
    patience(agent)?.action();
    await agent.uplink.drained();
    expect(collector.commits.map(({ rows }) => rows.count)).toEqual([2]);
    open.abort();
  });

  test('it goes at once when nothing more is being captured', async () => {
    const agent = await start();
    await agent.until('ready');
    const open = agent.queue.intake.capture();
    await capture(agent, '/data/a');
    await expect.poll(() => patience(agent)).toBeDefined();
    await capture(agent, '/data/b');
    open.abort();
    await agent.queue.sync();
    await agent.uplink.drained();
    expect(collector.commits.map(({ rows }) => rows.count)).toEqual([2]);
  });

  test('what another step made durable meanwhile goes with the sync behind the last capture', async () => {
    const agent = await start();
    await agent.until('ready');
    const open = agent.queue.intake.capture();
    await capture(agent, '/data/a');
    await expect.poll(() => patience(agent)).toBeDefined();
    open.abort();
    // Nothing is left to flush, and nobody's patience ends here.
    await agent.queue.sync();
    await agent.uplink.drained();
    expect(collector.commits.map(({ rows }) => rows.count)).toEqual([1]);
  });
});

describe('the network', () => {
  test('I-A4: a commit whose receipt was lost is sent again byte for byte, after a restart too', async () => {
    collector.hangUpOn = ({ type }) => type === 'commit';
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.until('offline');
    const signed = await agent.queue.outbox.signedCommit(1);
    agent = await restarted(agent);
    await agent.until('offline');
    collector.hangUpOn = () => false;
    agent.timers.fire();
    await agent.uplink.drained();
    expect(
      signed && collector.commitBytes[0] && Buffer.compare(signed.bytes, collector.commitBytes[0]),
    ).toBe(0);
  });

  test('a receipt that was lost on the way is asked for again and is the same', async () => {
    collector.bendWire = (message, index) =>
      index >= 2 && collector.commits.length === 1 ? undefined : message;
    let agent = await start();
    await capture(agent, '/data/a');
    await collector.until(() => collector.commits.length === 1);
    collector.bendWire = (message) => message;
    agent = await restarted(agent);
    await agent.uplink.drained();
    expect(collector.commits).toHaveLength(1);
    expect(agent.queue.outbox.receiptedSequence()).toBe(1);
  });

  test('without a collector the waits are drawn below a bound that doubles up to a minute; nudging tries at once', async () => {
    await collector.stop();
    const agent = await start();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await agent.until('offline');
      const [wait] = agent.timers.waiting;
      waits.push(wait?.milliseconds ?? 0);
      const connecting = agent.until('connecting');
      agent.timers.fire();
      await connecting;
    }
    waits.forEach((wait, attempt) => {
      expect(wait).toBeGreaterThanOrEqual(100);
      expect(wait).toBeLessThanOrEqual(Math.min(60_000, 1000 * 2 ** attempt));
    });
    expect(agent.uplink.status().problem?.code).toBe('UPLINK_UNREACHABLE');
    await agent.until('offline');
    const connecting = agent.until('connecting');
    agent.uplink.nudge();
    await connecting;
  });

  test('a session that goes silent is given up', async () => {
    const agent = await start();
    await agent.until('ready');
    agent.timers.fire();
    expect((await agent.until('offline')).problem?.message).toMatch(/silent/);
  });

  test('who stops it may remove the folder: what it keeps of a problem is on the disk by then', async () => {
    const order: string[] = [];
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const agent = await start({ start: false });
    const keep = agent.trust.setProblem.bind(agent.trust);
    agent.trust.setProblem = async (problem) => {
      await released;
      await keep(problem);
      order.push('kept');
    };
    agent.uplink.start();
    await agent.until('ready');
    const stopped = agent.uplink.stop().then(() => order.push('stopped'));
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    release();
    await stopped;
    expect(order).toEqual(['kept', 'stopped']);
  });

  test('a draining that is given up leaves everything queued', async () => {
    await collector.stop();
    const agent = await start();
    await capture(agent, '/data/a');
    const given = new AbortController();
    const drained = agent.uplink.drained(given.signal);
    given.abort(new Error('enough'));
    await expect(drained).rejects.toThrow('enough');
    expect(agent.queue.intake.pending().entries).toBe(1);
  });

  test('questions without a session are answered with the reason', async () => {
    await collector.stop();
    const agent = await start();
    await agent.until('offline');
    await expect(
      agent.uplink.heartbeat({
        files: 0,
        bytes: 0,
        unprotected: 0,
        pending: 0,
        unsettled: 0,
        problems: [],
      }),
    ).rejects.toMatchObject({ code: 'UPLINK_UNREACHABLE' });
  });
});

describe('a hostile or broken collector', () => {
  async function expectRefused(agent: UplinkTestAgent, code: string): Promise<void> {
    await capture(agent, '/data/a').catch(() => undefined);
    const status = await agent.until('refused');
    expect(status.problem?.code).toBe(code);
    expect(agent.queue.intake.pending().entries).toBe(1);
    await expect(agent.uplink.drained()).rejects.toMatchObject({ code });
    // The wait begins once the problem is kept on the disk.
    await agent.timers.longer(90_000);
  }

  test('a certificate of another authority is refused before anything is said', async () => {
    const foreign = fixtureVault('another lab');
    collector.key = foreign.collector;
    collector.certificate = foreign.collectorCertificate;
    await expectRefused(await start(), 'UPLINK_FOREIGN_COLLECTOR');
    expect(collector.frames).toEqual([]);
  });

  test('a collector that does not hold its certified key is not believed', async () => {
    collector.key = newSigningKey(seededRandom('thief'));
    const agent = await start();
    expect((await agent.until('offline')).problem?.code).toBe('UPLINK_TAMPERED');
    expect(collector.frames).toEqual([]);
  });

  test('a predecessor is refused after its successor was met, also after a restart', async () => {
    const successor = newSigningKey(seededRandom('successor'));
    const old = { key: collector.key, certificate: collector.certificate };
    Object.assign(collector, { key: successor, certificate: vault.certify(successor, 2) });
    let agent = await start();
    await agent.until('ready');
    Object.assign(collector, old);
    agent = await restarted(agent);
    await expectRefused(agent, 'UPLINK_FOREIGN_COLLECTOR');
  });

  test('P5: a collector that was put back and says so is named, nothing is committed, and healing sends all again byte for byte', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    await capture(agent, '/data/b');
    await agent.uplink.drained();
    await capture(agent, '/data/c');
    await agent.uplink.drained();
    const sent = collector.commitBytes;
    const lost = await collector.head();
    collector.putBack(before);
    agent = await restarted(agent);
    const status = await agent.until('rolled-back');
    expect(status.problem?.code).toBe('UPLINK_ROLLED_BACK');
    await expect(agent.uplink.drained()).rejects.toMatchObject({ code: 'UPLINK_ROLLED_BACK' });
    expect(collector.commits).toHaveLength(1);
    expect(agent.queue.intake.pending().entries).toBe(2);
    await agent.uplink.stop();
    expect((await TrustStore.open(nodeFiles, agent.dir, testIdentity(url))).problem?.code).toBe(
      'UPLINK_ROLLED_BACK',
    );
    agent.uplink.start();
    await agent.until('rolled-back');
    expect((await agent.queue.ledger.known(Buffer.from('/data/a')))?.state).toBe('safe');
    expect((await agent.queue.ledger.known(Buffer.from('/data/b')))?.state).toBe('queued');
    await collector.reopen([lost]);
    await agent.timers.longer(1000);
    agent.timers.fire();
    await agent.until('ready');
    await agent.uplink.drained();
    expect(collector.commitBytes).toEqual(sent);
    expect(agent.uplink.status().verifiedHead).toMatchObject({ logEpoch: 1, size: 4 });
    expect(await collect(agent.queue.losses.list())).toEqual([]);
  });

  test('P5: a collector that was put back and does not say so is found out', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    await capture(agent, '/data/b');
    await agent.uplink.drained();
    collector.putBack(before);
    collector.admitsRollback = false;
    agent = await restarted(agent);
    expect((await agent.until('rolled-back')).problem).toMatchObject({
      code: 'UPLINK_ROLLED_BACK',
      message: expect.stringContaining('it had 2 entries and now has 1;'),
    });
  });

  test('P5: a collector that was put back and has grown since is not said to have fewer entries', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    await capture(agent, '/data/b');
    await agent.uplink.drained();
    collector.putBack({ ...before, leaves: [...before.leaves, Buffer.from('of another agent')] });
    bend('ready', (frame) => ({ ...frame, rolledBack: true }));
    agent = await restarted(agent);
    expect((await agent.until('rolled-back')).problem?.message).toContain(
      'its history differs from the 2 entries that it had signed;',
    );
  });

  test('P5: an opening that does not name what this agent has seen heals nothing', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    await capture(agent, '/data/b');
    await agent.uplink.drained();
    collector.putBack(before);
    await collector.reopen([{ logEpoch: 0, size: 2, root: new Uint8Array(32) }]);
    agent = await restarted(agent);
    expect((await agent.until('refused')).problem?.code).toBe('UPLINK_LOG_FORKED');
  });

  test('P5: another history of the same length or longer is a fork', async () => {
    let agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const held = collector.snapshot();
    collector.putBack({ ...held, leaves: [Buffer.from('rewritten'), Buffer.from('more')] });
    agent = await restarted(agent);
    expect((await agent.until('refused')).problem?.code).toBe('UPLINK_LOG_FORKED');
  });

  test('P6: after a rollback, what neither segments nor sources have is listed as lost, and the chain goes on', async () => {
    let agent = await start({ queue: { keptBytes: 0, segmentBytes: 2048 } });
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    await capture(agent, '/data/b');
    await capture(agent, '/data/c', '/data/d');
    await agent.uplink.drained();
    // The next segment makes the older ones droppable.
    await capture(agent, '/data/e', '/data/f');
    await agent.uplink.drained();
    const lost = await collector.head();
    const sequences = collector.commits.length;
    collector.putBack(before);
    await collector.reopen([lost]);
    const found = sample('/data/c', 3);
    const asked: string[] = [];
    agent = await restarted(agent, {
      async *recover({ runs }) {
        asked.push(...runs.flat().map((path) => Buffer.from(path).toString()));
        for (const { id, kind, sealed } of found.items) yield { id, kind, sealed };
      },
    });
    await agent.uplink.drained();
    expect(collector.commits).toHaveLength(sequences);
    expect(asked).toContain('/data/b');
    const names = (await collect(agent.queue.losses.list())).map(
      ({ path }) => path && Buffer.from(path).toString(),
    );
    expect(names).toContain('/data/b');
    expect(names).not.toContain('/data/c');
    expect(await agent.queue.ledger.known(Buffer.from('/data/b'))).toBeUndefined();
  });

  test('P1: a slab goes out once for all of its files, and after a rollback comes again from all of them together', async () => {
    let agent = await start({ queue: { keptBytes: 0, segmentBytes: 2048 } });
    const names = ['/data/x', '/data/y', '/data/z'];
    const files = sampleSlab(names);
    const slab = files[0]?.items[0];
    if (slab === undefined) throw new Error('no slab');
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const before = collector.snapshot();
    collector.frames.length = 0;
    await putSlab(agent.queue, files);
    await agent.queue.sync();
    await agent.uplink.drained();
    const sent = collector.frames.flatMap((frame) => (frame.type === 'chunks' ? frame.items : []));
    expect(sent).toEqual([{ id: slab.id, kind: 'slab', size: slab.sealed.length }]);
    await capture(agent, '/data/e', '/data/f');
    await agent.uplink.drained();
    const lost = await collector.head();
    collector.putBack(before);
    await collector.reopen([lost]);
    const asked: string[][] = [];
    agent = await restarted(agent, {
      async *recover({ runs }) {
        asked.push(...runs.map((run) => run.map((path) => Buffer.from(path).toString())));
        yield { ...slab, sealed: slab.sealed.slice(0, -1) };
        yield slab;
      },
    });
    await agent.uplink.drained();
    expect(asked).toContainEqual(names);
    const missing = (await collect(agent.queue.losses.list())).map(({ path }) => String(path));
    for (const name of names) expect(missing).not.toContain(name);
    expect(collector.snapshot().items.get(Buffer.from(slab.id).toString('hex'))?.kind).toBe('slab');
  });

  test('an item that the collector names as missing is sent again', async () => {
    const agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const [item] = sample('/data/a', 3).items;
    if (item === undefined) throw new Error('no item');
    collector.forgetItem(item.id);
    const capture2 = agent.queue.intake.capture();
    const file = sample('/data/a', 3);
    await capture2.putVersion(file.draft, file.known);
    await agent.queue.sync();
    await agent.uplink.drained();
    expect(collector.itemCount).toBe(3);
  });

  const forgeries: Record<
    string,
    (frame: Extract<ServerFrame, { type: 'receipt' }>) => ServerFrame
  > = {
    'by another key': (frame) => ({
      ...frame,
      receipt: { ...frame.receipt, signature: new Uint8Array(64).fill(1) },
    }),
    'that is not in the log': (frame) => ({ ...frame, inclusion: [new Uint8Array(32)] }),
    'with a head by another key': (frame) => ({
      ...frame,
      head: { ...frame.head, signature: new Uint8Array(64) },
    }),
    'that is no receipt': (frame) => ({ ...frame, receipt: frame.head }),
    'that does not continue the log': (frame) => ({ ...frame, consistency: [new Uint8Array(32)] }),
  };

  test.each(Object.entries(forgeries))(
    'I-A2: a receipt %s is refused, the entry stays queued, and an honest one is taken later',
    async (_name, change) => {
      const agent = await start({ start: false });
      await capture(agent, '/data/a');
      bend('receipt', change);
      agent.uplink.start();
      expect((await agent.until('refused')).problem?.code).toBe('UPLINK_BAD_RECEIPT');
      expect(agent.queue.intake.pending().entries).toBe(1);
      expect(agent.queue.outbox.receiptedSequence()).toBe(0);
      collector.bend = (frame) => frame;
      agent.uplink.nudge();
      await agent.until('ready');
      await agent.uplink.drained();
      expect(collector.commits).toHaveLength(1);
    },
  );

  test('P5: a replayed receipt of an earlier commit is refused', async () => {
    const agent = await start();
    let earlier: Extract<ServerFrame, { type: 'receipt' }> | undefined;
    bend('receipt', (frame) => {
      earlier ??= frame;
      return { ...frame, receipt: earlier.receipt };
    });
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    await capture(agent, '/data/b');
    expect((await agent.until('refused')).problem?.code).toBe('UPLINK_BAD_RECEIPT');
    expect(agent.queue.outbox.receiptedSequence()).toBe(1);
  });

  test('a frame that is altered, repeated or dropped on the way ends the session', async () => {
    const ways: ((message: Uint8Array) => Uint8Array)[] = [
      (message) => Uint8Array.from(message, (byte, index) => (index === 3 ? byte ^ 1 : byte)),
      (message) => message.subarray(0, -1),
    ];
    for (const way of ways) {
      collector.bendWire = (message, index) => (index === 1 ? way(message) : message);
      const agent = await start();
      expect((await agent.until('offline')).problem?.code).toBe('UPLINK_TAMPERED');
    }
    let ready: Uint8Array | undefined;
    collector.bendWire = (message, index) => {
      if (index === 1) ready = message;
      return index === 2 ? ready : message;
    };
    const agent = await start();
    await capture(agent, '/data/a');
    expect((await agent.until('offline')).problem?.code).toBe('UPLINK_TAMPERED');
  });

  test('a head signed by somebody else in ready is not believed', async () => {
    bend('ready', (frame) => ({
      ...frame,
      head: { body: encodeTreeHeadBody(fakeHead()), signature: new Uint8Array(64) },
    }));
    await expectRefused(await start(), 'UPLINK_LOG_FORKED');
  });

  test('a revoked agent says so, and asks again only now and then', async () => {
    collector.refuse = {
      type: 'refused',
      requestId: 0,
      code: 'revoked',
      message: 'revoked by central IT',
    };
    await expectRefused(await start(), 'UPLINK_REVOKED');
  });

  test('a full collector is tried again soon', async () => {
    collector.refuse = { type: 'refused', requestId: 0, code: 'storage', message: 'disk full' };
    const agent = await start();
    expect((await agent.until('offline')).problem?.code).toBe('UPLINK_COLLECTOR_STORAGE');
  });

  test('plain text is never spoken to another machine', async () => {
    const agent = await startAgent('http://192.0.2.7:1');
    agents.push(agent);
    expect((await agent.until('refused')).problem?.message).toMatch(/not encrypted/);
  });
});

function fakeHead() {
  const { vaultId } = vault.descriptor;
  const collectorId = new Uint8Array(16) as never;
  return {
    version: 1,
    vaultId,
    collectorId,
    timeMs: 1,
    head: { logEpoch: 0, size: 0, root: new Uint8Array(32) },
  } as const;
}
