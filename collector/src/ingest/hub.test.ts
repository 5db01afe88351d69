import { asAgentId, asChainId, asVaultId } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { SessionHub } from './hub.ts';

const vault = asVaultId(new Uint8Array(16).fill(1));
const otherVault = asVaultId(new Uint8Array(16).fill(2));
const agent = asAgentId(new Uint8Array(16).fill(3));
const chain = asChainId(new Uint8Array(16).fill(5));
const otherAgent = asAgentId(new Uint8Array(16).fill(4));

function session() {
  const reasons: string[] = [];
  return {
    reasons,
    end: (reason: string) => void reasons.push(reason),
    tellAddresses: () => void reasons.push('addresses'),
    tellSettings: () => void reasons.push('settings'),
    diagnose: () => ({ reply: Promise.resolve(undefined), forget: () => undefined }),
  };
}

describe('session hub', () => {
  it('lets the newest connection of an agent end the one before', () => {
    const hub = new SessionHub({ nowMs: () => 0 });
    const [first, second] = [session(), session()];
    const leaveFirst = hub.enter(vault, agent, chain, first);
    hub.enter(vault, agent, chain, second);
    leaveFirst();
    expect(first.reasons).toEqual(['another connection of this agent took over']);
    expect(second.reasons).toEqual([]);
    expect(hub.isConnected(vault, agent)).toBe(true);
  });

  it('I-C12 lets a PC and its clone be connected side by side, but not thousands of chains', () => {
    const hub = new SessionHub({ nowMs: () => 0 });
    const sessions = Array.from({ length: 5 }, session);
    const leave = sessions.map((one, at) =>
      hub.enter(vault, agent, asChainId(new Uint8Array(16).fill(at)), one),
    );
    expect(sessions.map(({ reasons }) => reasons.length)).toEqual([
      1,
      ...Array.from({ length: 4 }, () => 0),
    ]);
    expect(hub.size).toBe(4);
    for (const out of leave) out();
    expect([hub.size, hub.isConnected(vault, agent)]).toEqual([0, false]);
  });

  it('counts take-overs of the last ten minutes: many mean two PCs with one identity', () => {
    let now = 0;
    const hub = new SessionHub({ nowMs: () => now });
    for (let turn = 0; turn < 4; turn++) {
      hub.enter(vault, agent, chain, session());
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
    hub.enter(vault, agent, chain, one);
    hub.enter(vault, otherAgent, chain, two);
    hub.enter(otherVault, agent, chain, elsewhere);
    hub.endAgent(vault, agent, 'revoked');
    expect([one.reasons.length, two.reasons.length, elsewhere.reasons.length]).toEqual([1, 0, 0]);
    hub.endVault(vault, 'opened');
    expect([one.reasons.length, two.reasons.length, elsewhere.reasons.length]).toEqual([2, 1, 0]);
    hub.endAll('stop');
    expect(elsewhere.reasons).toEqual(['stop']);
  });
});
