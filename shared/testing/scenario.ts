import type { SeededRandom } from './random.ts';

/** What a torture scenario gets from its runner. */
export interface TortureContext {
  readonly seed: number;
  /** Repeats with the seed. */
  readonly random: SeededRandom;
  /** Asked between two cases: true when time is up. */
  readonly over: () => boolean;
  readonly log: (line: string) => void;
  /**
   * Whether the case of this number is to be run: not when another process has it, or when one
   * failed case is run again.
   */
  readonly mine: (number: number) => boolean;
}

/** What came of a scenario. */
export interface TortureCounts {
  /** Faults that were injected: one for each case. */
  readonly injected: number;
  readonly passed: number;
  /**
   * One line for each case that failed, `case 17: …`: its number, what was done, and what was
   * wrong.
   */
  readonly failed: readonly string[];
  /** False when the time limit cut the run short. */
  readonly whole: boolean;
}

export type PromiseId = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6';

/**
 * One proof by enumeration or by random trials, as a plain function: a test file runs the short
 * ones, `npm run test:torture` all of them. It makes its own folders below the system's temporary
 * folder and removes them.
 */
export interface TortureScenario {
  /** Lower case with hyphens; what `--only` names. */
  readonly name: string;
  /** One sentence: what is done to what, and what must hold. */
  readonly about: string;
  readonly proves: readonly PromiseId[];
  /** Its cases have no numbers, so the first of several processes does them all. */
  readonly undivided?: boolean;
  /** For one that time cannot cut: it is not run at all when its share of the time is smaller. */
  readonly leastSeconds?: number;
  run(context: TortureContext): Promise<TortureCounts>;
}
