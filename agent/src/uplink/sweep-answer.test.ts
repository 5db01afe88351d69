import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import { startAgent, type UplinkTestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import { exportQueue } from '../carry/export-queue.ts';
import type { Session } from './session.ts';
import { SweepAnswer } from './sweep-answer.ts';

let collector: TestCollector;
let agent: UplinkTestAgent;

beforeEach(async () => {
  collector = new TestCollector(vault);
  agent = await startAgent(await collector.listen());
});

afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

async function capture(name: string): Promise<void> {
  await put(agent.queue, sample(name, 3));
  await agent.queue.sync();
}

describe('the answer to an epoch of the sweep', () => {
  test('I-A9: comes at once when everything captured is receipted, once in every session', async () => {
    await capture('/data/a');
    await agent.uplink.drained();
    expect(collector.learned).toEqual([]);
    collector.announce(3);
    await collector.until(() => collector.learned.length === 1);
    const chainId = hex(agent.queue.chain.present().chainId);
    expect(collector.learned).toEqual([{ chainId, gcEpoch: 3 }]);
    expect(agent.queue.epochs.newest()).toBe(3);
    await agent.uplink.stop();
    agent.uplink.start();
    await collector.until(() => collector.learned.length === 2);
    await capture('/data/b');
    await agent.uplink.drained();
    expect(collector.learned).toHaveLength(2);
  });

  test('I-A9: comes before a command that has nothing to send hears that all is sent', async () => {
    await agent.until('ready');
    await agent.uplink.stop();
    collector.gcEpoch = 5;
    const answeredIn: number[] = [];
    collector.hangUpOn = ({ type }) => {
      if (type === 'gcLearned') answeredIn.push(collector.connections);
      return false;
    };
    const sessions = [collector.connections + 1, collector.connections + 2];
    for (const _session of sessions) {
      agent.uplink.start();
      await agent.uplink.drained();
      await agent.uplink.stop();
    }
    await collector.until(() => answeredIn.includes(sessions[1] ?? 0));
    expect(answeredIn).toEqual(sessions);
  });

  test('I-A9: waits for the receipt of every version that was captured before', async () => {
    await agent.until('ready');
    await agent.uplink.stop();
    await capture('/data/a');
    // Signed on its own, so that there are two commits to send.
    await agent.uplink.instead((parts) =>
      exportQueue({ ...parts, port: nodeFiles }, join(agent.dir, 'q')),
    );
    await capture('/data/b');
    collector.gcEpoch = 5;
    const order: string[] = [];
    collector.hangUpOn = (frame) => {
      order.push(frame.type);
      return frame.type === 'commit' && order.filter((type) => type === 'commit').length === 1;
    };
    agent.uplink.start();
    await agent.until('offline');
    expect(order).not.toContain('gcLearned');
    expect(agent.queue.epochs.newest()).toBe(5);
    agent.uplink.nudge();
    await collector.until(() => collector.learned.length === 1);
    expect(order.lastIndexOf('commit')).toBeLessThan(order.indexOf('gcLearned'));
    expect(collector.commits).toHaveLength(2);
  });

  test('I-A9: what is announced before the chains are compared is neither learnt nor answered until then', async () => {
    await agent.until('ready');
    await agent.uplink.stop();
    const sent: unknown[] = [];
    const session = { send: async (frame: unknown) => void sent.push(frame) } as unknown as Session;
    const sweep = new SweepAnswer(agent.queue.epochs, session);
    await sweep.told(7);
    await sweep.told(6);
    expect(agent.queue.epochs.newest()).toBe(0);
    expect(sent).toEqual([]);
    await sweep.settled(5);
    expect(agent.queue.epochs.newest()).toBe(7);
    await sweep.answer();
    expect(sent).toEqual([{ type: 'gcLearned', gcEpoch: 7 }]);
    await sweep.told(8);
    expect(sent).toHaveLength(2);
  });

  test('an epoch that is older than the one that was learnt changes nothing', async () => {
    await agent.until('ready');
    collector.announce(4);
    await collector.until(() => collector.learned.length === 1);
    collector.announce(2);
    await capture('/data/a');
    await agent.uplink.drained();
    expect(agent.queue.epochs.newest()).toBe(4);
    expect(collector.learned).toHaveLength(1);
  });

  test('a collector that announces without end loses the session instead of filling the disk', async () => {
    await agent.until('ready');
    for (let epoch = 1; epoch <= 100; epoch += 1) collector.announce(epoch);
    expect((await agent.until('refused')).problem?.code).toBe('UPLINK_PROTOCOL');
    expect(agent.queue.epochs.newest()).toBeLessThan(20);
  });
});
