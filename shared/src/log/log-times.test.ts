import type { ClockCorrectionBody } from '@aliquot/proto';
import { asVaultId } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collides, type LoggedCorrection, LogTimes } from './log-times.ts';
import { clampVersionTime } from './version-time.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const vaultId = asVaultId(new Uint8Array(16));

function correction(
  leafIndex: number,
  timeMs: number,
  stretch: { from: number; end: number; byMs: number; between?: readonly [number, number] },
): LoggedCorrection {
  const { from, end, byMs, between = [0, 1000 * DAY] } = stretch;
  const [notBeforeMs, notAfterMs] = between;
  const head = { logEpoch: 1, size: end, root: new Uint8Array(32) };
  const wrong = { fromMs: 500 * DAY, toMs: 600 * DAY, isMs: 500 * DAY + byMs };
  const body: ClockCorrectionBody = {
    ...{ version: 1, vaultId, fromLeaf: from, head },
    ...{ ...wrong, notBeforeMs, notAfterMs },
  };
  return { leafIndex, timeMs, body };
}

describe('the times of a log', () => {
  // Leaves 2 to 4 say that it is 500 days later than it is, and 5 waits for the clock.
  const recorded = [1, 2, 503, 504, 505, 505, 7].map((day) => day * DAY);
  const corrected = correction(6, 7 * DAY, {
    ...{ from: 2, end: 5, byMs: -500 * DAY },
    between: [2 * DAY, 505 * DAY],
  });

  it('are those of its leaves while nothing was corrected', () => {
    expect(recorded.map((ms, leaf) => LogTimes.asRecorded.of(leaf, ms))).toEqual(recorded);
    expect(LogTimes.asRecorded.ofMoment(3, 5)).toBe(5);
  });

  it('are moved in a stretch that was corrected, and nothing before the correction is later than it', () => {
    const times = new LogTimes([corrected]);
    const days = recorded.map((ms, leaf) => times.of(leaf, ms) / DAY);
    expect(days).toEqual([1, 2, 3, 4, 5, 7, 7]);
    expect(times.of(7, 2000 * DAY)).toBe(2000 * DAY);
  });

  it('give a version that was received while the log waited for the clock the time that it claims', () => {
    const times = new LogTimes([corrected]);
    const [previous, waited] = [times.of(4, 505 * DAY), times.of(5, 505 * DAY)];
    expect(clampVersionTime(6 * DAY, previous, waited)).toBe(6 * DAY);
  });

  it('follow the newest correction of a stretch; one by nothing takes the others back', () => {
    const again = { ...corrected, leafIndex: 7, timeMs: 8 * DAY };
    const by = (byMs: number): LoggedCorrection => {
      const isMs = again.body.fromMs + byMs;
      return { ...again, body: { ...again.body, isMs } };
    };
    expect(new LogTimes([corrected, by(-501 * DAY)]).of(3, 504 * DAY)).toBe(3 * DAY);
    // What it takes back cannot be later than the first correction either.
    expect(new LogTimes([corrected, by(0)]).of(3, 504 * DAY)).toBe(7 * DAY);
    const behind = correction(6, 1000 * DAY, { from: 2, end: 5, byMs: 20 * HOUR });
    const back = { ...behind, leafIndex: 7, body: { ...behind.body, isMs: behind.body.fromMs } };
    expect(new LogTimes([behind]).of(3, 504 * DAY)).toBe(504 * DAY + 20 * HOUR);
    expect(new LogTimes([behind, back]).of(3, 504 * DAY)).toBe(504 * DAY);
  });

  it('tell of a moment beside the log by how many leaves there were', () => {
    const times = new LogTimes([corrected]);
    expect(times.ofMoment(4, 504 * DAY + HOUR)).toBe(4 * DAY + HOUR);
    // The stretch ends with leaf 4: what the clock said then tells whether it was set back.
    expect(times.ofMoment(5, 505 * DAY + HOUR)).toBe(5 * DAY + HOUR);
    expect(times.ofMoment(5, 6 * DAY)).toBe(6 * DAY);
    expect(times.ofMoment(6, 700 * DAY)).toBe(7 * DAY);
    expect(times.ofMoment(7, 9 * DAY)).toBe(9 * DAY);
  });

  it('collide where they share leaves of another stretch, or a leaf that corrects', () => {
    const at = (from: number, end: number) => correction(99, 0, { from, end, byMs: 0 }).body;
    const cases: [number, number, boolean][] = [
      [2, 5, false],
      [0, 2, false],
      [5, 6, false],
      [7, 9, false],
      [1, 3, true],
      [3, 4, true],
      [4, 6, true],
      [5, 7, true],
    ];
    for (const [from, end, expected] of cases)
      expect([from, end, collides(at(from, end), corrected)]).toEqual([from, end, expected]);
  });

  /** Any clock, and any corrections that a log takes. */
  const steps = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ passMs: fc.nat(3 * HOUR), jumpMs: fc.constant(0) }) },
      fc.record({ passMs: fc.nat(HOUR), jumpMs: fc.integer({ min: -3 * DAY, max: 3 * DAY }) }),
      fc.record({
        from: fc.nat(60),
        leaves: fc.integer({ min: 1, max: 20 }),
        byMs: fc.integer({ min: -3 * DAY, max: 3 * DAY }),
        again: fc.nat(8),
      }),
    ),
    { minLength: 2, maxLength: 60 },
  );

  it('never change the order of leaves, whatever the clock did and whatever is corrected', () => {
    fc.assert(
      fc.property(steps, (all) => {
        let clockMs = 100 * DAY;
        const leaves: number[] = [];
        let logged: LoggedCorrection[] = [];
        const countAs = (): number[] => {
          const times = new LogTimes(logged);
          return leaves.map((ms, leaf) => times.of(leaf, ms));
        };
        for (const step of all) {
          if ('passMs' in step) {
            clockMs = Math.max(0, clockMs + step.passMs + step.jumpMs);
            leaves.push(Math.max(clockMs, countAs().at(-1) ?? 0));
            continue;
          }
          const before = countAs();
          const known = logged[step.again]?.body;
          const from = known?.fromLeaf ?? step.from % Math.max(1, leaves.length);
          const end = known?.head.size ?? Math.min(leaves.length, from + step.leaves);
          const notBeforeMs = before[from - 1] ?? 0;
          const notAfterMs = Math.max(notBeforeMs, Math.min(before[end] ?? clockMs, clockMs));
          const between = [notBeforeMs, notAfterMs] as const;
          const { byMs } = step;
          const one = correction(leaves.length, clockMs, { from, end, byMs, between });
          if (end <= from || logged.some((other) => collides(one.body, other))) continue;
          logged = [...logged, one];
          leaves.push(clockMs);
          const after = countAs();
          for (const [leaf, ms] of after.slice(0, -1).entries()) {
            expect(ms).toBeLessThanOrEqual(clockMs);
            if (leaf < from || leaf >= end) expect(ms).toBe(Math.min(before[leaf] ?? 0, clockMs));
          }
        }
        const times = countAs();
        expect(times).toEqual(times.toSorted((a, b) => a - b));
      }),
      { numRuns: 300, verbose: true },
    );
  });
});
