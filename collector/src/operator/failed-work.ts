import { formatInstant, printable } from '@aliquot/shared/cli/format';
import type { FailedWorkInfo } from '../api/gc-messages.ts';

/** How work that a collector does by itself failed the last time. */
export function failedText(what: string, { atMs, code, message }: FailedWorkInfo): string {
  return `${what} failed on ${formatInstant(atMs)}: ${printable(message)} [${code}]`;
}

/** The same for scripts. */
export function failedJson(failed: FailedWorkInfo | undefined): object | null {
  if (failed === undefined) return null;
  const { sinceMs, atMs, code, message } = failed;
  return { since: formatInstant(sinceMs), time: formatInstant(atMs), code, message };
}
