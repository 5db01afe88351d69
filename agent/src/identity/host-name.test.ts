import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameFromHost } from './host-name.ts';

describe('the name of a PC of a group', () => {
  it.each([
    ['HPLC-7', 'hplc-7'],
    ['hplc-7.lab.example', 'hplc-7'],
    ['Gerät 3', 'gerat-3'],
    ['_x_', 'x_'],
    ['--', undefined],
    ['', undefined],
    ['質量', undefined],
    ['a'.repeat(80), 'a'.repeat(64)],
  ])('%s gives %s', (host, name) => {
    expect(nameFromHost(host)).toBe(name);
  });

  it('is always one that agents may have, or none', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'grapheme', maxLength: 90 }),
          fc.string({ unit: 'binary', maxLength: 90 }),
        ),
        (host) => {
          expect(nameFromHost(host) ?? 'none').toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
        },
      ),
    );
  });
});
