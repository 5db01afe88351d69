import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { errnoOf, systemSays } from './system-errors.ts';

const raised = (code: string, errno?: number) =>
  Object.assign(new Error(code), {
    code,
    syscall: 'read',
    ...(errno === undefined ? {} : { errno }),
  });
const other = systemSays('ENEVERHEARD');

test('every code that Node knows gets one line that ends with what to do', () => {
  for (const code of Object.keys(constants.errno)) {
    const says = systemSays(code);
    expect(says, code).toMatch(/^.{20,150}$/);
    expect(says, code).toContain('; ');
  }
});

test.each([
  'ESTALE',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ETIMEDOUT',
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'ENODEV',
  'ENXIO',
  'EREMOTEIO',
  'ENOMEM',
  'EUCLEAN',
  'EIO',
  'ENOTCONN',
  'ENOLINK',
  'ENOMEDIUM',
  'EKEYEXPIRED',
  'ENFILE',
  'EMFILE',
  'ENAMETOOLONG',
  'UNKNOWN',
])('%s has words of its own', (code) => {
  expect(systemSays(code)).not.toBe(other);
});

test.runIf(process.platform === 'linux').each([
  [112, 'EHOSTDOWN'],
  [116, 'ESTALE'],
  [117, 'EUCLEAN'],
  [121, 'EREMOTEIO'],
  [123, 'ENOMEDIUM'],
  [127, 'EKEYEXPIRED'],
  [9999, 'E9999'],
])('number %i, which Node does not name, is %s', (number, name) => {
  expect(errnoOf(raised(`Unknown system error -${number}`, -number))).toBe(name);
});

test('names are as they are, Windows’ UNKNOWN too; what no system call raised has none', () => {
  expect(errnoOf(raised('EBUSY', -16))).toBe('EBUSY');
  expect(errnoOf(raised('UNKNOWN', -4094))).toBe('UNKNOWN');
  expect(errnoOf(new Error('x'))).toBeUndefined();
  expect(errnoOf(Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG_TYPE' }))).toBeUndefined();
});
