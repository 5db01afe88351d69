import { expect, test } from 'vitest';
import { HandTimers } from '../../testing/front.ts';
import { HandshakePace } from './handshake-pace.ts';

/** Each piece of work takes as long as it says; time passes in work and in rests only. */
function paced() {
  let nowMs = 0;
  const rests: number[] = [];
  const hand = new HandTimers();
  const timers = {
    after: (milliseconds: number, action: () => void) => {
      rests.push(milliseconds);
      return hand.after(milliseconds, () => {
        nowMs += milliseconds;
        action();
      });
    },
  };
  const pace = new HandshakePace(timers, () => nowMs);
  const done: string[] = [];
  /** `a7` is of network `a`. */
  const ask = (name: string, milliseconds = 0.5): Promise<string | undefined> =>
    pace.turn(name.charAt(0), { name }, () => {
      nowMs += milliseconds;
      done.push(name);
      return name;
    });
  return { pace, timers: hand, rests, done, ask };
}

/** Until nothing more is done without a timer. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 500; turn += 1) await new Promise((go) => setImmediate(go));
}

const names = (network: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${network}${index}`);

test('P6 networks take turns, and of one network the newest is first', async () => {
  const { ask, done } = paced();
  for (const name of [...names('a', 4), 'b0', ...names('c', 2)]) void ask(name);
  await settled();
  expect(done).toEqual(['a3', 'b0', 'c1', 'a2', 'c0', 'a1', 'a0']);
});

test('P6 a newcomer comes before all that wait of his own network', async () => {
  const { pace, ask, done } = paced();
  for (const name of names('a', 2000)) void ask(name);
  while (done.length < 1000) await new Promise((go) => setImmediate(go));
  void pace.turn('a', {}, () => done.push('newcomer'));
  const before = done.length;
  while (!done.includes('newcomer')) await new Promise((go) => setImmediate(go));
  expect(done.indexOf('newcomer')).toBe(before);
});

test('as long as nobody else is served nothing rests', async () => {
  const { ask, done, rests } = paced();
  for (const name of names('a', 500)) void ask(name);
  while (done.length < 500) await settled();
  expect(rests).toEqual([]);
});

test('P6 while others are served what is done for strangers takes a sixth of the time at most', async () => {
  const { pace, timers, ask, done, rests } = paced();
  for (const name of names('a', 1000)) void ask(name);
  const beforeRests: number[] = [];
  while (done.length < 1000) {
    pace.served();
    await new Promise((go) => setImmediate(go));
    if (rests.length === beforeRests.length) continue;
    beforeRests.push(done.length);
    timers.elapse();
  }
  // A site that comes back is not held up; then each rest is for what was done since the one
  // before.
  expect(beforeRests[0]).toBeGreaterThan(20);
  const restedMs = rests.slice(1).reduce((sum, rest) => sum + rest, 0);
  const workedMs = ((beforeRests.at(-1) ?? 0) - (beforeRests[0] ?? 0)) * 0.5;
  expect(restedMs / workedMs).toBeGreaterThan(4);
  expect(Math.max(...rests)).toBeLessThan(60);
});

test('a turn that the machine held up is not held against those that come next', async () => {
  const { pace, ask, rests } = paced();
  pace.served();
  await ask('a0', 5000);
  await ask('a1');
  expect(rests).toEqual([]);
});

test('nothing is done for who has left, and who waits with him keeps his place', async () => {
  const { pace, ask, done } = paced();
  const owner = {};
  const left = pace.turn('a', owner, () => done.push('left'));
  const kept = ask('a0');
  pace.leave('a', owner);
  pace.leave('a', owner);
  pace.leave('b', owner);
  expect(await left).toBeUndefined();
  expect(await kept).toBe('a0');
  expect(done).toEqual(['a0']);
});

test('what fails fails for the one who asked, and the next goes on', async () => {
  const { pace, ask } = paced();
  const failed = pace.turn('a', {}, () => {
    throw new Error('no key');
  });
  await expect(failed).rejects.toThrow('no key');
  expect(await ask('a0')).toBe('a0');
});
