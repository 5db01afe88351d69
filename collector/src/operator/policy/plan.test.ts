import type { AgentId } from '@aliquot/proto';
import { type Policy, readPolicy } from '@aliquot/shared/settings/policy';
import { describe, expect, it } from 'vitest';
import type { AgentInfo } from '../../api/messages.ts';
import type { DeskPc } from './desk.ts';
import { planOf } from './plan.ts';
import { planText } from './show.ts';

const pc = (name: string, settings: Partial<AgentInfo['settings']> = {}): DeskPc => ({
  name,
  agentId: new Uint8Array(16) as AgentId,
  boxKey: new Uint8Array(32),
  info: {
    settings: { inForce: 1, offered: 1, waiting: 0, groups: [], ...settings },
  } as unknown as AgentInfo,
});

function policy(text: string): Policy {
  const read = readPolicy(text);
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  return read.policy;
}

const before = policy(
  'agents: {defaults: {workers: 1}, groups: {first: {names: [a]}}, pcs: {b: {sources: [{path: /data}]}}}',
);
const everybody = { canary: undefined, all: false };
const sends = (plans: ReturnType<typeof planOf>) =>
  plans.filter((plan) => plan.sends).map((plan) => plan.pc.name);

describe('what a new policy means for each PC', () => {
  it('is nothing where nothing changes, but for who has no settings yet, or is asked for anew', () => {
    const pcs = [pc('a'), pc('b'), pc('new', { inForce: 0, offered: 0 })];
    expect(sends(planOf(pcs, before, before, everybody))).toEqual(['new']);
    expect(sends(planOf(pcs, before, before, { ...everybody, all: true }))).toEqual([
      'a',
      'b',
      'new',
    ]);
    expect(sends(planOf(pcs, undefined, before, everybody))).toEqual(['a', 'b', 'new']);
  });

  it('is empty settings where it said something, and nothing at all where nobody ever did', () => {
    const none = policy('agents: {}');
    const plans = planOf(
      [pc('b'), pc('never', { inForce: 0, offered: 0 })],
      policy('agents: {pcs: {b: {sources: [{path: /data}]}}}'),
      none,
      everybody,
    );
    expect(plans).toMatchObject([
      {
        pc: { name: 'b' },
        now: { text: '{}\n' },
        lost: [{ path: '/data', patterns: [] }],
        sends: true,
      },
    ]);
  });

  it('waits for the canary’s group, and what waited for an earlier one is freed by a set for everybody', () => {
    const next = policy(
      'agents: {defaults: {workers: 2}, groups: {first: {names: [a]}}, pcs: {b: {sources: [{path: /data}]}}}',
    );
    const plans = planOf([pc('a'), pc('b')], before, next, { canary: 'first', all: false });
    expect(plans.map(({ pc: { name }, waits }) => [name, waits])).toEqual([
      ['a', false],
      ['b', true],
    ]);
    expect(
      sends(planOf([pc('a', { offered: 2 }), pc('b', { waiting: 2 })], next, next, everybody)),
    ).toEqual(['b']);
  });

  it('is told with PCs together for which it is the same, and with what loses its cover', () => {
    const next = policy('agents: {defaults: {workers: 2}, groups: {first: {names: [a]}}}');
    expect(planText(planOf([pc('a'), pc('c'), pc('b')], before, next, everybody))).toBe(`a, c
  ~ workers: 1 -> 2
b
  - sources /data
  ~ workers: 1 -> 2
  ! /data loses its cover

3 PCs of 3 get new settings; 1 folder loses its cover.`);
  });
});
