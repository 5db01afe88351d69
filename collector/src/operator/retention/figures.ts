import { formatBytes, formatCount, formatCounted } from '@aliquot/shared/cli/format';
import type { BrakeInfo, FiguresInfo } from '../../api/retention-messages.ts';

/** What a vault comes to, for people and for scripts. */

type AmountInfo = FiguresInfo['going'];

/** Bytes as a number: sums beyond what numbers hold are cut there. */
const bytesOf = (text: string): number => Math.min(Number(text), Number.MAX_SAFE_INTEGER);

export function amountText({ versions, bytes }: AmountInfo): string {
  if (versions === 0) return 'nothing';
  return `${formatCounted(versions, 'version')}, ${formatBytes(bytesOf(bytes))} at most`;
}

function amountJson({ versions, bytes }: AmountInfo): object {
  return { versions, bytes: bytesOf(bytes) };
}

/** One brake in words. */
export function brakeText({ kind, agent, of, expiring }: BrakeInfo): string {
  const isBytes = kind.startsWith('bytes');
  const amount = (text: string) =>
    isBytes ? formatBytes(bytesOf(text)) : formatCount(bytesOf(text));
  const what = isBytes ? 'of the vault' : `versions of ${agent ?? ''}`;
  const days = kind.endsWith('in-days') ? ', together with the runs of the last seven days' : '';
  return `${amount(expiring)} of ${amount(of)} ${what}${days}`;
}

export function brakeJson({ kind, agent, of, expiring }: BrakeInfo): object {
  return { kind, agent: agent ?? null, of: bytesOf(of), expiring: bytesOf(expiring) };
}

export function figuresJson(figures: FiguresInfo): object {
  const { going, soon, expired, kept, unread, brakes, brakesSoon } = figures;
  return {
    ...{ going: amountJson(going), soon: amountJson(soon), expired: amountJson(expired) },
    kept: Object.fromEntries(kept.map(({ reason, ...amount }) => [reason, amountJson(amount)])),
    unread,
    brakes: brakes.map(brakeJson),
    brakesSoon: brakesSoon.map(brakeJson),
  };
}

/** `days`: until when it is told what goes besides. */
export function figuresLines(figures: FiguresInfo, days: number): string[] {
  const { going, soon, expired, kept, unread, brakes, brakesSoon } = figures;
  const rows: (readonly [string, string])[] = [
    ['goes now', amountText(going)],
    ...(days === 0 ? [] : [[`in ${days} days`, amountText(soon)] as const]),
    ['expired', `${amountText(expired)}, and still there`],
    ...[...kept]
      .sort((a, b) => b.versions - a.versions)
      .map(({ reason, ...amount }) => [`  ${reason}`, amountText(amount)] as const),
  ];
  const lines = rows.map(([name, value]) => `${name.padEnd(13)} ${value}`);
  if (unread > 0)
    lines.push(`${formatCounted(unread, 'file')} cannot all be read, and stay: see aliquot fsck`);
  for (const brake of brakes) lines.push(`a run now would wait: ${brakeText(brake)}`);
  if (brakes.length === 0)
    for (const brake of brakesSoon)
      lines.push(`a run that let all of this go would wait: ${brakeText(brake)}`);
  return lines;
}
