import { describe, expect, it } from 'vitest';
import type { AgentDesk, Offered } from '../store/catalog/desk.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import { promotable } from './canary.ts';

const DAY = 24 * 3600 * 1000;
const SET = 1_790_000_000_000;
/** The PC's clock is three hours behind. */
const SKEW = 3 * 3600 * 1000;

const offer = (sequence: number): Offered => ({
  settings: {
    settings: { body: new Uint8Array(1), signature: new Uint8Array(64) },
    certificate: undefined,
  },
  sequence,
  groups: [],
  sinceMs: SET,
  leafIndex: 1,
});

interface Pc {
  readonly inForce?: number;
  readonly heardMs?: number;
  /** When its problems began, by the collector's clock. */
  readonly problems?: readonly number[];
}

const canary = ({ inForce = 12, heardMs = SET + DAY - 1000, problems = [] }: Pc = {}) => ({
  agent: {
    heartbeat: {
      timeMs: heardMs - SKEW,
      problems: problems.map((sinceMs) => ({
        code: 'unreadable',
        count: 1,
        sinceMs: sinceMs - SKEW,
      })),
    },
    heartbeatAtMs: heardMs,
  } as unknown as AgentRecord,
  desk: {
    current: offer(12),
    waiting: undefined,
    said: { inForce, software: 'x', reply: undefined },
  } satisfies AgentDesk,
});
const waits = {
  agent: {} as AgentRecord,
  desk: { current: offer(11), waiting: offer(12), said: undefined } satisfies AgentDesk,
};

describe('settings that wait', () => {
  it('are promoted once each of the first PCs has had them for a day without a new problem', () => {
    expect(promotable([canary(), canary(), waits], SET + DAY - 1)).toBeUndefined();
    expect(promotable([canary(), canary(), waits], SET + DAY)).toBe(12);
    expect(promotable([canary({ problems: [SET - 5000] }), waits], SET + DAY)).toBe(12);
  });

  it('wait for a person while one of the first refuses them, has a new problem, was not heard, or there is none', () => {
    expect(promotable([canary({ inForce: 11 }), canary(), waits], SET + 9 * DAY)).toBeUndefined();
    expect(promotable([canary({ problems: [SET + 5000] }), waits], SET + 9 * DAY)).toBeUndefined();
    expect(promotable([canary({ heardMs: SET - 1000 }), waits], SET + 9 * DAY)).toBeUndefined();
    expect(promotable([waits], SET + 9 * DAY)).toBeUndefined();
    expect(promotable([canary()], SET + 9 * DAY)).toBeUndefined();
  });
});
