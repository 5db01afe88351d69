import { describe, expect, it } from 'vitest';
import { OperatorGate, tokenHash } from './operator-token.ts';

describe('operator gate', () => {
  const token = 'aliquot-operator-example';
  const gate = new OperatorGate(tokenHash(token));

  it('admits the token', () => {
    expect(gate.admits(`Bearer ${token}`)).toBe(true);
  });

  it.each([
    undefined,
    '',
    'Bearer ',
    `Basic ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `bearer ${token}`,
    `Bearer  ${token}`,
  ])('refuses %j', (header) => {
    expect(gate.admits(header)).toBe(false);
  });

  it('never admits an empty token, even if the token file was emptied', () => {
    expect(new OperatorGate(tokenHash('')).admits('Bearer ')).toBe(false);
  });
});
