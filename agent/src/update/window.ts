const MINUTES_A_DAY = 24 * 60;

/**
 * Whether hours such as `22:00-05:00`, by this PC's clock, are open at a time; always where none
 * are given. The end belongs to them no more, and a window that ends when it begins is open all
 * day.
 */
export function isOpen(window: string | undefined, nowMs: number): boolean {
  if (window === undefined) return true;
  const [begin = 0, end = 0] = window.split('-').map(minutesOf);
  const now = new Date(nowMs);
  const minute = now.getHours() * 60 + now.getMinutes();
  const since = (at: number): number => (minute - at + MINUTES_A_DAY) % MINUTES_A_DAY;
  return begin === end || since(begin) < (end - begin + MINUTES_A_DAY) % MINUTES_A_DAY;
}

function minutesOf(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return hours * 60 + minutes;
}
