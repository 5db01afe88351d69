import type { Usage } from './measure/command.ts';
import type { SystemName } from './systems/system.ts';

/** What the bench measures, in the order of the table. */
export const verbs = [
  'first',
  'unchanged',
  'unchanged-service',
  'changed',
  'second',
  'restore',
  'one',
  'check',
  'scrub',
  'corpus',
  'small',
  'small-unchanged',
  'small-unchanged-service',
  'growing',
  'growing-service',
] as const;
export type Verb = (typeof verbs)[number];

/** One measurement. */
export interface BenchSample extends Usage {
  readonly system: SystemName;
  readonly verb: Verb;
  /** Counted from 1. */
  readonly run: number;
  /** Bytes of the files that the command was about. */
  readonly rawBytes: number;
  /** By how much the store grew; undefined where it cannot grow. */
  readonly storedBytes?: number;
}
