import { schedule } from 'node-cron';

/**
 * Calls `scan` at every moment that the cron expression names, by this PC's local time, until
 * `stop`. For whole scans at a fixed hour, beside those that come at every interval.
 */
export function scanAt(
  expression: string,
  scan: () => void,
): { readonly stop: () => Promise<void> } {
  const task = schedule(expression, scan, { suppressMissedWarning: true });
  return { stop: async () => task.destroy() };
}
