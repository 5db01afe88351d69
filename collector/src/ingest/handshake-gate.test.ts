import { describe, expect, it } from 'vitest';
import { HandshakeGate } from './handshake-gate.ts';

const stay = () => undefined;

describe('handshake gate', () => {
  it('limits half-open connections of one address without touching others', () => {
    const gate = new HandshakeGate({ total: 10, perAddress: 2 });
    expect(gate.enter('a', stay)).toBeDefined();
    expect(gate.enter('a', stay)).toBeDefined();
    expect(gate.enter('a', stay)).toBeUndefined();
    expect(gate.enter('b', stay)).toBeDefined();
  });

  it('limits them in all', () => {
    const gate = new HandshakeGate({ total: 2, perAddress: 2 });
    expect(gate.enter('a', stay)).toBeDefined();
    expect(gate.enter('b', stay)).toBeDefined();
    expect(gate.enter('c', stay)).toBeUndefined();
  });

  it('frees a place once, however often it is left', () => {
    const gate = new HandshakeGate({ total: 2, perAddress: 1 });
    const leave = gate.enter('a', stay);
    gate.enter('b', stay);
    leave?.();
    leave?.();
    expect(gate.enter('c', stay)).toBeDefined();
    expect(gate.enter('d', stay)).toBeUndefined();
  });

  it('lets the oldest of the most crowded address make room when all places are taken', () => {
    const gate = new HandshakeGate({ total: 4, perAddress: 3 });
    const ended: string[] = [];
    for (const name of ['a1', 'a2', 'a3', 'b1']) gate.enter(name.charAt(0), () => ended.push(name));
    expect(gate.enter('c', stay)).toBeDefined();
    expect(ended).toEqual(['a1']);
    // Nobody holds two places more than this address would: it waits, as both sides of two floods
    // must.
    expect(gate.enter('c', stay)).toBeUndefined();
    expect(gate.enter('d', stay)).toBeDefined();
    expect(ended).toEqual(['a1', 'a2']);
    expect(gate.enter('e', stay)).toBeUndefined();
  });
});
