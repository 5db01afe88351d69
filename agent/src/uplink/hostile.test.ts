import { readdirSync, rmSync } from 'node:fs';
import { type ClientFrame, MAX_FRAME_BYTES, type ServerFrame, type Signed } from '@aliquot/proto';
import { lossHash } from '@aliquot/shared/commit/loss';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { issueAddresses } from '@aliquot/shared/keys/certificates';
import { fixtureVault } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import {
  startAgent,
  testIdentity,
  type UplinkTestAgent,
  vault,
} from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import { TrustStore } from './trust.ts';

/*
 * A collector in bad hands, with all its true keys: what it may do to an agent that believes no
 * more than was proved. Forged signatures, certificates and receipts are in ws-uplink.test.ts,
 * forks of the chain in fork.test.ts.
 */

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

async function capture(agent: UplinkTestAgent, ...names: string[]): Promise<void> {
  for (const name of names) await put(agent.queue, sample(name, 3));
  await agent.queue.sync();
}

/**
 * The same folder opened again. What its status says before anything was answered is what was
 * remembered.
 */
async function afterRestart(agent: UplinkTestAgent): Promise<UplinkTestAgent> {
  await agent.timers.longer(4_000); // the wait begins once the problem is kept on the disk
  const again = await agent.restart();
  agents.splice(agents.indexOf(agent), 1, again);
  return again;
}

function bend<T extends ServerFrame['type']>(
  type: T,
  change: (frame: Extract<ServerFrame, { type: T }>) => ServerFrame,
): void {
  collector.bend = (frame) =>
    frame.type === type ? change(frame as Extract<ServerFrame, { type: T }>) : frame;
}

const honest = (): void => {
  collector.bend = (frame) => frame;
};

const asked = (type: ClientFrame['type']): number =>
  collector.frames.filter((frame) => frame.type === type).length;

describe('what it says of the log', () => {
  test('P5 I-A17: a receipt that names as lost what its commit does not have is refused, for none of its versions would be named', async () => {
    collector.bendTaken = (taken) => {
      const lacking = [taken.header.entryCount];
      return { ...taken, loss: { lacking, hash: lossHash(taken.hash, lacking) } };
    };
    const agent = await start({ start: false });
    await capture(agent, '/data/a');
    agent.uplink.start();
    expect((await agent.until('refused')).problem?.code).toBe('UPLINK_BAD_RECEIPT');
    expect(agent.queue.outbox.receiptedSequence()).toBe(0);
    expect(agent.queue.intake.pending().entries).toBe(1);
  });

  test('P5: two agents that were shown two histories: the one that hears the other’s stays refused and remembers why', async () => {
    const agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const first = agent.uplink.status().verifiedHead;
    const held = collector.snapshot();
    collector.putBack({
      ...held,
      leaves: [Buffer.from('what the other agent was shown'), Buffer.from('more of it')],
    });
    const again = await agent.restart();
    agents.splice(agents.indexOf(agent), 1, again);
    expect((await again.until('refused')).problem?.code).toBe('UPLINK_LOG_FORKED');
    const later = await afterRestart(again);
    expect(later.uplink.status()).toMatchObject({
      problem: { code: 'UPLINK_LOG_FORKED' },
      verifiedHead: first,
    });
  });

  test('P5: a head of before, signed truly and replayed, is a rollback; it is remembered, and the truth is believed again', async () => {
    const agent = await start();
    let old: Extract<ServerFrame, { type: 'ready' }> | undefined;
    bend('ready', (frame) => {
      old ??= frame;
      return frame;
    });
    await agent.until('ready');
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    bend('ready', (frame) =>
      old === undefined ? frame : { ...frame, head: old.head, consistency: [] },
    );
    const again = await agent.restart();
    agents.splice(agents.indexOf(agent), 1, again);
    expect((await again.until('rolled-back')).problem?.code).toBe('UPLINK_ROLLED_BACK');
    const later = await afterRestart(again);
    expect(later.uplink.status().problem?.code).toBe('UPLINK_ROLLED_BACK');
    await later.until('rolled-back');
    honest();
    later.uplink.nudge();
    await later.until('ready');
    expect(later.uplink.status().problem).toBeUndefined();
  });

  test('P5: a commit that it hides is brought again, byte for byte, and nothing is counted as safe meanwhile', async () => {
    const agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    const [sent] = collector.commitBytes;
    bend('ready', (frame) => ({ ...frame, chainHead: undefined }));
    const again = await agent.restart();
    agents.splice(agents.indexOf(agent), 1, again);
    await again.until('ready');
    await again.uplink.drained();
    expect(collector.commits).toHaveLength(1);
    expect(asked('commit')).toBe(2);
    expect(
      Buffer.compare(collector.commitBytes[0] ?? Buffer.alloc(0), sent ?? Buffer.alloc(1)),
    ).toBe(0);
  });
});

