import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { documentedCodes, unionCodes } from './lib/error-codes.ts';
import { readSources } from './lib/sources.ts';

const root = join(import.meta.dirname, '..');
const declared = unionCodes(readSources(root), 'FindingCode');
// After the meaning, `remedy` holds the two cells behind it: what repair does, and what is left to
// do.
const documented = documentedCodes(readFileSync(join(root, 'docs', 'fsck.md'), 'utf8'));
const names = (codes: readonly { room: string; code: string }[]) =>
  codes.map(({ room, code }) => `${room} ${code}`).sort();

describe('docs/fsck.md', () => {
  it('has one row for every finding of both programs, and none that neither has', () => {
    expect(names(declared).length).toBeGreaterThan(25);
    expect(names(documented)).toEqual(names(declared));
  });

  it('says of each what it means, what repair does, and what is left to do', () => {
    const unsaid = documented.filter(
      ({ meaning, remedy }) =>
        [meaning, ...remedy.split(' | ')].filter((cell) => cell.trim() !== '').length !== 3,
    );
    expect(unsaid).toEqual([]);
  });

  it('explains each in a doc comment of the source too', () => {
    expect(declared.filter(({ explained }) => !explained).map(({ code }) => code)).toEqual([]);
  });
});
