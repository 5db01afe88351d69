import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test, vi } from 'vitest';
import { content, StoreWorld } from '../../../testing/store/world.ts';
import { StoredVault } from '../stored-vault.ts';
import { HeldItems } from './held-items.ts';
import { type Pace, SameTime } from './same-time.ts';

/** A pace whose time passes in its timers only. */
function stepped() {
  let nowMs = 0;
  const waited: number[] = [];
  const pace: Pace = {
    timers: {
      after(milliseconds, action) {
        waited.push(milliseconds);
        nowMs += milliseconds;
        queueMicrotask(action);
        return () => undefined;
      },
    },
    elapsedMs: () => {
      nowMs += 0.01;
      return nowMs;
    },
  };
  const work = (milliseconds: number) => async () => {
    nowMs += milliseconds;
  };
  const passed = async (run: () => Promise<unknown>): Promise<number> => {
    const began = nowMs;
    await run();
    return nowMs - began;
  };
  return { pace, work, passed, waited };
}

test('P4 what is only pretended takes as long as the latest writes of that size', async () => {
  const { pace, work, passed } = stepped();
  const same = new SameTime(pace);
  const real = async (bytes: number, milliseconds: number) => {
    const began = same.begin();
    await work(milliseconds)();
    same.done(began, bytes);
  };
  for (let at = 0; at < 20; at += 1) {
    await real(1000, 1 + (at % 3));
    await real(1_000_000, 20 + (at % 3));
  }
  for (let at = 0; at < 20; at += 1) {
    const small = await passed(() => same.pretend(same.begin(), 1000));
    expect(small).toBeGreaterThanOrEqual(1);
    expect(small).toBeLessThan(3.5);
    const large = await passed(() => same.pretend(same.begin(), 1_000_000));
    expect(large).toBeGreaterThanOrEqual(20);
    expect(large).toBeLessThan(22.5);
  }
});

test('a disk that stood still makes nobody wait for long, and without a pace nobody waits', async () => {
  const { pace, work, passed } = stepped();
  const same = new SameTime(pace);
  const began = same.begin();
  await work(60_000)();
  same.done(began, 1000);
  expect(await passed(() => same.pretend(same.begin(), 1000))).toBeLessThan(252);
  await new SameTime(undefined).pretend(0, 1_000_000);
});

test('P4 a chunk that only another agent has is answered, and its commit judged, as late as one that is written', async () => {
  const { pace, work, waited } = stepped();
  const { put, sync } = HeldItems.prototype;
  const spies = [
    vi.spyOn(HeldItems.prototype, 'put').mockImplementation(async function (
      this: HeldItems,
      ...of
    ) {
      const places = await put.apply(this, of);
      await work(20)();
      return places;
    }),
    vi.spyOn(HeldItems.prototype, 'sync').mockImplementation(async function (this: HeldItems) {
      await sync.apply(this);
      await work(40)();
    }),
  ];
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  const world = new StoreWorld();
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, {
    ...world.ports(),
    pace,
  });
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const [one, two] = [await world.agent(store, 'one'), await world.agent(store, 'two')];
  const files = [1, 2].map((at) => one.file(`/d/${at}`, [content(`${at}`, 100_000)]));
  for (const file of files) await one.back(store, [file]);
  expect(waited).toEqual([]);
  const [first, second] = files;
  if (first === undefined || second === undefined) throw new Error('no file');
  await store.intake.putChunks(two.lineageId, first.items);
  expect(waited).toEqual([19]);
  // What is its own by now has nothing to hide.
  await store.intake.putChunks(two.lineageId, first.items);
  expect(waited).toEqual([19]);
  await two.back(store, [two.file('/d/1', [content('1', 100_000)])]);
  expect(waited).toEqual([19, 39]);
  await two.back(store, [two.directory('/e')]);
  expect(waited).toEqual([19, 39]);
});
