import { expect, it } from 'vitest';
import { type AwaitedAgent, type AwaitedLine, awaitedOf, countedAnswer } from './answers.ts';

const answers = (answered: number, hasOwnChain = true): AwaitedLine => ({ answered, hasOwnChain });

const quiet: AwaitedAgent<AwaitedLine> = {
  hasEnded: false,
  holdsLostHead: false,
  trunk: answers(7),
  apart: [],
  wasKnownAtReopening: false,
  tookOver: false,
};

const waits = (change: Partial<AwaitedAgent<AwaitedLine>>, epoch = 7): string[] =>
  awaitedOf({ ...quiet, ...change }, epoch).map(({ wait }) => wait);

it('I-C11 each line of an agent is waited for until it has answered that epoch', () => {
  expect(waits({})).toEqual([]);
  expect(waits({}, 8)).toEqual(['has-not-answered']);
  const apart = [answers(6), answers(9), answers(7, false)];
  expect(waits({ apart })).toEqual(['has-not-answered', 'shares-chain']);
});

it('I-C11 an agent that holds a head which the log has lost is waited for, whatever it answered', () => {
  expect(waits({ holdsLostHead: true, apart: [answers(9)] })).toEqual([
    'holds-lost-head',
    'holds-lost-head',
  ]);
});

it('I-C11 one without commits is waited for where it may have some that are not here', () => {
  expect(waits({ trunk: undefined })).toEqual([]);
  expect(waits({ trunk: undefined, wasKnownAtReopening: true, tookOver: true })).toEqual([
    'silent-since-reopening',
    'took-over',
  ]);
  expect(waits({ wasKnownAtReopening: true, tookOver: true })).toEqual([]);
});

it('nobody waits for an agent that was revoked or replaced', () => {
  expect(waits({ hasEnded: true, holdsLostHead: true }, 8)).toEqual([]);
});

it('I-C11 an answer counts for its own line, in the epoch of the log and the start in which it was given', () => {
  const answer = { epoch: 7, logEpoch: 2, isOfLine: true, isOfThisStart: true };
  expect(countedAnswer(answer, 2)).toBe(7);
  expect(countedAnswer(answer, 3)).toBe(0);
  expect(countedAnswer({ ...answer, isOfLine: false }, 2)).toBe(0);
  expect(countedAnswer({ ...answer, isOfThisStart: false }, 2)).toBe(0);
  expect(countedAnswer(undefined, 2)).toBe(0);
});
