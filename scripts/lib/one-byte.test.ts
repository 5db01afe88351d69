import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { oneByte } from './one-byte.ts';

const wide = String.fromCharCode(0x2019, 0xd83d, 0xdd11);

it('means the same in strings, templates and patterns, and needs one byte for a character', () => {
  const code = `['${wide}é', \`${wide}\`, /^[${wide}]{2}$/u.test('${wide}')].join()`;
  const narrow = oneByte(code, 'a.js');
  expect(narrow).toMatch(/^[\0-\xff]+$/);
  expect(runInNewContext(narrow)).toBe(`${wide}é,${wide},true`);
});

it('refuses what an escape would change', () => {
  expect(() => oneByte(`'\\${wide}'`, 'a.js')).toThrow('a.js: ');
  expect(() => oneByte(`String.raw\`x${wide}\``, 'a.js')).toThrow(
    'cannot be written with an escape',
  );
});
