import { asLineageId, type LineageId } from '@aliquot/proto';
import { expect, test } from 'vitest';
import { Turns } from './turns.ts';

const lineage = (number: number): LineageId => asLineageId(new Uint8Array(16).fill(number));

/** Waits that end when the test says so. */
function paused() {
  const waits: { milliseconds: number; action: () => void }[] = [];
  let nowMs = 0;
  const timers = {
    after: (milliseconds: number, action: () => void) => {
      waits.push({ milliseconds, action });
      return () => undefined;
    },
  };
  const spend = async (milliseconds: number) => {
    nowMs += milliseconds;
  };
  return { waits, turns: new Turns({ nowMs: () => nowMs }, timers), spend };
}

const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('P6 long work of one lineage alone goes on without a rest', async () => {
  const { turns, waits, spend } = paused();
  for (let step = 0; step < 50; step += 1) await turns.step(lineage(1), () => spend(20));
  // Its own calls are no reason to rest either.
  await turns.serve(lineage(1), async () => undefined);
  await turns.step(lineage(1), () => spend(20));
  expect(waits).toEqual([]);
});

test('P6 long work rests while others are served, and goes on for all that', async () => {
  const { turns, waits, spend } = paused();
  let steps = 0;
  const long = (async () => {
    for (; steps < 10; steps += 1) await turns.step(lineage(1), () => spend(20));
  })();
  let calls = 0;
  for (; steps < 10; calls += 1) {
    await turns.serve(lineage(2), settled);
    for (const { action } of waits.splice(0)) action();
  }
  await long;
  expect(calls).toBeGreaterThanOrEqual(10);
});

test('P6 a rest is ten times the step before it, a second at most', async () => {
  const { turns, waits, spend } = paused();
  const served = () => turns.serve(lineage(2), async () => undefined);
  for (const [spent, rest] of [
    [20, 200],
    [5000, 1000],
  ] as const) {
    await turns.step(lineage(1), async () => {
      await served();
      await spend(spent);
    });
    expect(waits.map(({ milliseconds }) => milliseconds)).toEqual([rest]);
    for (const { action } of waits.splice(0)) action();
  }
});

test('P6 while calls of others never end to come, a step is due after sixteen of them', async () => {
  const { turns } = paused();
  let isOver = false;
  const busy = turns.serve(lineage(2), async () => {
    while (!isOver) await settled();
  });
  let stepped = false;
  const step = turns.step(lineage(1), async () => {
    stepped = true;
  });
  for (let call = 0; call < 15; call += 1) await turns.serve(lineage(3), settled);
  expect(stepped).toBe(false);
  await turns.serve(lineage(3), settled);
  await step;
  isOver = true;
  await busy;
});

test('P6 of those that have long work, none has two steps while another waits', async () => {
  const { turns } = paused();
  const order: number[] = [];
  const work = async (number: number, sessions: number) => {
    const steps = async () => {
      for (let at = 0; at < 6; at += 1)
        await turns.step(lineage(number), async () => void order.push(number));
    };
    await Promise.all(Array.from({ length: sessions }, steps));
  };
  await Promise.all([work(1, 4), work(2, 1)]);
  expect(order.slice(0, 12)).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
  expect(order).toHaveLength(30);
});

test('a step that fails ends its own work only', async () => {
  const { turns } = paused();
  const failing = turns.step(lineage(1), async () => {
    throw new Error('the disk');
  });
  await expect(failing).rejects.toThrow('the disk');
  await turns.step(lineage(2), async () => undefined);
});
