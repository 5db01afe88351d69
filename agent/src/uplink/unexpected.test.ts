import { rmSync } from 'node:fs';
import { nextUncaught } from '@aliquot/shared/testing/uncaught';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import { startAgent, type UplinkTestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';

let collector: TestCollector;
let agent: UplinkTestAgent;

beforeEach(async () => {
  collector = new TestCollector(vault);
  agent = await startAgent(await collector.listen(), {});
});
afterEach(async () => {
  await agent.close();
  await collector.stop();
  rmSync(agent.dir, { recursive: true, force: true });
});

test('I-UNFORESEEN a fault of ours while sending ends the process; it is no reason to try again', async () => {
  await agent.until('ready');
  const uncaught = nextUncaught();
  const fault = new TypeError('x is undefined');
  agent.queue.outbox.nextCommit = () => Promise.reject(fault);
  await put(agent.queue, sample('/data/a'));
  await agent.queue.sync();
  expect(await uncaught).toBe(fault);
});