describe('what it answers', () => {
  const wrong: readonly (readonly [string, () => void])[] = [
    [
      'a receipt in the place of an answer about ids',
      () => bend('haveAnswer', ({ requestId }) => ({ type: 'heartbeatAck', requestId })),
    ],
    [
      'an answer about ids in the place of a receipt',
      () => bend('receipt', ({ requestId }) => ({ type: 'haveAnswer', requestId, missing: [] })),
    ],
    [
      'an answer to a question that nobody asked',
      () => bend('haveAnswer', (frame) => ({ ...frame, requestId: frame.requestId + 1000 })),
    ],
    [
      'indexes beyond what was asked',
      () => bend('haveAnswer', (frame) => ({ ...frame, missing: [4095] })),
    ],
    [
      'items as missing that the commit does not name',
      () =>
        bend('receipt', ({ requestId }) => ({
          type: 'commitMissing',
          requestId,
          ids: [new Uint8Array(32) as never],
        })),
    ],
    ['a second welcome', () => bend('haveAnswer', () => ({ type: 'stateEnd', requestId: 0 }))],
  ];

  test.each(wrong)(
    'P6: %s ends the session as a protocol error that is remembered; nothing leaves the queue',
    async (_name, lie) => {
      const agent = await start({ start: false });
      await capture(agent, '/data/a');
      lie();
      agent.uplink.start();
      const status = await agent.until('refused');
      expect(status.problem?.code).toBe('UPLINK_PROTOCOL');
      expect(agent.queue.intake.pending().entries).toBe(1);
      const later = await afterRestart(agent);
      expect(later.uplink.status().problem?.code).toBe('UPLINK_PROTOCOL');
      honest();
      later.uplink.start();
      await later.uplink.drained();
      expect(collector.commits).toHaveLength(1);
    },
  );

  test('P5: answers in another order than the questions are matched by number, never by place', async () => {
    const agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    await agent.until('ready');
    const waiting: ServerFrame[] = [];
    // The first answer is held back, and given after the second.
    bend('heartbeatAck', (frame) => {
      waiting.push(frame);
      return waiting.length === 1 ? { type: 'notice', code: 'later', message: '' } : frame;
    });
    const first = agent.uplink.heartbeat({
      files: 1,
      bytes: 1,
      unprotected: 0,
      pending: 0,
      unsettled: 0,
      problems: [],
    });
    const settled: string[] = [];
    first.then(
      () => settled.push('first'),
      () => settled.push('first ended'),
    );
    await agent.uplink.heartbeat({
      files: 2,
      bytes: 2,
      unprotected: 0,
      pending: 0,
      unsettled: 0,
      problems: [],
    });
    expect(settled).toEqual([]);
  });

  test('a frame above every limit ends the connection before it is held in memory', async () => {
    const agent = await start({ start: false });
    await capture(agent, '/data/a');
    collector.bendWire = (message, index) =>
      index === 1 ? new Uint8Array(MAX_FRAME_BYTES + 4096) : message;
    agent.uplink.start();
    expect((await agent.until('offline', 'refused')).problem).toBeDefined();
    expect(agent.queue.intake.pending().entries).toBe(1);
  });

  test('notices and credit without end change nothing and are not kept', async () => {
    const agent = await start({ start: false });
    await capture(agent, '/data/a');
    let told = 0;
    agent.uplink.subscribe((event) => {
      if (event.type === 'notice') told += 1;
    });
    const files = readdirSync(agent.dir, { recursive: true }).length;
    collector.answer = async (frame, body, session) => {
      for (let count = 0; count < 200; count += 1) {
        session.reply({ type: 'notice', code: 'spam', message: 'x'.repeat(1000) });
        session.reply({ type: 'credit', bytes: Number.MAX_SAFE_INTEGER });
      }
      return TestCollector.prototype.answer.call(collector, frame, body, session);
    };
    agent.uplink.start();
    await agent.uplink.drained();
    expect(told).toBeGreaterThanOrEqual(200);
    expect(collector.commits).toHaveLength(1);
    // Receipt, trust and the like; nothing of the notices.
    expect(readdirSync(agent.dir, { recursive: true }).length).toBeLessThan(files + 20);
  });
});

