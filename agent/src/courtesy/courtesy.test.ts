import { beforeEach, expect, test } from 'vitest';
import { TestPc } from '../../testing/courtesy/test-pc.ts';
import { type CourtesyEvent, LONG_PAUSE_MS } from './courtesy.ts';

let pc: TestPc;
beforeEach(() => {
  pc = new TestPc();
});

/** Milliseconds of the PC's clock that `work` takes. */
async function lasts(work: () => Promise<unknown>): Promise<number> {
  const before = pc.nowMs;
  await work();
  return pc.nowMs - before;
}

test('without settings nothing waits, and nobody looks for processes', async () => {
  const courtesy = pc.courtesy({});
  expect(courtesy.limiting).toBe(false);
  pc.usedCpuMs = 1e9;
  courtesy.sent(1e12);
  expect(await lasts(() => courtesy.beforeWork())).toBe(0);
  expect(await lasts(() => courtesy.beforeSending())).toBe(0);
  expect(pc.looks).toBe(0);
});

test('work gets its share of a core, in the mean', async () => {
  const courtesy = pc.courtesy({ maxCpuPercent: 25 });
  const time = await lasts(async () => {
    for (let window = 0; window < 100; window += 1) {
      pc.usedCpuMs += 40;
      pc.nowMs += 40;
      await courtesy.beforeWork();
    }
  });
  expect(pc.usedCpuMs / time).toBeCloseTo(0.25, 2);
});

test('sending counts as work too: the limit is the whole process’s', async () => {
  const courtesy = pc.courtesy({ maxCpuPercent: 50 });
  pc.usedCpuMs += 1000;
  expect(await lasts(() => courtesy.beforeSending())).toBe(2000);
});

test('one long piece of other work does not stop everything for minutes', async () => {
  const courtesy = pc.courtesy({ maxCpuPercent: 10 });
  pc.usedCpuMs += 3_600_000;
  expect(await lasts(() => courtesy.beforeWork())).toBeLessThanOrEqual(10_000);
});

test('what is sent keeps to the rate in the mean, however large the pieces are', async () => {
  const courtesy = pc.courtesy({ maxMbitPerSecond: 8 });
  const time = await lasts(async () => {
    for (const size of [1_000_000, 1, 500_000, 3_000_000, 250_000, 1_500_000]) {
      await courtesy.beforeSending();
      courtesy.sent(size);
    }
    await courtesy.beforeSending();
  });
  // 8 Mbit/s are 1,000 bytes a millisecond.
  expect(time).toBeGreaterThanOrEqual(6250);
  expect(time).toBeLessThan(6260);
});

test('a rest saves up a moment, not an hour', async () => {
  const courtesy = pc.courtesy({ maxMbitPerSecond: 8 });
  pc.nowMs += 3_600_000;
  await courtesy.beforeSending();
  courtesy.sent(1_000_000);
  expect(await lasts(() => courtesy.beforeSending())).toBe(750);
});

test('a new hour’s limit holds for who already waits', async () => {
  pc.nowMs = new Date(2026, 5, 1, 17, 59, 58).getTime();
  const courtesy = pc.courtesy({
    timeWindows: [{ from: '08:00', to: '18:00', maxMbitPerSecond: 0.1 }],
  });
  await courtesy.beforeSending();
  courtesy.sent(125_000); // ten seconds' worth
  await courtesy.beforeSending();
  expect(new Date(pc.nowMs).getHours()).toBe(18);
  expect(pc.nowMs).toBeLessThan(new Date(2026, 5, 1, 18, 0, 1).getTime());
});

test('a clock that is set back or forward changes no more than a moment of the waiting', async () => {
  const courtesy = pc.courtesy({ maxMbitPerSecond: 8 });
  await courtesy.beforeSending();
  courtesy.sent(2_000_000);
  pc.nowMs -= 86_400_000;
  expect(await lasts(() => courtesy.beforeSending())).toBe(2000);
  pc.nowMs += 365 * 86_400_000;
  await courtesy.beforeSending();
  courtesy.sent(2_000_000);
  expect(await lasts(() => courtesy.beforeSending())).toBe(1750);
});

test('while the program runs nothing begins; sending goes on; afterwards work does', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }] });
  const events: CourtesyEvent[] = [];
  courtesy.subscribe((event) => events.push(event));
  pc.running.add('acquire');
  const began = pc.nowMs;
  const done = began + 3_600_000;
  pc.onSleep = () => {
    if (pc.nowMs >= done) pc.running.clear();
  };
  expect(await lasts(() => courtesy.beforeSending())).toBe(0);
  await courtesy.beforeWork();
  expect(pc.nowMs).toBeGreaterThanOrEqual(done);
  expect(events).toEqual([
    { type: 'paused', pause: { sinceMs: began, because: 'acquire runs' } },
    { type: 'resumed' },
  ]);
  expect(await courtesy.paused()).toBeUndefined();
});

test('a flag file pauses like a program does, and status says since when', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }, { file: '/run/busy' }] });
  pc.files.add('/run/busy');
  const sinceMs = pc.nowMs;
  expect(await courtesy.paused()).toEqual({ sinceMs, because: '/run/busy is there' });
  pc.nowMs += 60_000;
  expect(await courtesy.paused()).toEqual({ sinceMs, because: '/run/busy is there' });
});

test('from one sign to the next it is one pause', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }, { file: '/run/busy' }] });
  pc.running.add('acquire');
  const pause = await courtesy.paused();
  pc.nowMs += 60_000;
  pc.running.clear();
  pc.files.add('/run/busy');
  expect(await courtesy.paused()).toEqual({
    sinceMs: pause?.sinceMs,
    because: '/run/busy is there',
  });
});

test('the processes are not asked for with every window', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }] });
  for (let window = 0; window < 100; window += 1) await courtesy.beforeWork();
  expect(pc.looks).toBe(1);
});

test('P6: a pause that lasts for long is told of, once', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }] });
  const events: string[] = [];
  courtesy.subscribe(({ type }) => events.push(type));
  pc.running.add('acquire');
  const until = pc.nowMs + 3 * LONG_PAUSE_MS;
  // Each nap takes the PC some minutes further, so that a day needs some hundreds of looks instead
  // of a hundred thousand.
  pc.onSleep = () => {
    pc.nowMs += 5 * 60_000;
    if (pc.nowMs >= until) pc.running.clear();
  };
  await courtesy.beforeWork();
  expect(events).toEqual(['paused', 'pausedLong', 'resumed']);
});

test('P6: a sign that cannot be looked at pauses nothing, and is named', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }] });
  pc.failing = Object.assign(new Error('spawn tasklist ENOENT'), {
    code: 'ENOENT',
    syscall: 'spawn tasklist',
  });
  await courtesy.beforeWork();
  expect(courtesy.trouble).toBe(
    'the list of running programs cannot be looked at (ENOENT), so pauseWhile does not hold',
  );
  pc.failing = undefined;
  pc.nowMs += 60_000;
  await courtesy.beforeWork();
  expect(courtesy.trouble).toBeUndefined();
});

test('who waits goes on when nobody wants the work any more, or the program ends', async () => {
  const courtesy = pc.courtesy({ pauseWhile: [{ process: 'acquire' }] });
  pc.running.add('acquire');
  const unwanted = new AbortController();
  pc.onSleep = () => unwanted.abort();
  await courtesy.beforeWork(unwanted.signal);
  pc.onSleep = () => courtesy.end();
  await courtesy.beforeWork();
  await courtesy.beforeWork();
  expect(await courtesy.paused()).toBeUndefined();
});
