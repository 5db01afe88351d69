import type { RetentionRule, Term } from '@aliquot/proto';
import { fitsName } from '@aliquot/shared/settings/name-pattern';
import { isAmong } from './rule-sources.ts';

/*
 * Which rules decide about a version, out of all policies that were ever set. Two brakes are in
 * here, because they are a question of time alone: a policy that keeps less acts after seven days,
 * and a lock binds after one.
 */

/** For so long a policy that was replaced still keeps what it kept. */
export const WEAKER_ACTS_AFTER_MS = 7 * 86_400_000;
/** For so long a lock can be taken back: until then it binds nothing. */
export const LOCK_BINDS_AFTER_MS = 86_400_000;

/** A policy as it was set. */
export interface SetPolicy {
  /** Its number; they rise from 1. */
  readonly revision: number;
  /** When it was set: what the time of its leaf counts as, in milliseconds since 1970. */
  readonly setAtMs: number;
  /** Empty: nothing goes. */
  readonly rules: readonly RetentionRule[];
  /** Undefined: it has no rules. */
  readonly grace: Term | undefined;
}

/** What rules tell versions apart by. */
export interface RuledBy {
  readonly className: string;
  /** The name of the PC, or of the clone. */
  readonly agent: string;
  /** Of the PC, also where a history is held apart from it: its path key made the source's id. */
  readonly lineageId: Uint8Array;
  readonly sourceId: Uint8Array;
}

/** What one policy keeps of the versions that a ruling is for. */
export interface RuledKeep {
  /** Of the policy; 0: from before any was set. */
  readonly revision: number;
  /** Undefined where no rule fits, or nobody can tell which: then everything stays. */
  readonly rule: RetentionRule | undefined;
  /** False: a rule names root folders and does not know the PC. Setting the policy again helps. */
  readonly isKnown: boolean;
  /** Until when this policy has a say; Infinity: it is the present one. */
  readonly untilMs: number;
}

/** A lock that binds. */
export interface RuledLock {
  readonly revision: number;
  readonly term: Term;
  /** It counts for what was received before; Infinity: it is in force. */
  readonly untilMs: number;
}

/** What all policies together say of the versions of one class, source and PC, at one time. */
export interface Ruling extends RuledBy {
  readonly keeps: readonly RuledKeep[];
  readonly locks: readonly RuledLock[];
}

/**
 * The ruling for one kind of versions. It is the same for all of them, so it is worth keeping.
 *
 * *Keeping*: a version stays as long as the present policy keeps it, or one that was the present
 * one within the last seven days; before the first, everything was kept. So what keeps more acts at
 * once, what keeps less after seven days, and setting the earlier policy again takes it back.
 *
 * *Locks*: those of a policy bind a day after it was set, unless another one took its place before
 * that. They are in force until the next one binds and seven days have passed since that was set. A
 * lock counts for everything that was received before the end of that: so a longer one reaches
 * back, and a shorter one takes nothing away.
 *
 * @param policies All that were set, the oldest first.
 * @param nowMs The log's time; a policy that was set later is not known yet.
 */
export function rulingFor(policies: readonly SetPolicy[], ruledBy: RuledBy, nowMs: number): Ruling {
  const known = policies.filter(({ setAtMs }) => setAtMs <= nowMs);
  return {
    ...ruledBy,
    keeps: keepsOf(known, ruledBy, nowMs),
    locks: locksOf(known, ruledBy, nowMs),
  };
}

function keepsOf(known: readonly SetPolicy[], ruledBy: RuledBy, nowMs: number): RuledKeep[] {
  const nothing = { revision: 0, rules: [] };
  return [nothing, ...known].flatMap(({ revision, rules }, at): RuledKeep[] => {
    // The policy after this one, for "nothing" stands before them all.
    const untilMs = replacedUntil(known[at]);
    if (untilMs <= nowMs) return [];
    const { isKnown, fitting } = rulesFor(rules, ruledBy);
    return [{ revision, rule: isKnown ? fitting[0] : undefined, isKnown, untilMs }];
  });
}

function locksOf(known: readonly SetPolicy[], ruledBy: RuledBy, nowMs: number): RuledLock[] {
  const bound = known.filter(({ setAtMs }, at) => {
    const bindsMs = setAtMs + LOCK_BINDS_AFTER_MS;
    return bindsMs <= nowMs && bindsMs <= (known[at + 1]?.setAtMs ?? Infinity);
  });
  return bound.flatMap(({ revision, rules }, at): RuledLock[] => {
    const untilMs = replacedUntil(bound[at + 1]);
    const { fitting } = rulesFor(rules, ruledBy);
    return fitting.flatMap(({ lock }) => (lock ? [{ revision, term: lock, untilMs }] : []));
  });
}

/** Until when a policy counts beside the one that took its place. */
function replacedUntil(next: SetPolicy | undefined): number {
  return next === undefined ? Infinity : next.setAtMs + WEAKER_ACTS_AFTER_MS;
}

/** Which rules decide about versions. */
interface FittingRules {
  /** Whether it is sure that the first of them decides, or that none does. */
  readonly isKnown: boolean;
  /** The one that decides; where nobody can tell, each that may. */
  readonly fitting: readonly RetentionRule[];
}

/**
 * The first rule that fits. Where it is not known whether one does, the next ones may decide as
 * well, up to one that is sure to fit: locks of them all bind, and everything stays.
 */
function rulesFor(
  rules: readonly RetentionRule[],
  { className, agent, lineageId, sourceId }: RuledBy,
): FittingRules {
  const fitting: RetentionRule[] = [];
  let isKnown = true;
  for (const rule of rules) {
    const { classes, agents, sources } = rule.match;
    if (classes !== undefined && !classes.includes(className)) continue;
    if (agents !== undefined && !agents.some((pattern) => fitsName(pattern, agent))) continue;
    const fits = sources === undefined || isAmong(sources, lineageId, sourceId);
    if (fits === false) continue;
    fitting.push(rule);
    if (fits) break;
    isKnown = false;
  }
  return { isKnown, fitting };
}
