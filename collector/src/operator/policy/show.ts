import { formatCounted, printable } from '@aliquot/shared/cli/format';
import type { LostCover, SettingChange } from '@aliquot/shared/settings/compare';
import type { PcPlan } from './plan.ts';

/**
 * What a plan changes, for people: each PC with what changes for it; PCs for which the same changes
 * stand together.
 */
export function planText(plans: readonly PcPlan[]): string {
  const changed = plans.filter(({ sends }) => sends);
  if (changed.length === 0) return 'Nothing changes for any PC.';
  const blocks = new Map<string, string[]>();
  for (const { pc, changes, lost, waits } of changed) {
    const lines = [...changes.map(changeText), ...lost.map(lostText)];
    const text =
      (lines.length === 0 ? ['  the same settings as before'] : lines).join('\n') +
      (waits ? '\n  waits until it is promoted' : '');
    blocks.set(text, [...(blocks.get(text) ?? []), pc.name]);
  }
  const shown = [...blocks].map(([text, names]) => `${namesText(names)}\n${text}`);
  return [...shown, '', summary(plans)].join('\n');
}

/** One line: for how many PCs, and what loses its cover. */
export function summary(plans: readonly PcPlan[]): string {
  const sends = plans.filter((plan) => plan.sends);
  const waits = sends.filter((plan) => plan.waits);
  const folders = plans.reduce((sum, { lost }) => sum + lost.length, 0);
  const parts = [
    `${formatCounted(sends.length, 'PC')} of ${plans.length} ${sends.length === 1 ? 'gets' : 'get'} new settings`,
    ...(waits.length === 0 ? [] : [`${waits.length} of them when they are promoted`]),
    folders === 0
      ? 'no folder loses its cover'
      : `${formatCounted(folders, 'folder')} ${folders === 1 ? 'loses its' : 'lose their'} cover`,
  ];
  return `${parts.join('; ')}.`;
}

const MOST_NAMES = 6;

/** Some names, and how many more. */
export function namesText(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more <= 0 ? names.join(', ') : `${names.slice(0, MOST_NAMES).join(', ')} and ${more} more`;
}

function changeText({ setting, before, now }: SettingChange): string {
  if (before === undefined)
    return `  + ${printable(setting)}${now === 'watched' ? '' : `: ${printable(now ?? '')}`}`;
  if (now === undefined) return `  - ${printable(setting)}`;
  return `  ~ ${printable(setting)}: ${printable(before)} -> ${printable(now)}`;
}

function lostText({ path, patterns }: LostCover): string {
  if (patterns.length === 0) return `  ! ${printable(path)} loses its cover`;
  return `  ! ${printable(path)} loses what ${patterns.map((pattern) => `"${printable(pattern)}"`).join(', ')} takes`;
}

/** One PC of a plan, for scripts. */
export function planJson({ pc, now, changes, lost, sends, waits }: PcPlan): object {
  return {
    event: 'settings',
    agent: pc.name,
    groups: now.groups,
    changed: sends,
    waits,
    changes: changes.map(({ setting, before, now: after }) => ({
      setting,
      before: before ?? null,
      now: after ?? null,
    })),
    losesCover: lost.map(({ path, patterns }) => ({ path, patterns })),
  };
}
