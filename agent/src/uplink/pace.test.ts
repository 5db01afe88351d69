import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { put, sample } from '../../testing/queue/support.ts';
import { startAgent, type TestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import type { SendingPace } from './session.ts';

/** A pace that lets nothing pass until it is opened, and notices who waits. */
class Turnstile implements SendingPace {
  sentBytes = 0;
  waiting = 0;
  #open = Promise.withResolvers<void>();
  #entered = Promise.withResolvers<void>();

  async beforeSending(signal: AbortSignal): Promise<void> {
    this.waiting += 1;
    this.#entered.resolve();
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    await Promise.race([this.#open.promise, aborted]);
    this.waiting -= 1;
  }

  sent(bytes: number): void {
    this.sentBytes += bytes;
  }

  get entered(): Promise<void> {
    return this.#entered.promise;
  }

  open(): void {
    this.#open.resolve();
  }
}

let collector: TestCollector;
let agent: TestAgent;
let pace: Turnstile;

beforeEach(async () => {
  collector = new TestCollector(vault);
  pace = new Turnstile();
  agent = await startAgent(await collector.listen(), { uplink: { courtesy: pace } });
});
afterEach(async () => {
  await agent.close();
  await collector.stop();
  rmSync(agent.dir, { recursive: true, force: true });
});

test('items wait for their turn, and what is not content does not', async () => {
  await put(agent.queue, sample('/data/a', 3));
  await agent.queue.sync();
  await pace.entered;
  await agent.until('ready');
  await agent.uplink.heartbeat({
    files: 1,
    bytes: 600,
    unprotected: 0,
    pending: 0,
    unsettled: 0,
    problems: [],
  });
  expect(collector.frames.map(({ type }) => type)).toContain('heartbeat');
  expect(collector.itemCount).toBe(0);
  pace.open();
  await agent.uplink.drained();
  expect(collector.itemCount).toBe(3);
});

test('everything that is sent is counted, not only content', async () => {
  pace.open();
  await put(agent.queue, sample('/data/a', 3));
  await agent.queue.sync();
  await agent.uplink.drained();
  const { sentBytes, sentContentBytes } = agent.uplink.status();
  expect(pace.sentBytes).toBe(sentBytes);
  expect(pace.sentBytes).toBeGreaterThan(sentContentBytes);
});

test('an uplink that is stopped waits for no turn', async () => {
  await put(agent.queue, sample('/data/a', 3));
  await agent.queue.sync();
  await pace.entered;
  await agent.uplink.stop();
  expect(pace.waiting).toBe(0);
});
