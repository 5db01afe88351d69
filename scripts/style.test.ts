import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSources } from './lib/sources.ts';
import { longLines, misspelled } from './style.ts';

const sources = readSources(join(import.meta.dirname, '..'));
const at = (text: string) => ({ path: 'agent/src/x.ts', text });

describe('the columns', () => {
  it('are kept by the source', () => {
    expect(longLines(sources)).toEqual([]);
  });

  it('may be passed by one line in fifty, and by no more', () => {
    const short = 'a();\n'.repeat(97);
    const long = `${'x'.repeat(101)}\n`;
    expect(longLines([at(`${short}${long}${long}`)])).toEqual([]);
    expect(longLines([at(`${short}${long}${long}${long}`)])).toHaveLength(3);
  });
});

describe('the style of constants', () => {
  it('is kept by the source', () => {
    expect(sources.flatMap(misspelled)).toEqual([]);
  });

  it.each([
    ['const maxBytes = 4 * 1024;', 1],
    ["export const label = 'x';", 1],
    ['const TABLE = { a: 1 };', 1],
    ['const NAMES: ReadonlySet<string> = new Set(["a"]);', 1],
    ['const MAX_BYTES = 4 * KIB;', 0],
    ['const table = { a: 1 }; const pattern = made(); const PATTERN = /x/;', 0],
    ['function f() { const local = 1; return local; }', 0],
  ])('of %s has %i to mend', (text, count) => {
    expect(misspelled(at(text))).toHaveLength(count);
  });
});
