import type { HeartbeatBody } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import type { AgentRecord } from '../store/vault-records.ts';
import { type NamedProblem, problemsOf } from './agent-problems.ts';

const HOUR = 3600 * 1000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 21);

/** What `problemsOf` reads of an agent that is well. */
const well = {
  name: 'hplc-1',
  state: 'enrolled',
  expectedAtMs: NOW - 9 * DAY,
  enrolledAtMs: NOW - 9 * DAY,
  enrolmentBody: { expiresAtMs: NOW - 8 * DAY },
  lastSeenMs: NOW,
  lastCommitMs: NOW,
  heartbeatAtMs: NOW,
  heartbeat: beat({}),
  silenceLimitMs: 6 * HOUR,
  problems: [],
};
type Fields = Omit<Partial<AgentRecord>, 'enrolmentBody'> & {
  enrolmentBody?: { expiresAtMs: number };
};

function beat(fields: Partial<HeartbeatBody>): HeartbeatBody {
  const counts = {
    files: 3,
    bytes: 3,
    queuedEntries: 0,
    unprotected: 0,
    pending: 0,
    unsettled: 0,
    problems: [],
  };
  return { timeMs: NOW, ...counts, ...fields } as unknown as HeartbeatBody;
}

function found(fields: Fields, connected = false, problems: NamedProblem[] = []): NamedProblem[] {
  return problemsOf({ ...well, ...fields } as unknown as AgentRecord, { connected, problems }, NOW);
}
const codes = (...args: Parameters<typeof found>) => found(...args).map((problem) => problem.code);

describe('P6: what is wrong with an agent', () => {
  it('is nothing when it was heard of lately and everything is protected', () => {
    expect(codes({})).toEqual([]);
  });

  it('names silence by the agent’s own rhythm, and how long it has lasted', () => {
    expect(codes({ lastSeenMs: NOW - 5 * HOUR })).toEqual([]);
    expect(found({ lastSeenMs: NOW - 7 * HOUR })).toMatchObject([
      { code: 'silent', sinceMs: NOW - 7 * HOUR, brief: '7 h 0 min' },
    ]);
    expect(codes({ lastSeenMs: NOW - 2 * DAY, silenceLimitMs: 4 * DAY })).toEqual([]);
    expect(codes({ lastSeenMs: undefined, lastCommitMs: undefined })).toEqual([
      'silent',
      'nothing-backed-up',
    ]);
    const chainHead = { chainId: new Uint8Array(16), sequence: 7, hash: new Uint8Array(32) };
    expect(
      codes({ lastCommitMs: undefined, heartbeat: beat({ chainHead } as Partial<HeartbeatBody>) }),
    ).toEqual([]);
  });

  it('calls a PC that waits for approval by another code than results that wait on a PC', () => {
    expect(found({ state: 'pending' })).toMatchObject([
      {
        code: 'waits-for-approval',
        message: expect.stringContaining('aliquot agents approve hplc-1'),
      },
    ]);
  });

  it('lets a connected agent send one large file for hours, and not be still for ever', () => {
    expect(codes({ lastSeenMs: NOW - 23 * HOUR }, true)).toEqual([]);
    expect(codes({ lastSeenMs: NOW - 25 * HOUR }, true)).toEqual(['silent']);
  });

  it('names what the agent itself could not protect, capture or send', () => {
    const heartbeat = beat({ queuedEntries: 5, unprotected: 2, pending: 1, unsettled: 4 });
    expect(codes({ heartbeat })).toEqual(['unprotected', 'unsettled', 'pending', 'queued']);
    expect(codes({ heartbeat }, true)).toEqual(['unprotected', 'unsettled']);
    expect(found({ heartbeat })[0]).toMatchObject({
      count: 2,
      message: expect.stringContaining('2 files are not protected'),
    });
  });

  it('what a code explains is not said twice, and what none explains is not passed over', () => {
    const problems = [
      { code: 'special', count: 2, sinceMs: 5 },
      { code: 'unsettled', count: 4, sinceMs: 5 },
    ];
    expect(codes({ heartbeat: beat({ unprotected: 2, unsettled: 4, problems }) })).toEqual([
      'special',
      'unsettled',
    ]);
    expect(codes({ heartbeat: beat({ unprotected: 3, unsettled: 4, problems }) })).toEqual([
      'unprotected',
      'special',
      'unsettled',
    ]);
  });

  it('passes on every problem that the PC has, with how many and since when', () => {
    const heartbeat = beat({ problems: [{ code: 'root-missing', count: 1, sinceMs: NOW - DAY }] });
    expect(found({ heartbeat })).toMatchObject([
      { code: 'root-missing', count: 1, sinceMs: NOW - DAY },
    ]);
  });

  it('names a clock that is off, in which direction, and not one that is off by seconds', () => {
    expect(found({ heartbeat: beat({ timeMs: NOW + HOUR }) })).toMatchObject([
      { code: 'clock-off', brief: '1 h 0 min ahead' },
    ]);
    expect(found({ heartbeat: beat({ timeMs: NOW - HOUR }) })).toMatchObject([
      { code: 'clock-off', brief: '1 h 0 min behind' },
    ]);
    expect(codes({ heartbeat: beat({ timeMs: NOW + 60_000 }) })).toEqual([]);
  });

  it('does not take for heard what a clock says that was ahead: it may be silent all the same', () => {
    const future = { lastSeenMs: NOW + 1000 * DAY, heartbeatAtMs: NOW + 1000 * DAY };
    const enrolledAtMs = NOW - 90 * DAY;
    expect(codes({ ...future, enrolledAtMs, heartbeat: beat({}) })).toEqual(['silent']);
  });

  it('has nothing against a bundle that waits, but names one that expired unused', () => {
    expect(codes({ state: 'expected', enrolmentBody: { expiresAtMs: NOW + DAY } })).toEqual([]);
    expect(codes({ state: 'expected', enrolmentBody: { expiresAtMs: NOW - DAY } })).toEqual([
      'bundle-expired',
    ]);
  });

  it('puts forks, rollbacks and refusals first', () => {
    const problem = { code: 'refused', sinceMs: NOW, message: 'was refused' };
    const problems = [{ code: 'chain-forked' as const, sinceMs: NOW, message: 'two histories' }];
    expect(codes({ problems, lastSeenMs: NOW - 2 * DAY }, false, [problem])).toEqual([
      'chain-forked',
      'refused',
      'silent',
    ]);
  });

  it('is nothing any more for who was revoked or replaced, unless that PC still comes', () => {
    for (const state of ['revoked', 'replaced'] as const) {
      expect(codes({ state, lastSeenMs: NOW - 5 * DAY })).toEqual([]);
      expect(codes({ state }, false, [{ code: 'refused', sinceMs: NOW, message: 'x' }])).toEqual([
        'refused',
      ]);
    }
  });
});
