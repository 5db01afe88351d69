import {
  type KeepRule,
  MAX_KEEP_COUNT,
  MAX_RULE_NAMES,
  MAX_RULES,
  type RetentionRule,
  type RetentionRules,
  type RuleMatch,
  type RuleSources,
  type Term,
} from '@aliquot/proto';
import { nearest } from '../cli/nearest.ts';
import { MapReader } from './map-reader.ts';
import { isMap } from './merge.ts';
import { NAME_PATTERN } from './name-pattern.ts';
import { spokenPath } from './read.ts';
import { isShorterThanDays, readTerm } from './term.ts';
import type { Mistake, SettingsText } from './text.ts';
import { pathsOf } from './where.ts';

/*
 * Section `retention:` of the policy file: how long versions are kept. Pure: plain values in, rules
 * or every mistake out. What a rule means for a version is decided at the collector
 * (`collector/src/retention`).
 */

/** The section, as an operator writes it. */
export interface RetentionSection extends Omit<RetentionRules, 'rules'> {
  readonly rules: readonly SectionRule[];
}

/** One of its rules. */
export interface SectionRule extends Omit<RetentionRule, 'match'> {
  readonly match: SectionMatch;
}

/** What it is for. */
export interface SectionMatch extends Omit<RuleMatch, 'sources'> {
  /** Root folders of sources, as PCs spell them; undefined: any. */
  readonly sources: readonly string[] | undefined;
}

const counts = ['daily', 'weekly', 'monthly', 'yearly', 'last'] as const;
const sectionKeys = ['rules', 'grace'] as const;
const ruleKeys = ['match', 'lock', 'keep', 'gone', 'unsafe'] as const;
const matchKeys = ['class', 'agent', 'source'] as const;
const keepKeys = ['within', ...counts] as const;

const CLASS = /^[a-z0-9-]{1,64}$/;
const LEAST_WITHIN_DAYS = 7;
const defaultGrace: Term = { count: 7, unit: 'd' };
const KEEP_FORMS = `"all", or a map of ${keepKeys.join(', ')}`;

/** Reads the section; all mistakes at once, each with its place and what is accepted. */
export function readRetention(
  value: unknown,
  lines: SettingsText,
): RetentionSection | { readonly mistakes: readonly Mistake[] } {
  const reader = new RetentionReader(lines);
  const read = reader.read(value);
  return reader.mistakes.length > 0 ? { mistakes: reader.mistakes } : read;
}

const sectionPath = ['retention'] as const;

class RetentionReader extends MapReader {
  read(value: unknown): RetentionSection {
    const section = this.map(value, sectionPath, sectionKeys);
    const { grace = '7d', rules } = section;
    const path = [...sectionPath, 'rules'];
    const term = this.#term(grace, [...sectionPath, 'grace']) ?? defaultGrace;
    if (!Array.isArray(rules) || rules.length === 0 || rules.length > MAX_RULES) {
      if (isMap(value))
        this.say(
          path,
          `retention.rules must be a list of 1 to ${MAX_RULES} rules, each a map of ${ruleKeys.join(', ')}`,
        );
      return { rules: [], grace: term };
    }
    const read = rules.map((rule, at) => this.#rule(rule, [...path, at]));
    const whole = read.findIndex(({ match }) =>
      [match.classes, match.agents, match.sources].every((names) => names === undefined),
    );
    if (whole >= 0 && whole < read.length - 1)
      this.say(
        [...path, whole + 1],
        `retention.rules[${whole + 1}] is never reached: rules[${whole}] has no "match" and fits everything; put it last`,
      );
    return { rules: read, grace: term };
  }

  #rule(value: unknown, path: readonly PropertyKey[]): SectionRule {
    const rule = this.map(value, path, ruleKeys);
    const { match = {}, lock, keep, gone = 'forever', unsafe = false } = rule;
    if (typeof unsafe !== 'boolean') this.#wrong([...path, 'unsafe'], 'must be true or false');
    return {
      match: this.#match(match, [...path, 'match']),
      lock: lock === undefined ? undefined : this.#term(lock, [...path, 'lock']),
      keep: isMap(value) ? this.#keep(keep, [...path, 'keep'], unsafe === true) : 'all',
      gone:
        gone === 'forever' ? gone : (this.#term(gone, [...path, 'gone'], 'forever') ?? 'forever'),
    };
  }

  #match(value: unknown, path: readonly PropertyKey[]): SectionMatch {
    const { class: classes, agent, source } = this.map(value, path, matchKeys);
    const list = (
      name: (typeof matchKeys)[number],
      given: unknown,
      fits: (one: string) => boolean,
      such: string,
    ): readonly string[] | undefined => {
      if (given === undefined) return undefined;
      const all = Array.isArray(given) && given.length > 0 ? given : [undefined];
      if (all.length > MAX_RULE_NAMES)
        this.#wrong([...path, name], `must have ${MAX_RULE_NAMES} entries or fewer`);
      for (const [at, one] of all.entries()) {
        if (typeof one === 'string' && fits(one)) continue;
        const where = one === undefined ? [...path, name] : [...path, name, at];
        this.#wrong(where, `must be a list of ${such}`, [...path, name]);
        return [];
      }
      return all;
    };
    return {
      classes: list('class', classes, (one) => CLASS.test(one), 'classes, such as [raw, results]'),
      agents: list(
        'agent',
        agent,
        (one) => NAME_PATTERN.test(one),
        'names of PCs, such as [hplc-1, lcms-*]',
      ),
      sources: list(
        'source',
        source,
        (one) => /^(\/|[A-Za-z]:[\\/]|\\\\)/.test(one),
        'root folders of sources, such as [/data/hplc] or [D:\\Results]',
      ),
    };
  }