describe('what it gives back', () => {
  async function backedUp(): Promise<UplinkTestAgent> {
    const agent = await start();
    await capture(agent, '/data/a');
    await agent.uplink.drained();
    return agent;
  }

  test('a list of versions without end is read at the reader’s pace, and left when the reader has enough', async () => {
    const agent = await backedUp();
    const [commit] = collector.commitBytes;
    if (commit === undefined) throw new Error('no commit');
    let sent = 0;
    collector.answer = async (frame, body, session) => {
      if (frame.type !== 'state')
        return TestCollector.prototype.answer.call(collector, frame, body, session);
      for (; sent < 3000; sent += 1)
        session.reply(
          { type: 'commitData', requestId: frame.requestId, live: [0], receivedAtMs: 1 },
          commit,
        );
      return session.proved;
    };
    let seen = 0;
    for await (const { live } of agent.uplink.state(0)) {
      expect(live).toEqual([0]);
      seen += 1;
      if (seen === 5) break;
    }
    // The session is as good as before.
    await agent.uplink.heartbeat({
      files: 1,
      bytes: 1,
      unprotected: 0,
      pending: 0,
      unsettled: 0,
      problems: [],
    });
  });

  test('P2: chunks that are not their ids count as missing, and an answer of another kind ends the fetch', async () => {
    const agent = await backedUp();
    const ids = sample('/data/a', 3).items.map(({ id }) => id);
    bend('chunkData', (frame) => ({
      ...frame,
      items: frame.items.map((item, index) => ({
        ...item,
        id: frame.items[(index + 1) % frame.items.length]?.id ?? item.id,
      })),
    }));
    const swapped: string[] = [];
    for await (const item of agent.uplink.fetch(ids))
      swapped.push('bytes' in item ? 'bytes' : 'missing');
    expect(swapped).not.toContain('bytes');
    bend('chunkData', ({ requestId }) => ({ type: 'stateEnd', requestId }));
    await expect(
      (async () => {
        for await (const _ of agent.uplink.fetch(ids));
      })(),
    ).rejects.toMatchObject({ code: 'UPLINK_PROTOCOL' });
  });
});

describe('what it says of where it is', () => {
  const addresses = (revision: number, url: string, by = vault) =>
    issueAddresses(by.authority, {
      version: 1,
      vaultId: by.descriptor.vaultId,
      revision,
      addresses: [{ url, tlsCa: '', tlsPins: [] }],
    });

  /** Lets the collector hand these out in place of every answer to a heartbeat. */
  function handOut(signed: Signed): void {
    bend('heartbeatAck', () => ({ type: 'addresses', addresses: signed }));
  }

  /** A heartbeat brings the frame; what it ends with does not matter. */
  function ask(agent: UplinkTestAgent): void {
    agent.uplink
      .heartbeat({ files: 0, bytes: 0, unprotected: 0, pending: 0, unsettled: 0, problems: [] })
      .catch(() => undefined);
  }

  const kept = async (agent: UplinkTestAgent) =>
    (await TrustStore.open(nodeFiles, agent.dir, testIdentity(url))).addresses;

  test('P5: addresses that the authority did not sign for this vault end the session, and nothing is kept', async () => {
    const stranger = fixtureVault('a stranger');
    const agent = await start();
    await agent.until('ready');
    const good = addresses(5, 'https://true.lab');
    for (const forged of [
      addresses(9, 'https://evil.lab', stranger),
      { ...good, body: good.body.with(3, 0) },
      vault.collectorCertificate,
    ]) {
      handOut(forged);
      await agent.until('ready');
      ask(agent);
      expect((await agent.until('refused', 'offline')).problem?.code).toBe('UPLINK_PROTOCOL');
      honest();
      agent.uplink.nudge();
    }
    expect((await kept(agent)).revision).toBe(0);
    expect((await kept(agent)).candidates().map((address) => address.url)).toEqual([url]);
  });

  test('P5 P6: newer ones are kept and tried from the next connection on, the old address beside them; a replay of older ones changes nothing', async () => {
    const agent = await start();
    await agent.until('ready');
    for (const [revision, at] of [
      [5, 'http://127.0.0.1:1'],
      [4, 'http://127.0.0.1:2'],
    ] as const) {
      handOut(addresses(revision, at));
      ask(agent);
      for (;;) {
        if ((await kept(agent)).revision === 5) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(agent.uplink.status().state).toBe('ready');
    }
    honest();
    const again = await agent.restart();
    agents.splice(agents.indexOf(agent), 1, again);
    await again.until('ready');
    expect(again.uplink.status().url).toBe(url);
    expect((await kept(again)).candidates().map((address) => address.url)).toEqual([
      'http://127.0.0.1:1',
      url,
    ]);
    const [first] = collector.frames.filter((frame) => frame.type === 'auth').slice(-1);
    expect(first).toMatchObject({ addressesRevision: 5 });
  });
});
