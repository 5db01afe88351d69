import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import { startAgent, type TestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';

let collector: TestCollector;
let agent: TestAgent;

beforeEach(async () => {
  collector = new TestCollector(vault);
  agent = await startAgent(await collector.listen());
  await agent.until('ready');
});
afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

test('items of a file that is still being captured go ahead of their commit, and are not sent twice', async () => {
  const file = sample('/data/large', 12, 300_000);
  const bytes = file.items.reduce((sum, { sealed }) => sum + sealed.length, 0);
  const capture = agent.queue.capture();
  for (const item of file.items) await capture.putItem({ ...item, named: true });
  await collector.until(() => collector.itemCount > 0);
  expect(collector.commits).toHaveLength(0);
  await capture.putVersion(file.draft, file.known);
  await agent.queue.sync();
  await agent.uplink.drained();
  expect(collector.commits).toHaveLength(1);
  expect(collector.itemCount).toBe(12);
  expect(agent.uplink.status().sentContentBytes).toBe(bytes);
});

test('what a capture sent ahead and then gave up costs nothing but its bytes', async () => {
  const given = agent.queue.capture();
  for (const item of sample('/data/given-up', 12, 300_000).items)
    await given.putItem({ ...item, named: true });
  await collector.until(() => collector.itemCount > 0);
  given.abort();
  await put(agent.queue, sample('/data/a', 3));
  await agent.queue.sync();
  await agent.uplink.drained();
  expect(collector.commits).toHaveLength(1);
  expect((await agent.queue.known(Buffer.from('/data/a')))?.state).toBe('safe');
});
