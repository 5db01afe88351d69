import { isDeepStrictEqual } from 'node:util';
import type { RetentionRule, Term } from '@aliquot/proto';
import { fitsName } from '@aliquot/shared/settings/name-pattern';
import type { RetentionSection, SectionRule } from '@aliquot/shared/settings/retention';
import { after } from '../../retention/calendar.ts';

/*
 * What other rules of retention keep less, or more: for each class, root folder and PC the rule
 * that decides, before and now. Pure.
 */

/** One word of a rule that says something else than before. */
export interface RuleChange {
  readonly what: 'lock' | 'keep' | 'within' | Counted | 'gone';
  readonly before: string;
  readonly now: string;
  readonly keeps: 'less' | 'more';
}

/** The same changes for some PCs, classes and folders. */
export interface RuleChanges {
  /** Names of PCs; `ANY_OTHER`: those that are not there yet. */
  readonly agents: readonly string[];
  /** `ANY_OTHER`: those that no rule names. */
  readonly className: string;
  /** Likewise; undefined: all, where it is the same in each. */
  readonly source: string | undefined;
  readonly changes: readonly RuleChange[];
}

/** What sections of two policies say differently. */
export interface SectionChanges {
  readonly rules: readonly RuleChanges[];
  /** How long what expired can be had back; undefined: as before, or one keeps everything. */
  readonly grace: Omit<RuleChange, 'what'> | undefined;
}

/**
 * Stands for all that no rule names. Of PCs, for those that are not there yet: only `*` fits it.
 */
export const ANY_OTHER = '';

const countedWords = ['daily', 'weekly', 'monthly', 'yearly', 'last'] as const;
type Counted = (typeof countedWords)[number];
type Rule = Omit<RetentionRule, 'match'> | undefined;

/** @param nowMs When terms are compared: a month may be shorter than thirty days, or longer. */
export function sectionChanges(
  before: RetentionSection | undefined,
  now: RetentionSection | undefined,
  names: readonly string[],
  nowMs: number,
): SectionChanges {
  const [old, next] = [before?.rules ?? [], now?.rules ?? []];
  const all = [...old, ...next];
  const classes = named(all.map(({ match }) => match.classes));
  const sources = named(all.map(({ match }) => match.sources));
  const rules = alike(all, [...names, ANY_OTHER]).flatMap((agents) =>
    classes.flatMap((className) => {
      const each = sources.map((source): RuleChanges => {
        const [agent = ANY_OTHER] = agents;
        const whose = { agent, className, source };
        const changes = ruleChanges(ruleFor(old, whose), ruleFor(next, whose), nowMs);
        return { agents, className, source, changes };
      });
      return joined(each).filter(({ changes }) => changes.length > 0);
    }),
  );
  const isBoth = before !== undefined && now !== undefined;
  return { rules, grace: isBoth ? termChange(before.grace, now.grace, nowMs) : undefined };
}

/** Every name that some rule has, and what stands for all others. */
function named(lists: readonly (readonly string[] | undefined)[]): string[] {
  return [...new Set(lists.flatMap((names) => names ?? [])), ANY_OTHER];
}

/** One for all folders, where it is the same in each. */
function joined(each: readonly RuleChanges[]): readonly RuleChanges[] {
  const [first] = each;
  const isSame = each.every(({ changes }) => isDeepStrictEqual(changes, first?.changes));
  return first !== undefined && isSame ? [{ ...first, source: undefined }] : each;
}

/** PCs for which the same rules are, together: there may be thousands of them. */
function alike(rules: readonly SectionRule[], names: readonly string[]): string[][] {
  const together = new Map<string, string[]>();
  for (const name of names) {
    const key = rules.map(({ match }) => (isFor(match.agents, name) ? '1' : '0')).join('');
    const found = together.get(key);
    if (found === undefined) together.set(key, [name]);
    else found.push(name);
  }
  return [...together.values()];
}

function isFor(patterns: readonly string[] | undefined, name: string): boolean {
  return patterns === undefined || patterns.some((pattern) => fitsName(pattern, name));
}

