/** FORMAT.md, "RetentionRules". */

import {
  MAX_AGENT_NAME_CHARS,
  MAX_CLASS_CHARS,
  MAX_KEEP_COUNT,
  MAX_RULE_NAMES,
  MAX_RULES,
  MAX_RULES_BYTES,
  maxTermCounts,
  SUMMARY_MARK_BYTES,
} from '../limits.ts';
import type {
  KeepRule,
  RetentionRule,
  RetentionRules,
  RuleSources,
  Term,
  TermUnit,
} from '../retention-types.ts';
import { codec } from './codec.ts';
import { checked, type Field, list, object, optional, refusal } from './field.ts';
import { v1 } from './generated.ts';
import { bytes, choice, marks, text, uint } from './scalar.ts';

const term: Field<Term> = checked(
  object<Term>('Term', {
    count: uint(1, maxTermCounts.d),
    unit: choice<TermUnit>({ d: 1, w: 2, mo: 3, y: 4 }),
  }),
  ({ count, unit }, label) => {
    if (count > maxTermCounts[unit])
      throw refusal('FORMAT_LIMIT', label, `is longer than the ${maxTermCounts.y} years allowed`);
  },
);

/** A nested message of which the absence has a name. */
function orWord<T, Word extends string>(field: Field<T>, word: Word): Field<T | Word> {
  const given = optional(field);
  return {
    read: (wire, label) => given.read(wire, label) ?? word,
    write: (value, label) => given.write(value === word ? undefined : (value as T), label),
  };
}

/** Some names, or (undefined) any. */
function some(element: Field<string>): Field<readonly string[] | undefined> {
  const given = list(element, 1, MAX_RULE_NAMES);
  return {
    read: (wire, label) =>
      Array.isArray(wire) && wire.length === 0 ? undefined : given.read(wire, label),
    write: (value, label) => (value === undefined ? undefined : given.write(value, label)),
  };
}

const sources: Field<RuleSources> = checked(
  object<RuleSources>('RuleSources', { lineages: marks, sources: bytes(0, MAX_RULES_BYTES) }),
  ({ lineages, sources: all }, label) => {
    const count = lineages.length / SUMMARY_MARK_BYTES;
    const stride = count === 0 ? 0 : all.length / count;
    if (count === 0 ? all.length > 0 : stride === 0 || stride % SUMMARY_MARK_BYTES !== 0)
      throw refusal('FORMAT_MALFORMED', label, 'must name as many sources of each lineage');
    for (let at = 0; at < all.length; at += stride)
      marks.write(all.subarray(at, at + stride), `${label}.sources`);
  },
);

const counted = uint(0, MAX_KEEP_COUNT);

const rule: Field<RetentionRule> = matched(
  object<FlatRule>('RetentionRule', {
    classes: some(text(1, MAX_CLASS_CHARS, /^[a-z0-9-]+$/, 'lower-case letters, digits or dashes')),
    agents: some(
      text(
        1,
        MAX_AGENT_NAME_CHARS,
        /^[A-Za-z0-9*][A-Za-z0-9._*-]*$/,
        'a name of agents, in which * stands for anything',
      ),
    ),
    sources: optional(sources),
    lock: optional(term),
    keep: orWord(
      object<KeepRule>('KeepRule', {
        within: term,
        daily: counted,
        weekly: counted,
        monthly: counted,
        yearly: counted,
        last: counted,
      }),
      'all',
    ),
    gone: orWord(term, 'forever'),
  }),
);

/** A rule as it stands on the wire. */
type FlatRule = RetentionRule['match'] & Omit<RetentionRule, 'match'>;

function matched(flat: Field<FlatRule>): Field<RetentionRule> {
  return {
    read(wire, label) {
      const { classes, agents, sources: of, ...rest } = flat.read(wire, label);
      return { match: { classes, agents, sources: of }, ...rest };
    },
    write: ({ match, ...rest }, label) => flat.write({ ...match, ...rest }, label),
  };
}

/** Rules inside of a policy. */
export const rulesField: Field<RetentionRules> = object<RetentionRules>('RetentionRules', {
  rules: list(rule, 1, MAX_RULES),
  grace: term,
});

/**
 * Rules by themselves, as they rest beside a collector's catalog; two are the same when their bytes
 * are.
 */
export const { encode: encodeRetentionRules, decode: decodeRetentionRules } = codec<RetentionRules>(
  'RetentionRules',
  v1.RetentionRules,
  rulesField,
  {
    maxBytes: MAX_RULES_BYTES,
    maxFields: MAX_RULES + 2,
  },
);
