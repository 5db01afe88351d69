import { describe, expect, it } from 'vitest';
import { deadExports } from './dead-exports.ts';

const dead = (files: Record<string, string>) =>
  deadExports(Object.entries(files).map(([path, text]) => ({ path, text }))).map(
    ({ path, line, says }) => `${path}:${line} ${says.split(':')[0]}`,
  );

const main = (imports: string) => ({ 'agent/src/main.ts': imports });

describe('the search for dead exports', () => {
  it('finds a function that nobody imports', () => {
    const files = {
      ...main("import { a } from './x.ts'; a();"),
      'agent/src/x.ts': 'export function a() {}\nexport const b = 1;',
    };
    expect(dead(files)).toEqual(['agent/src/x.ts:2 nothing imports b']);
  });

  it('does not count imports by tests, unless the comment says that the export is for them', () => {
    const files = {
      ...main("import './x.ts'; import { q } from './y.ts'; q();"),
      'agent/src/x.ts': 'export const a = 1;',
      'agent/src/y.ts':
        'export const q = 1;\nexport const b = 1;\n/** Test only: the grid is stated over numbers. */\nexport const c = 1;',
      'agent/src/y.test.ts': "import { b, c } from './y.ts'; b; c;",
    };
    expect(dead(files)).toEqual(['agent/src/y.ts:2 nothing imports b']);
  });

  it('finds a file that nobody imports', () => {
    expect(dead({ ...main(''), 'agent/src/x.ts': 'export const a = 1;' })).toEqual([
      'agent/src/x.ts:1 no file but tests imports this one',
    ]);
  });

  it('follows names through re-exports and package names', () => {
    const files = {
      ...main(
        "import { a, type T } from '@aliquot/proto'; import * as all from '@aliquot/shared/z'; a; all;",
      ),
      'proto/src/index.ts': "export * from './x.ts';\nexport { q as r } from './y.ts';",
      'proto/src/x.ts': 'export const a = 1;\nexport type T = 1;\nexport const b = 1;',
      'proto/src/y.ts': 'export const q = 1;',
      'shared/src/z.ts': 'export const one = 1;',
    };
    expect(dead(files)).toEqual([
      'proto/src/x.ts:3 nothing imports b',
      'proto/src/y.ts:1 no file but tests imports this one',
    ]);
  });

  it('lets a type live that its own file uses, and not one that nothing uses', () => {
    const files = {
      ...main("import { a } from './x.ts'; a;"),
      'agent/src/x.ts':
        'export interface A { n: number }\nexport const a: A = { n: 1 };\nexport type B = 1;',
    };
    expect(dead(files)).toEqual(['agent/src/x.ts:3 nothing imports B']);
  });

  it('lets an error class live that its own file throws: callers ask for its code', () => {
    const files = {
      ...main("import { a } from './x.ts'; a();"),
      'agent/src/x.ts':
        'export class AError extends Error {}\nexport const a = () => new AError();',
    };
    expect(dead(files)).toEqual([]);
  });

  it('knows workers that are started by their address', () => {
    const files = {
      ...main("new Worker(new URL(built ? './w.js' : './w.ts', import.meta.url));"),
      'agent/src/w.ts': 'export const a = 1;',
    };
    expect(dead(files)).toEqual([]);
  });
});
