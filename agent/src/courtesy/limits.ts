import type { CourtesySettings, TimeWindow } from '@aliquot/shared/settings/courtesy';

/** What holds at one moment. Undefined: no limit. */
export interface Limits {
  /** CPU milliseconds for each millisecond: 0.5 is half of one core. */
  readonly cpuShare: number | undefined;
  readonly bytesPerMs: number | undefined;
}

/** One megabit per second. */
const BYTES_PER_MS_OF_MBIT = 1_000_000 / 8 / 1000;

/**
 * The limits at a moment, by this PC's local time. The first window that holds and names a limit
 * decides it; else the default does.
 */
export function limitsAt(
  settings: Pick<CourtesySettings, 'maxCpuPercent' | 'maxMbitPerSecond' | 'timeWindows'>,
  nowMs: number,
): Limits {
  let { maxCpuPercent, maxMbitPerSecond } = settings;
  for (const window of [...settings.timeWindows].reverse()) {
    if (!holds(window, new Date(nowMs))) continue;
    maxCpuPercent = window.maxCpuPercent ?? maxCpuPercent;
    maxMbitPerSecond = window.maxMbitPerSecond ?? maxMbitPerSecond;
  }
  return {
    cpuShare: maxCpuPercent === undefined ? undefined : maxCpuPercent / 100,
    bytesPerMs:
      maxMbitPerSecond === undefined ? undefined : maxMbitPerSecond * BYTES_PER_MS_OF_MBIT,
  };
}

function holds({ from, to, days }: TimeWindow, now: Date): boolean {
  const minute = now.getHours() * 60 + now.getMinutes();
  const today = now.getDay();
  if (from < to) return days.includes(today) && minute >= from && minute < to;
  // It ends on the day after the one on which it began.
  return (
    (days.includes(today) && minute >= from) || (days.includes((today + 6) % 7) && minute < to)
  );
}
