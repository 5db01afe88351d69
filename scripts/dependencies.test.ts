import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dependencies, purposes } from './dependencies.ts';
import { thirdPartyText } from './lib/native-libraries.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('what is installed', () => {
  it('is for something that is written down, and nothing is written down that is not there', () => {
    expect(dependencies().map(({ name }) => name)).toEqual(Object.keys(purposes).sort());
  });

  it('is locked with its integrity, by no host, and runs no script', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { link?: true; integrity?: string; resolved?: string }>;
    };
    for (const [path, { link, integrity, resolved }] of Object.entries(packages)) {
      if (!path.includes('node_modules/') || link) continue;
      expect({ path, integrity, resolved }).toEqual({
        path,
        integrity: expect.stringMatching(/^sha512-/),
        resolved: undefined,
      });
    }
    expect(read('.npmrc')).toMatch(/^ignore-scripts=true$/m);
  });

  it('is named with its licence in each program, also what lies inside an addon, and Node', () => {
    const node = { version: '24.0.0', licence: 'NODE.txt' };
    const text = thirdPartyText('pino 1.0.0 (MIT)\n\nMIT License\n', 'win32', node);
    for (const part of ['pino', 'LevelDB', 'Snappy', 'koffi', 'Node.js'])
      expect(text).toMatch(new RegExp(`^${part} \\S+ \\(.+\\)$`, 'm'));
  });
});
