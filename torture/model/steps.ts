import { awaitedOf, countedAnswer } from '../../collector/src/collection/answers.ts';
import { standingOf, stillHolds } from '../../collector/src/collection/one-set.ts';
import { mayAnnounce, mayDrop, nextSweepEpoch } from '../../collector/src/collection/progress.ts';
import { isDead, isSettled, mayRemovePack } from '../../collector/src/collection/removal.ts';
import {
  compareLeaving,
  fateOf,
  isRoot,
  sweepRefusal,
} from '../../collector/src/collection/sweeping.ts';
import type { State } from './state.ts';

/** The decisions of the store, as the store makes them: a mutant is made by replacing one. */
const storeSteps = {
  awaitedOf,
  compareLeaving,
  countedAnswer,
  fateOf,
  isDead,
  isRoot,
  isSettled,
  mayAnnounce,
  mayDrop,
  mayRemovePack,
  nextSweepEpoch,
  standingOf,
  stillHolds,
  sweepRefusal,
};

/** What agents decide (`agent/src/queue`): of another program, so it is written again here. */
const agentSteps = {
  /** After a rollback an epoch is answered only when everything has its receipt again. */
  waitsForAllAgain: (): boolean => true,
  /** After a rollback the cache is empty. */
  emptiesCache: (): boolean => true,
};

export const protocol = { ...storeSteps, ...agentSteps };

export type Protocol = typeof protocol;

/** Something that may happen next: what comes of it, and how a trace says it. */
export type Take = (next: State, says: () => string) => void;