function ruleFor(
  rules: readonly SectionRule[],
  whose: { readonly agent: string; readonly className: string; readonly source: string },
): Rule {
  const has = (list: readonly string[] | undefined, one: string): boolean =>
    list === undefined || list.includes(one);
  return rules.find(
    ({ match: { classes, agents, sources } }) =>
      has(classes, whose.className) && isFor(agents, whose.agent) && has(sources, whose.source),
  );
}

function ruleChanges(before: Rule, now: Rule, nowMs: number): RuleChange[] {
  return [...lockChange(before?.lock, now?.lock, nowMs), ...keepChanges(before, now, nowMs)];
}

function lockChange(
  before: Term | undefined,
  now: Term | undefined,
  nowMs: number,
): readonly RuleChange[] {
  const change = endChange(before, now, 'none', -Infinity, nowMs);
  return change === undefined ? [] : [{ what: 'lock', ...change }];
}

function keepChanges(before: Rule, now: Rule, nowMs: number): RuleChange[] {
  const [old, next] = [keepOf(before), keepOf(now)];
  if (old === undefined || next === undefined) {
    if (old === next) return [];
    const [said, says] = [keepText(before), keepText(now)];
    const keeps = next === undefined ? 'more' : 'less';
    return [{ what: 'keep', before: said, now: says, keeps }];
  }
  const within = termChange(old.within, next.within, nowMs);
  const counts = countedWords.flatMap((what): RuleChange[] => {
    const [was, is] = [old[what], next[what]];
    const keeps = is < was ? 'less' : 'more';
    return is === was ? [] : [{ what, before: String(was), now: String(is), keeps }];
  });
  const gone = endChange(termOf(before?.gone), termOf(now?.gone), 'forever', Infinity, nowMs);
  return [
    ...(within === undefined ? [] : [{ what: 'within' as const, ...within }]),
    ...counts,
    ...(gone === undefined ? [] : [{ what: 'gone' as const, ...gone }]),
  ];
}

/** What a rule keeps; undefined: everything. */
function keepOf(rule: Rule): Exclude<RetentionRule['keep'], 'all'> | undefined {
  return rule === undefined || rule.keep === 'all' ? undefined : rule.keep;
}

function termOf(gone: RetentionRule['gone'] | undefined): Term | undefined {
  return gone === 'forever' ? undefined : gone;
}

function keepText(rule: Rule): string {
  const keep = keepOf(rule);
  if (rule === undefined || keep === undefined) return 'everything';
  const counts = countedWords.filter((word) => keep[word] > 0);
  const words = [
    `within ${termText(keep.within)}`,
    ...counts.map((word) => `${word} ${keep[word]}`),
    `gone ${rule.gone === 'forever' ? rule.gone : termText(rule.gone)}`,
  ];
  return words.join(', ');
}

function termChange(before: Term, now: Term, nowMs: number): ReturnType<typeof endChange> {
  return endChange(before, now, '', 0, nowMs);
}

/** How two terms differ, of which one may be absent, under a name, and ends at `absentMs` then. */
function endChange(
  before: Term | undefined,
  now: Term | undefined,
  absent: string,
  absentMs: number,
  nowMs: number,
): Omit<RuleChange, 'what'> | undefined {
  const text = (term: Term | undefined): string => (term ? termText(term) : absent);
  const end = (term: Term | undefined, fromMs: number): number =>
    term ? after(fromMs, term) : absentMs;
  // A month from the last of January, and from today: `1y` and `12mo` are the same from anywhere.
  const froms = [nowMs, JANUARY_END_MS, MARCH_MS];
  if (froms.every((fromMs) => end(before, fromMs) === end(now, fromMs))) return undefined;
  const keeps = end(now, nowMs) > end(before, nowMs) ? 'more' : 'less';
  return { before: text(before), now: text(now), keeps };
}

const JANUARY_END_MS = Date.UTC(2025, 0, 31);
const MARCH_MS = Date.UTC(2025, 2, 1);

function termText({ count, unit }: Term): string {
  return `${count}${unit}`;
}
