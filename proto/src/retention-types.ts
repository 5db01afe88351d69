/** How long versions are kept: section `retention:` of a policy, as it is signed. */

/** Days, weeks, months and years, of the calendar. */
export type TermUnit = 'd' | 'w' | 'mo' | 'y';

/** A span of the calendar, as rules of retention say it: `30d`, `12w`, `6mo`, `10y`. */
export interface Term {
  readonly count: number;
  readonly unit: TermUnit;
}

/** The section. */
export interface RetentionRules {
  /** In their order: the first that fits decides. What none fits stays. */
  readonly rules: readonly RetentionRule[];
  /** For how long something expired can be had back. */
  readonly grace: Term;
}

/** One rule. */
export interface RetentionRule {
  readonly match: RuleMatch;
  /** From the receipt on, nothing removes a version for so long. */
  readonly lock: Term | undefined;
  readonly keep: 'all' | KeepRule;
  /** For how long the last content of a file that is gone stays. */
  readonly gone: 'forever' | Term;
}

/** What a rule is for; undefined: any. */
export interface RuleMatch {
  readonly classes: readonly string[] | undefined;
  /** Names of PCs; `*` stands for any characters. */
  readonly agents: readonly string[] | undefined;
  readonly sources: RuleSources | undefined;
}

/**
 * The root folders that a rule is for. Their ids differ from lineage to lineage, and only who has
 * the kit can make them: so they stand here for each lineage that the vault had when the policy was
 * set. About any other nobody can tell whether the rule fits.
 */
export interface RuleSources {
  /** The first 8 bytes of the id of each lineage, rising. */
  readonly lineages: Uint8Array;
  /**
   * The first 8 bytes of the ids of its sources: as many for each lineage, rising, in their order.
   */
  readonly sources: Uint8Array;
}

/** What a rule keeps. A count of 0: it does not name it. */
export interface KeepRule {
  /** Every version, for so long after the receipt of what replaced it. */
  readonly within: Term;
  /** Of so many past days, weeks, months and years: what was current at the end of each. */
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
  /** So many of the newest contents. */
  readonly last: number;
}
