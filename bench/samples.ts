import type { Usage } from './measure/command.ts';
import type { KeptShares } from './measure/kept.ts';
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
  'corpus-folders',
  'small',
  'small-unchanged',
  'small-unchanged-service',
  'small-restore',
  'small-check',
  'small-second',
  'small-kept',
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
  /** Which folder of the corpus it was. */
  readonly folder?: string;
  /** Files that the command was about, and where what was kept of them lies. */
  readonly files?: number;
  readonly kept?: KeptShares;
}