  #keep(value: unknown, path: readonly PropertyKey[], unsafe: boolean): 'all' | KeepRule {
    if (value === 'all') return 'all';
    if (!isMap(value)) {
      const near = typeof value === 'string' && nearest(value, ['all']);
      const hint = near ? `; did you mean "${near}"?` : '';
      this.#wrong(path, `must be ${KEEP_FORMS}${hint}`);
      return 'all';
    }
    const keep = this.map(value, path, keepKeys);
    const counted = counts.filter((name) => keep[name] !== undefined);
    const [daily, weekly, monthly, yearly, last] = counts.map((name) =>
      this.#count(keep[name], [...path, name]),
    );
    const { within } = keep;
    if (within === undefined) {
      // Nothing but unknown words: those are named already.
      if (counted.length === 0 && Object.keys(keep).length > 0) return 'all';
      const why =
        counted.length === 0
          ? `must name what is kept: ${KEEP_FORMS}`
          : `needs "within" beside ${counted.join(', ')}: counts alone let everything else go at once, also what came a minute ago`;
      this.#wrong(path, why);
      return 'all';
    }
    const term = this.#term(within, [...path, 'within']);
    if (term === undefined) return 'all';
    if (isShorterThanDays(term, LEAST_WITHIN_DAYS) && !unsafe)
      this.#wrong(
        [...path, 'within'],
        `must be ${LEAST_WITHIN_DAYS}d or more: what goes wrong is rarely seen sooner; if it is meant, say "unsafe: true" in the rule`,
      );
    return {
      within: term,
      daily: daily ?? 0,
      weekly: weekly ?? 0,
      monthly: monthly ?? 0,
      yearly: yearly ?? 0,
      last: last ?? 0,
    };
  }

  #count(value: unknown, path: readonly PropertyKey[]): number {
    if (value === undefined) return 0;
    if (
      typeof value === 'number' &&
      Number.isInteger(value) &&
      value >= 1 &&
      value <= MAX_KEEP_COUNT
    )
      return value;
    this.#wrong(path, `must be a whole number from 1 to ${MAX_KEEP_COUNT}`);
    return 0;
  }

  /** @param or what is accepted besides. */
  #term(value: unknown, path: readonly PropertyKey[], or?: string): Term | undefined {
    const read = readTerm(value);
    if ('term' in read) return read.term;
    this.#wrong(path, or === undefined ? read.mistake : `${read.mistake}, or ${or}`);
    return undefined;
  }

  /** `message` about the value at `path`, which is called by `name`. */
  #wrong(path: readonly PropertyKey[], message: string, name: readonly PropertyKey[] = path): void {
    this.say(path, `${spokenPath(name)} ${message}`);
  }
}

/**
 * The section as it is signed: folders become the sources that `sourcesOf` makes of them, each path
 * as a PC has it (no separator at its end).
 */
export function inClear(
  { rules, grace }: RetentionSection,
  sourcesOf: (folders: readonly string[], agents: readonly string[] | undefined) => RuleSources,
): RetentionRules {
  const clear = rules.map(({ match, ...rest }): RetentionRule => {
    const { classes, agents, sources } = match;
    const folders = sources?.map((path) => pathsOf(path, 'anywhere').resolve(path));
    const signed = folders && sourcesOf(folders, agents);
    return { match: { classes, agents, sources: signed }, ...rest };
  });
  return { rules: clear, grace };
}
