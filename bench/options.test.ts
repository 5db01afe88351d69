import { expect, test } from 'vitest';
import { help, readOptions } from './options.ts';
import { verbs } from './samples.ts';
import { systemNames } from './systems/system.ts';

test('without options everything is measured three times at full size', () => {
  const options = readOptions([]);
  expect(options).toMatchObject({
    runs: 3,
    scale: 1,
    systems: systemNames,
    verbs,
    limits: true,
    keep: false,
    json: undefined,
  });
});

test('lists keep the order of the table, however they were written', () => {
  const options = readOptions(['--systems', 'borg,ours', '--verbs', 'restore,first']);
  expect(options.systems).toEqual(['ours', 'borg']);
  expect(options.verbs).toEqual(['first', 'restore']);
});

test.each([
  [['--runs', '0'], /--runs takes a number from 1 to 100, not 0/],
  [['--runs', 'many'], /--runs takes a number from 1 to 100, not many/],
  [['--scale', '0'], /--scale takes a number above 0 up to 1/],
  [['--scale', '2'], /--scale takes a number above 0 up to 1/],
  [
    ['--systems', 'ours,tape'],
    /--systems takes a list of ours, restic, borg, rsync, copy, not tape/,
  ],
  [['--systems', ''], /--systems takes a list of .*, not nothing/],
  [['--verbs', 'fist'], /--verbs takes a list of first, .*, not fist/],
])('%j is refused with what is accepted', (args, says) => {
  expect(() => readOptions(args)).toThrow(says);
});

test('the help names every verb and every system', () => {
  for (const name of [...verbs, ...systemNames]) expect(help).toContain(name);
});
