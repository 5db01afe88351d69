import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSources } from './lib/sources.ts';
import { doubledTypes } from './type-names.ts';

const doubled = (...texts: readonly string[]) =>
  doubledTypes(texts.map((text, at) => ({ path: `agent/src/${at}.ts`, text }))).map(
    ({ path, line }) => `${path}:${line}`,
  );

describe('the names of exported types', () => {
  it('are each the name of one type in the source', () => {
    expect(doubledTypes(readSources(join(import.meta.dirname, '..')))).toEqual([]);
  });

  it('are compared over interfaces, aliases and classes of all files', () => {
    const place = 'export interface Place { a: 1 }';
    expect(doubled(place, '\nexport type Place = 1;', 'export class Place {}')).toEqual([
      'agent/src/1.ts:2',
      'agent/src/2.ts:1',
    ]);
  });

  it('may be used again by what is not exported, and by a re-export', () => {
    const place = 'export interface Place { a: 1 }';
    expect(doubled(place, 'interface Place {}', "export type { Place } from './0.ts';")).toEqual(
      [],
    );
  });
});
