import { expect, test } from 'vitest';
import { IdleCores, type ProcessorTimes } from './idle-cores.ts';

/** A PC of four cores, of which this process may use `ownCores`. */
function pc(ownCores = 4) {
  const clock = { ms: 0, nowMs: () => clock.ms };
  let times: ProcessorTimes = { busyMs: 9_000, idleMs: 70_000, ownMs: 400, cores: 4, ownCores };
  let looks = 0;
  const idle = new IdleCores(clock, () => {
    looks += 1;
    return times;
  });
  return {
    idle,
    looks: () => looks,
    /** Lets time pass in which this process and the others take so many cores. */
    pass(ms: number, own: number, others: number) {
      const busyMs = ms * (own + others);
      times = {
        ...times,
        busyMs: times.busyMs + busyMs,
        idleMs: times.idleMs + 4 * ms - busyMs,
        ownMs: times.ownMs + ms * own,
      };
      clock.ms += ms;
    },
  };
}

test('what others do not use is left, and what this process takes itself counts as left', () => {
  const { idle, pass } = pc();
  pass(500, 1.5, 1);
  expect(idle.left()).toBeCloseTo(3);
  pass(1000, 3, 0);
  expect(idle.left()).toBeCloseTo(4);
  pass(1000, 0, 4);
  expect(idle.left()).toBeCloseTo(0);
});

test('nothing is said before a time that says something, and no look is made more than once a second', () => {
  const { idle, pass, looks } = pc();
  pass(100, 1, 0);
  expect(idle.left()).toBeUndefined();
  pass(100, 1, 0);
  expect(idle.left()).toBeCloseTo(4);
  pass(900, 0, 4);
  expect(idle.left()).toBeCloseTo(4);
  expect(looks()).toBe(2);
  pass(100, 0, 4);
  expect(idle.left()).toBeCloseTo(0);
});

test('a process that is bound to fewer cores has no more than those', () => {
  const { idle, pass } = pc(2);
  pass(1000, 1, 0.5);
  expect(idle.left()).toBeCloseTo(1.5);
});

test('a clock that jumps back, or a system that counts nothing, changes nothing for the worse', () => {
  const { idle, pass } = pc();
  pass(1000, 1, 0);
  expect(idle.left()).toBeCloseTo(4);
  pass(-5000, 0, 0);
  expect(idle.left()).toBeCloseTo(4);
  const nowhere = { busyMs: 0, idleMs: 0, ownMs: 0, cores: 0, ownCores: 1 };
  let ms = 0;
  const blind = new IdleCores({ nowMs: () => ms }, () => nowhere);
  ms = 10_000;
  expect(blind.left()).toBeUndefined();
});
