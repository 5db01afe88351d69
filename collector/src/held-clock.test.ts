import { describe, expect, it } from 'vitest';
import { CLOCK_JUMP_MS, type ClockHold, HeldClock } from './held-clock.ts';

const START = Date.UTC(2026, 0, 5, 8);
const HOUR = 3_600_000;
const YEARS = 73 * 365 * 24 * HOUR;

/** A machine whose clock and monotonic clock a test moves apart. */
function machine() {
  const at = { machineMs: START, monotonicMs: 5000 };
  const changes: [string, ClockHold][] = [];
  const clock = new HeldClock({ nowMs: () => at.machineMs }, () => at.monotonicMs);
  clock.onChange((change, hold) => changes.push([change, hold]));
  return {
    clock,
    changes,
    passes(ms: number) {
      at.machineMs += ms;
      at.monotonicMs += ms;
    },
    jumps(ms: number) {
      at.machineMs += ms;
    },
  };
}

describe("the collector's clock", () => {
  it('is the machine’s, also when that is put right by less than a day', () => {
    const { clock, passes, jumps, changes } = machine();
    clock.startFrom(START - 10 * HOUR);
    passes(HOUR);
    jumps(-3 * HOUR);
    expect(clock.nowMs()).toBe(START - 2 * HOUR);
    jumps(CLOCK_JUMP_MS);
    expect(clock.nowMs()).toBe(START + 22 * HOUR);
    expect(clock.hold).toBeUndefined();
    expect(changes).toEqual([]);
  });

  it.each([
    ['ahead', YEARS],
    ['behind', -YEARS],
    ['ahead by a little more than a day', CLOCK_JUMP_MS + 1],
  ])('that jumps %s while it runs goes on by the monotonic clock', (_, ms) => {
    const { clock, passes, jumps, changes } = machine();
    clock.startFrom(START);
    passes(HOUR);
    expect(clock.nowMs()).toBe(START + HOUR);
    jumps(ms);
    passes(2 * HOUR);
    expect(clock.nowMs()).toBe(START + 3 * HOUR);
    expect(clock.hold).toEqual({
      sinceMs: START + HOUR,
      heldMs: START + 3 * HOUR,
      machineMs: START + 3 * HOUR + ms,
    });
    jumps(-ms);
    expect(clock.nowMs()).toBe(START + 3 * HOUR);
    expect(clock.hold).toBeUndefined();
    expect(changes.map(([change]) => change)).toEqual(['held', 'released']);
  });

  it('believes a start after a holiday: what came meanwhile is not dated back', () => {
    const { clock, changes } = machine();
    clock.startFrom(START - 30 * CLOCK_JUMP_MS);
    expect(clock.nowMs()).toBe(START);
    expect(changes).toEqual([]);
  });

  it('is held at a start a day before, or more than 30 days after what was recorded', () => {
    for (const recordedMs of [START - 30 * CLOCK_JUMP_MS - 1, START + YEARS]) {
      const { clock, passes, changes } = machine();
      clock.startFrom(recordedMs);
      passes(HOUR);
      expect(clock.nowMs()).toBe(recordedMs + HOUR);
      expect(changes).toHaveLength(1);
    }
  });

  it('that never recorded a time believes the machine', () => {
    const { clock, passes } = machine();
    clock.startFrom(undefined);
    passes(HOUR);
    expect(clock.nowMs()).toBe(START + HOUR);
  });

  it('goes on with the machine’s when somebody says that it is right, and only then', () => {
    const { clock, jumps, passes } = machine();
    clock.startFrom(START);
    expect(clock.confirm()).toBeUndefined();
    jumps(30 * CLOCK_JUMP_MS);
    expect(clock.nowMs()).toBe(START);
    expect(clock.confirm()).toEqual({
      sinceMs: START,
      heldMs: START,
      machineMs: START + 30 * CLOCK_JUMP_MS,
    });
    passes(HOUR);
    expect(clock.nowMs()).toBe(START + 30 * CLOCK_JUMP_MS + HOUR);
  });
});
