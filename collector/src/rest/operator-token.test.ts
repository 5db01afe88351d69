import { systemRandom } from '@aliquot/shared/ports';
import { describe, expect, it } from 'vitest';
import { newOperatorToken, OperatorGate } from './operator-token.ts';

describe('operator gate', () => {
  const token = newOperatorToken(systemRandom);
  const gate = new OperatorGate(`${token}\n`);

  it('admits the token, and bears a line end after it in the file', () => {
    expect(gate.admits(`Bearer ${token}`)).toBe(true);
  });

  it.each([undefined, '', 'Bearer ', `Basic ${token}`, `Bearer ${token}x`, `Bearer ${token.slice(1)}`, `bearer ${token}`, `Bearer  ${token}`])(
    'refuses %j',
    (header) => {
      expect(gate.admits(header)).toBe(false);
    },
  );

  it('never admits an empty token, even if the token file was emptied', () => {
    expect(new OperatorGate('').admits('Bearer ')).toBe(false);
  });
});
