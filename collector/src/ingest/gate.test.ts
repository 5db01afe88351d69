import { describe, expect, it } from 'vitest';
import { HandTimers } from '../../testing/front.ts';
import type { GateLimits } from '../limits.ts';
import { Gate } from './gate.ts';

const limits = { inside: 100, perNetwork: 100, waiting: 100, aSecond: 50 };

/** Newcomers by name; `a7` is of network `a`. */
function gateOf(changed: Partial<GateLimits> = {}, isShort = () => false) {
  const timers = new HandTimers();
  const gate = new Gate(timers, { ...limits, ...changed }, isShort);
  const admitted: string[] = [];
  const ended: string[] = [];
  const enter = (...names: string[]) =>
    names.map((name) => {
      const newcomer = { admit: () => admitted.push(name), end: () => ended.push(name) };
      gate.enter(name.charAt(0), newcomer);
      return () => gate.leave(name.charAt(0), newcomer);
    });
  return { timers, gate, admitted, ended, enter };
}

const names = (network: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `${network}${from + index}`);

describe('the gate', () => {
  it('lets newcomers in at once as long as they come slowly', () => {
    const { timers, admitted, ended, enter } = gateOf();
    for (let round = 0; round < 9; round += 1) {
      enter(`a${round}`, `b${round}`)[0]?.();
      timers.elapse();
      timers.elapse();
    }
    expect(admitted).toHaveLength(18);
    expect(ended).toEqual([]);
  });

  it('lets a crowd in turn by turn, the newest first: who holds what he has keeps nobody out', () => {
    const { timers, admitted, enter } = gateOf();
    enter(...names('a', 20));
    expect(admitted).toEqual(names('a', 13));
    timers.elapse();
    enter('a20');
    timers.elapse();
    expect(admitted.slice(13)).toEqual(['a19', 'a20']);
    for (let turn = 0; turn < 9; turn += 1) timers.elapse();
    expect(admitted.slice(15)).toEqual(names('a', 6, 13).reverse());
  });

  it('lets those of the least crowded address in first', () => {
    const { timers, admitted, enter } = gateOf();
    enter(...names('a', 30), 'b0', 'b1', 'c0');
    for (let turn = 0; turn < 3; turn += 1) timers.elapse();
    expect(admitted.slice(13)).toEqual(['b1', 'c0', 'b0']);
  });

  it('has the oldest of an address make room for a newcomer of the same one', () => {
    const { admitted, ended, enter } = gateOf({ perNetwork: 2 });
    enter('a0', 'b0', 'a1', 'a2', 'a3');
    expect(admitted).toEqual(['a0', 'b0', 'a1', 'a2', 'a3']);
    expect(ended).toEqual(['a0', 'a1']);
  });

  it('has the oldest of the most crowded address make room when all places are taken', () => {
    const { admitted, ended, enter } = gateOf({ inside: 4 });
    enter('a0', 'a1', 'b0', 'c0', 'd0', 'e0');
    expect(admitted).toContain('e0');
    expect(ended).toEqual(['a0', 'a1']);
  });

  it('keeps no more waiting than it may, and those of a small crowd longest', () => {
    const { admitted, ended, enter } = gateOf({ waiting: 4 });
    enter(...names('a', 13), 'b0', ...names('c', 3), 'd0', 'e0');
    expect(admitted).toHaveLength(13);
    expect(ended).toEqual(['c0', 'c1']);
  });

  it('forgets who has proved itself or left, once', () => {
    const { ended, enter } = gateOf({ inside: 2 });
    const [leave] = enter('a0', 'b0');
    leave?.();
    leave?.();
    enter('c0');
    expect(ended).toEqual([]);
    enter('d0');
    expect(ended).toHaveLength(1);
  });

  it('forgets who left while waiting', () => {
    const { timers, admitted, enter } = gateOf();
    const leave = enter(...names('a', 15));
    leave[13]?.();
    timers.elapse();
    expect(admitted).toHaveLength(14);
    timers.elapse();
    expect(admitted).toEqual([...names('a', 13), 'a14']);
  });

  it('P6 lets fewer in while others lack the time for it, never none, and all again afterwards', () => {
    let short = true;
    const { timers, admitted, enter } = gateOf({ waiting: 5000, leastASecond: 10 }, () => short);
    const inTurns = (turns: number): number => {
      const before = admitted.length;
      for (let turn = 0; turn < turns; turn += 1) timers.elapse();
      return admitted.length - before;
    };
    enter(...names('a', 4000));
    inTurns(100);
    expect(inTurns(50)).toBe(10);
    short = false;
    inTurns(100);
    expect(inTurns(50)).toBe(50);
  });

  it('lets nobody in once it is stopped', () => {
    const { timers, gate, admitted, enter } = gateOf();
    enter(...names('a', 15));
    gate.stop();
    timers.elapse();
    enter('b0');
    expect(admitted).toHaveLength(13);
  });
});
