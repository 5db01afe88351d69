import type { PropertyName } from './properties.ts';
import { BOOK, CHUNK, PAGE } from './state.ts';
import { type Protocol, protocol } from './steps.ts';
import type { ModelWorld } from './worlds.ts';

/** A protocol that lacks one decision, and a world that is large enough to show it. */
export interface Mutant extends ModelWorld {
  /** What takes the place of the protocol's. */
  readonly steps: Partial<Protocol>;
  /** What it breaks: that nothing is lost, unless it is named here. */
  readonly breaks?: PropertyName;
  /** It takes seconds to find: `npm test` passes it over. */
  readonly isFar?: boolean;
}

const yes = (): boolean => true;

export const mutants: readonly Mutant[] = [
  {
    name: 'no wait',
    steps: { awaitedOf: () => [] },
    budgets: { captures: [1, 0], epochs: [1, 0] },
    first: [BOOK, undefined],
  },
  {
    name: 'drop after announcing',
    steps: { mayDrop: yes },
    budgets: { captures: [2, 0], epochs: [1, 0] },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'one line only',
    steps: { awaitedOf: (agent, epoch) => protocol.awaitedOf({ ...agent, apart: [] }, epoch) },
    budgets: { captures: [2, 0], epochs: [1, 0], forks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'an answer kept over a log epoch',
    steps: { countedAnswer: (answer) => answer?.epoch ?? 0 },
    budgets: { captures: [1, 0], epochs: [1, 0], copies: 1, rollbacks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'an answer kept over a start',
    steps: {
      countedAnswer: (answer, logEpoch) =>
        protocol.countedAnswer(answer && { ...answer, isOfThisStart: true }, logEpoch),
    },
    budgets: { captures: [1, 0], epochs: [1, 0], copies: 1, rollbacks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'the waits asked before the mark only',
    steps: { sweepRefusal: (mark, now) => protocol.sweepRefusal(mark, { ...now, waits: 0 }) },
    budgets: { captures: [2, 0], epochs: [1, 0], forks: 1 },
    first: [PAGE, undefined],
    contents: [CHUNK, PAGE],
  },
  {
    name: 'the number of an epoch given twice',
    isFar: true,
    steps: { nextSweepEpoch: (newest) => newest + 1 },
    budgets: { captures: [2, 0], epochs: [2, 0], copies: 1, rollbacks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'an answer before what a rollback took is there again',
    steps: { waitsForAllAgain: () => false },
    budgets: { captures: [1, 0], epochs: [1, 0], copies: 1, rollbacks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'a cache that outlives a rollback',
    isFar: true,
    steps: { emptiesCache: () => false },
    budgets: { captures: [2, 0], epochs: [1, 0], copies: 1, rollbacks: 1 },
    first: [CHUNK, undefined],
    contents: [CHUNK, PAGE],
  },
  {
    name: 'what is expired reached no more',
    steps: { isRoot: (stage) => stage === 'kept' },
    budgets: { epochs: [1, 0], captures: [1, 0] },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'children before parents',
    steps: { compareLeaving: (a, b) => protocol.compareLeaving(b, a) },
    budgets: { captures: [1, 0], epochs: [1, 0] },
    first: [PAGE, undefined],
    contents: [PAGE],
  },
  {
    name: 'an unreached page still walked',
    steps: {
      fateOf: (item, isTouched) => {
        const fate = protocol.fateOf(item, isTouched);
        return fate === 'unwalked' ? 'stays' : fate;
      },
    },
    budgets: { captures: [1, 0], epochs: [1, 0] },
    first: [PAGE, undefined],
    contents: [PAGE],
  },
  {
    name: 'what came since the mark not walked',
    steps: {
      sweepRefusal: (mark, now) => protocol.sweepRefusal(mark, { ...now, came: mark.walked }),
    },
    budgets: { captures: [1, 0], epochs: [1, 0] },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'a walk that outlives a sweep',
    steps: { stillHolds: yes },
    budgets: { captures: [1, 0], epochs: [1, 0] },
    first: [CHUNK, undefined],
    contents: [CHUNK],
  },
  {
    name: 'an answer that tells of others',
    steps: { standingOf: (owned, isSound) => owned ?? (isSound ? 'uploaded' : undefined) },
    budgets: {},
    breaks: 'secret',
    first: [CHUNK, BOOK],
  },
  {
    name: 'ownership outlives its item',
    steps: { isDead: ({ owners, isPending }) => owners <= 1 && !isPending },
    budgets: { epochs: [1, 0], rewrites: 1 },
    first: [CHUNK, CHUNK],
  },
  {
    name: 'an item dies under who is sending it',
    steps: { isDead: ({ owners }) => owners === 0 },
    budgets: { captures: [1, 0], epochs: [1, 0], rewrites: 1 },
    first: [CHUNK, undefined],
  },
  {
    name: 'the old pack removed before the batch',
    steps: { mayRemovePack: yes },
    budgets: { captures: [0, 0], epochs: [1, 0], rewrites: 1 },
    first: [PAGE, CHUNK],
  },
  {
    name: 'an undurable decision used',
    steps: { isSettled: yes },
    budgets: { epochs: [1, 0], rewrites: 1, crashes: 1 },
    first: [CHUNK, undefined],
  },
];
