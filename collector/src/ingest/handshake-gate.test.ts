import { describe, expect, it } from 'vitest';
import { HandshakeGate } from './handshake-gate.ts';

describe('handshake gate', () => {
  it('limits half-open connections of one address without touching others', () => {
    const gate = new HandshakeGate({ total: 10, perAddress: 2 });
    expect(gate.enter('a')).toBeDefined();
    expect(gate.enter('a')).toBeDefined();
    expect(gate.enter('a')).toBeUndefined();
    expect(gate.enter('b')).toBeDefined();
  });

  it('limits them in all', () => {
    const gate = new HandshakeGate({ total: 2, perAddress: 2 });
    expect(gate.enter('a')).toBeDefined();
    expect(gate.enter('b')).toBeDefined();
    expect(gate.enter('c')).toBeUndefined();
  });

  it('frees a place once, however often it is left', () => {
    const gate = new HandshakeGate({ total: 2, perAddress: 1 });
    const leave = gate.enter('a');
    gate.enter('b');
    leave?.();
    leave?.();
    expect(gate.enter('c')).toBeDefined();
    expect(gate.enter('d')).toBeUndefined();
  });
});
