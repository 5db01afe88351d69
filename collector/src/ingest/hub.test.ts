import { asAgentId, asVaultId } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { SessionHub } from './hub.ts';

const vault = asVaultId(new Uint8Array(16).fill(1));
const otherVault = asVaultId(new Uint8Array(16).fill(2));
const agent = asAgentId(new Uint8Array(16).fill(3));
const otherAgent = asAgentId(new Uint8Array(16).fill(4));

function session() {
  const reasons: string[] = [];
  return { reasons, end: (reason: string) => void reasons.push(reason) };
}

describe('session hub', () => {
  it('lets the newest connection of an agent end the one before', () => {
    const hub = new SessionHub({ nowMs: () => 0 });
    const [first, second] = [session(), session()];
    const leaveFirst = hub.enter(vault, agent, first);
    hub.enter(vault, agent, second);
    leaveFirst();
    expect(first.reasons).toEqual(['another connection of this agent took over']);
    expect(second.reasons).toEqual([]);
    expect(hub.isConnected(vault, agent)).toBe(true);
  });

  it('counts take-overs of the last ten minutes: many mean two PCs with one identity', () => {
    let now = 0;
    const hub = new SessionHub({ nowMs: () => now });
    for (let turn = 0; turn < 4; turn++) {
      hub.enter(vault, agent, session());
      now += 60_000;
    }
    expect(hub.takeovers(vault, agent)).toBe(3);
    expect(hub.takeovers(vault, otherAgent)).toBe(0);
    now += 10 * 60_000;
    expect(hub.takeovers(vault, agent)).toBe(0);
  });

  it('ends the sessions of one agent, of one vault, or all', () => {
    const hub = new SessionHub({ nowMs: () => 0 });
    const [one, two, elsewhere] = [session(), session(), session()];
    hub.enter(vault, agent, one);
    hub.enter(vault, otherAgent, two);
    hub.enter(otherVault, agent, elsewhere);
    hub.endAgent(vault, agent, 'revoked');
    expect([one.reasons.length, two.reasons.length, elsewhere.reasons.length]).toEqual([1, 0, 0]);
    hub.endVault(vault, 'opened');
    expect([one.reasons.length, two.reasons.length, elsewhere.reasons.length]).toEqual([2, 1, 0]);
    hub.endAll('stop');
    expect(elsewhere.reasons).toEqual(['stop']);
  });
});
