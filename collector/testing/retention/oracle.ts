import type { RetentionRule, Term } from '@aliquot/proto';
import type { SetPolicy } from '../../src/retention/ruling.ts';
import { DAY_MS, type DatedVersion, type RetentionCase, ruleSources } from './histories.ts';

/*
 * What stays, slowly and plainly: each sentence of docs/retention.md as it stands there, by looking
 * at instants. Shares nothing with what is under test but the types.
 */

/** For each version, whether it stays. */
export function staysByTheBook(world: RetentionCase): boolean[] {
  const stays = world.versions.map((_, at) => isContent(world, at) && contentStays(world, at));
  for (const [at, { kind }] of world.versions.entries())
    if (kind === 'gone')
      stays[at] = keptAnyway(world, at) || before(world, at).some((earlier) => stays[earlier]);
  return stays;
}

/** The number of the version that was current at an instant; undefined: none yet. */
export function currentAt(versions: readonly DatedVersion[], ms: number): number | undefined {
  const at = versions.findLastIndex(({ timeMs }) => timeMs <= ms);
  return at < 0 ? undefined : at;
}

/** The last instants of the past days, weeks, months or years that a rule counts. */
export function countedInstants(rule: RetentionRule, nowMs: number): number[] {
  const { keep } = rule;
  if (keep === 'all') return [];
  const now = new Date(nowMs);
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  const monday = new Date(Date.UTC(year, month, day));
  while (monday.getUTCDay() !== 1) monday.setUTCDate(monday.getUTCDate() - 1);
  const [mondayMonth, mondayDay] = [monday.getUTCMonth(), monday.getUTCDate()];
  const each = (count: number, begin: (back: number) => number): number[] =>
    Array.from({ length: count }, (_, back) => begin(back) - 1);
  return [
    ...each(keep.daily, (back) => Date.UTC(year, month, day - back)),
    ...each(keep.weekly, (back) =>
      Date.UTC(monday.getUTCFullYear(), mondayMonth, mondayDay - 7 * back),
    ),
    ...each(keep.monthly, (back) => Date.UTC(year, month - back, 1)),
    ...each(keep.yearly, (back) => Date.UTC(year - back, 0, 1)),
  ];
}

/** The end of a term. */
export function plainAfter(ms: number, { count, unit }: Term): number {
  const date = new Date(ms);
  if (unit === 'd' || unit === 'w') {
    date.setUTCDate(date.getUTCDate() + count * (unit === 'w' ? 7 : 1));
    return date.getTime();
  }
  const month = date.getUTCMonth() + (unit === 'y' ? 12 * count : count);
  const days = new Date(Date.UTC(date.getUTCFullYear(), month + 1, 0)).getUTCDate();
  if (date.getUTCDate() > days) return Date.UTC(date.getUTCFullYear(), month + 1, 1);
  date.setUTCMonth(month);
  return date.getTime();
}

/** The rule of a policy for a version; undefined: none fits, or nobody can tell. */
export function ruleOf(
  policy: SetPolicy | undefined,
  className: string,
): RetentionRule | undefined {
  const [first] = rulesThatMayFit(policy, className);
  return first?.match.sources === ruleSources.unknown ? undefined : first;
}

/** The rules that may be the one that decides. */
function rulesThatMayFit(policy: SetPolicy | undefined, className: string): RetentionRule[] {
  const fits = (wanted: readonly string[] | undefined, is: (one: string) => boolean) =>
    wanted === undefined || wanted.some(is);
  const may = (policy?.rules ?? []).filter(
    ({ match: { classes, agents, sources } }) =>
      fits(classes, (one) => one === className) &&
      fits(agents, (one) => one === 'hplc-*') &&
      sources !== ruleSources.elsewhere,
  );
  const sure = may.findIndex(({ match }) => match.sources !== ruleSources.unknown);
  return sure < 0 ? may : may.slice(0, sure + 1);
}

function isContent({ versions }: RetentionCase, at: number): boolean {
  return versions[at] !== undefined && versions[at].kind !== 'gone';
}

