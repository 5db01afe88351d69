import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench } from '../../testing/capture/bench.ts';
import { cacheSecret, keys, noise } from '../../testing/queue/support.ts';
import { fromText } from '../source/paths.ts';
import { nodeSource } from '../source/source-port.ts';
import { CaptureCore } from './core.ts';
import { CaptureRoom } from './open-window.ts';
import type { CaptureExchange } from './window.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

/** A room that counts the windows that are out. */
class CountingRoom extends CaptureRoom {
  out = 0;

  override take(): Uint8Array {
    this.out += 1;
    return super.take();
  }

  override giveBack(buffer: Uint8Array): void {
    this.out -= 1;
    super.giveBack(buffer);
  }
}

const failure = new Error('the disk is full');

/**
 * Fails at one of its calls; each takes a turn of the event loop, and those under way are counted.
 */
class FailingExchange implements CaptureExchange {
  readonly #failAt: number;
  calls = 0;
  underWay = 0;

  constructor(failAt: number) {
    this.#failAt = failAt;
  }

  lookup(indexes: readonly Uint8Array[]): Promise<undefined[]> {
    return this.#call(indexes.map(() => undefined));
  }

  deliver(): Promise<never[]> {
    return this.#call([]);
  }

  async #call<T>(answer: T): Promise<T> {
    this.calls += 1;
    const fails = this.calls === this.#failAt;
    this.underWay += 1;
    await new Promise((resolve) => setImmediate(resolve));
    this.underWay -= 1;
    if (fails) throw failure;
    return answer;
  }
}

function captureWith(
  room: CaptureRoom,
  exchange: CaptureExchange,
  names: readonly string[],
): Promise<void> {
  const core = new CaptureCore(
    nodeSource,
    { vault: keys, cacheSecret },
    room,
    exchange,
    bench.clock,
    async () => undefined,
  );
  return core.capture(
    names.map((name, job) => ({ job, path: fromText(join(bench.data, name), '/') })),
  );
}

test('a capture that fails, at whatever call, gives its windows back and leaves nothing under way', async () => {
  for (const name of ['a', 'b', 'c'])
    writeFileSync(
      join(bench.data, name),
      Buffer.concat([noise(name, 3_000_000), noise(`${name} again`, 2_000_000)]),
    );
  const names = ['a', 'missing', 'b', 'c'];
  const room = new CountingRoom({ vault: keys, cacheSecret });
  const whole = new FailingExchange(0);
  await captureWith(room, whole, names);
  expect(room.out).toBe(0);
  expect(whole.calls).toBeGreaterThan(6);
  for (let failAt = 1; failAt <= whole.calls; failAt += 1) {
    const exchange = new FailingExchange(failAt);
    await expect(captureWith(room, exchange, names)).rejects.toBe(failure);
    expect([failAt, room.out, exchange.underWay]).toEqual([failAt, 0, 0]);
  }
});
