import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { scanAt } from './scan-schedule.ts';

describe('whole scans at a fixed hour', () => {
  beforeEach(() => void vi.useFakeTimers({ now: new Date(2026, 10, 21, 2, 58, 0) }));
  afterEach(() => void vi.useRealTimers());

  it('come when the expression says, and no more after the end', async () => {
    let scans = 0;
    const schedule = scanAt('0 3 * * *', () => {
      scans += 1;
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(scans).toBe(0);
    await vi.advanceTimersByTimeAsync(2 * 60_000);
    expect(scans).toBe(1);
    await schedule.stop();
    await vi.advanceTimersByTimeAsync(25 * 3_600_000);
    expect(scans).toBe(1);
  });
});