/** The contents before a "gone" that it is the end of. */
function before({ versions }: RetentionCase, at: number): number[] {
  const from = versions.slice(0, at).findLastIndex(({ kind }) => kind === 'gone') + 1;
  return Array.from({ length: at - from }, (_, step) => from + step);
}

/** The policy of seven days ago, and all that were set since; undefined: none was set then. */
function keepers({ policies, nowMs }: RetentionCase): (SetPolicy | undefined)[] {
  const sinceMs = nowMs - 7 * DAY_MS;
  return [
    policies.findLast(({ setAtMs }) => setAtMs <= sinceMs),
    ...policies.filter(({ setAtMs }) => setAtMs > sinceMs && setAtMs <= nowMs),
  ];
}

/** The policies whose locks are in force at an instant. */
function lockers(policies: readonly SetPolicy[], ms: number): SetPolicy[] {
  const bound = policies.filter(({ setAtMs }, at) => {
    const next = policies[at + 1];
    const binds = setAtMs + DAY_MS;
    return binds <= ms && (next === undefined || next.setAtMs >= binds);
  });
  return bound.filter((_, at) => {
    const next = bound[at + 1];
    return next === undefined || ms < next.setAtMs + 7 * DAY_MS;
  });
}

/** By a hold, a lock, or because nobody has said anything else. */
function keptAnyway(world: RetentionCase, at: number): boolean {
  const { versions, policies, holds, isDecided, nowMs } = world;
  const version = versions[at];
  if (version === undefined) return false;
  if (!isDecided) return true;
  const untilMs = versions[at + 1]?.timeMs ?? Infinity;
  const held = holds.some(
    ({ classes, fromMs, toMs }) =>
      (classes === undefined || classes.has(version.className)) &&
      version.timeMs <= toMs &&
      untilMs > fromMs,
  );
  if (held) return true;
  const { receivedMs, className } = version;
  const instants = [receivedMs, ...policies.map(({ setAtMs }) => setAtMs + DAY_MS)];
  const locked = instants
    .filter((ms) => ms >= receivedMs && ms <= nowMs)
    .flatMap((ms) => lockers(policies, ms))
    .flatMap((policy) => rulesThatMayFit(policy, className))
    .some(({ lock }) => lock !== undefined && nowMs < plainAfter(receivedMs, lock));
  if (locked) return true;
  return keepers(world).some((policy) => {
    const rule = ruleOf(policy, className);
    return rule === undefined || rule.keep === 'all';
  });
}

function contentStays(world: RetentionCase, at: number): boolean {
  const { versions, nowMs } = world;
  const newest = versions.length - 1;
  const isGone = versions[newest]?.kind === 'gone';
  const last = isGone ? newest - 1 : newest;
  if (at === newest || keptAnyway(world, at)) return true;
  // What is newer than the newest whole one only grows.
  const tops = versions.slice(at + 1, last + 1);
  const isWhole = versions[at]?.kind === 'whole' && tops.every(({ kind }) => kind === 'growing');
  if (isWhole && !isGone) return true;
  if (isWhole && isContent(world, last) && goneStays(world, last, newest)) return true;
  if (isGone && at === last && goneStays(world, at, newest)) return true;
  const contents = versions.slice(at).filter(({ kind }) => kind !== 'gone').length;
  const replaced = versions[at + 1];
  return keepers(world).some((policy) => {
    const rule = ruleOf(policy, versions[at]?.className ?? '');
    if (rule === undefined || rule.keep === 'all') return true;
    if (replaced !== undefined && nowMs < plainAfter(replaced.receivedMs, rule.keep.within))
      return true;
    if (contents <= rule.keep.last) return true;
    return countedInstants(rule, nowMs).some((ms) => currentAt(versions, ms) === at);
  });
}

/** Whether the last content of a file that is gone stays as such. */
function goneStays(world: RetentionCase, last: number, gone: number): boolean {
  const receivedMs = world.versions[gone]?.receivedMs ?? 0;
  return keepers(world).some((policy) => {
    const rule = ruleOf(policy, world.versions[last]?.className ?? '');
    if (rule === undefined || rule.keep === 'all' || rule.gone === 'forever') return true;
    return world.nowMs < plainAfter(receivedMs, rule.gone);
  });
}
