import { rmSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { noise, put, sampleFile } from '../../testing/queue/support.ts';
import { startAgent, type UplinkTestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';

let collector: TestCollector;
let agent: UplinkTestAgent;

afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

/**
 * Names of the items in every frame of content that the collector has met since the start or the
 * last call.
 */
function contentFrames(): string[][] {
  const frames = collector.frames.splice(0);
  return frames.flatMap((frame) =>
    frame.type === 'chunks' ? [frame.items.map(({ id }) => Buffer.from(id).toString('hex'))] : [],
  );
}

test('P1: draining goes on inside a file, at the chunk: what arrived before the line was cut is not sent again, also after a restart', async () => {
  collector = new TestCollector(vault);
  agent = await startAgent(await collector.listen(), { start: false });
  const parts = Array.from({ length: 48 }, (_, part) => noise(`part ${part}`, 128 * 1024));
  const file = sampleFile('/data/one large file', parts);
  await put(agent.queue, file);
  await agent.queue.sync();
  const arrived = new Set<string>();
  for (let cut = 0; cut < 3; cut += 1) {
    let frames = 0;
    collector.hangUpOn = ({ type }) => {
      if (type === 'chunks') frames += 1;
      return frames === 2;
    };
    if (cut > 0) agent = await agent.restart();
    agent.uplink.start();
    await agent.until('offline');
    // The second one was cut: it may come again, the first must not.
    const [first, second] = contentFrames();
    expect(first?.length).toBeGreaterThan(0);
    expect(second?.length).toBeGreaterThan(0);
    for (const id of first ?? []) {
      expect(arrived.has(id)).toBe(false);
      arrived.add(id);
    }
  }
  expect(collector.itemCount).toBe(arrived.size);
  expect(agent.queue.intake.pending().entries).toBe(1);
  collector.hangUpOn = () => false;
  agent = await agent.restart();
  agent.uplink.start();
  await agent.uplink.drained();
  const rest = contentFrames().flat();
  expect(rest.filter((id) => arrived.has(id))).toEqual([]);
  expect(arrived.size + rest.length).toBe(file.items.length);
  expect(agent.queue.intake.pending().entries).toBe(0);
});
