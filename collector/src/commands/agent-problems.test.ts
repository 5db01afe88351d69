import { describe, expect, it } from 'vitest';
import type { AgentInfo } from '../rest/messages.ts';
import { problemsOf } from './agent-problems.ts';

const DAY = 24 * 3600 * 1000;
const NOW = Date.UTC(2026, 10, 21);

function agent(fields: Partial<AgentInfo>): AgentInfo {
  return {
    name: 'hplc-1',
    agentId: '0'.repeat(32),
    lineageId: '0'.repeat(32),
    histories: [],
    state: 'enrolled',
    enrolment: '',
    expectedAtMs: NOW - 9 * DAY,
    enrolledAtMs: NOW - 9 * DAY,
    expiresAtMs: NOW - 8 * DAY,
    connected: false,
    lastSeenMs: NOW,
    lastCommitMs: NOW,
    files: 1,
    bytes: 1,
    problems: [],
    ...fields,
  };
}

const codes = (fields: Partial<AgentInfo>) => problemsOf(agent(fields), NOW).map((problem) => problem.code);

describe('P6: what is wrong with an agent', () => {
  it('is nothing when it was heard of lately and everything is protected', () => {
    expect(codes({})).toEqual([]);
  });

  it('names silence, but not while the agent is connected', () => {
    expect(codes({ lastSeenMs: NOW - 2 * DAY })).toEqual(['silent']);
    expect(codes({ lastSeenMs: NOW - 2 * DAY, connected: true })).toEqual([]);
    expect(codes({ lastSeenMs: undefined, lastCommitMs: undefined })).toEqual(['silent', 'nothing-backed-up']);
  });

  it('names what the agent itself could not protect or send', () => {
    const heartbeat = { timeMs: NOW, files: 3, bytes: 3, queuedEntries: 5, unprotected: 2, pending: 0, unsettled: 0, problems: [] };
    expect(codes({ heartbeat })).toEqual(['unprotected', 'queued']);
  });

  it('tells a bundle that waits from one that expired unused', () => {
    expect(codes({ state: 'expected', expiresAtMs: NOW + DAY })).toEqual(['not-enrolled']);
    expect(codes({ state: 'expected', expiresAtMs: NOW - DAY })).toEqual(['bundle-expired']);
  });

  it('puts forks and rollbacks first', () => {
    const problems = [{ code: 'chain-forked', sinceMs: NOW, message: 'two histories' }];
    expect(codes({ problems, lastSeenMs: NOW - 2 * DAY })).toEqual(['chain-forked', 'silent']);
  });

  it('says who was revoked or replaced, and no more', () => {
    expect(codes({ state: 'revoked', endedAtMs: NOW, lastSeenMs: NOW - 5 * DAY })).toEqual(['revoked']);
    expect(codes({ state: 'replaced', endedAtMs: NOW, lastSeenMs: NOW - 5 * DAY })).toEqual(['replaced']);
  });
});
