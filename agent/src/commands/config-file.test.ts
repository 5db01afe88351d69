import { expect, test } from 'vitest';
import { networkDrives } from './config-file.ts';

test('a folder on a network drive of the user who checks is named, with the share to write instead', () => {
  const access = { isNetworkDrive: (letter: string) => letter === 'X:' };
  const sources = ['X:\\Data', 'C:\\Data', '\\server\\share'].map((path) => ({ path }));
  expect(networkDrives(sources, access)).toEqual([
    expect.stringMatching(
      /^X:.* is on a network drive of yours, which the service does not see: name the share itself, as in .*server/,
    ),
  ]);
  expect(networkDrives(sources, undefined)).toEqual([]);
});
