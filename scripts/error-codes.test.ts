import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemWords } from '../collector/src/api/pc-problems.ts';
import { documentedCodes, errorClasses, errorCodes, unionCodes } from './lib/error-codes.ts';
import { readSources } from './lib/sources.ts';

const root = join(import.meta.dirname, '..');
const sources = readSources(root);
const declared = errorCodes(sources);
const documented = documentedCodes(readFileSync(join(root, 'docs', 'errors.md'), 'utf8'));
const names = (codes: readonly { room: string; code: string }[]) =>
  codes.map(({ room, code }) => `${room} ${code}`).sort();

describe('docs/errors.md', () => {
  it('has a row for every code of the source, in the section of its room', () => {
    const rows = new Set(names(documented));
    expect(names(declared).filter((name) => !rows.has(name))).toEqual([]);
  });

  it('has no row for a code that the source no longer has', () => {
    const codes = new Set(names(declared));
    expect(names(documented).filter((name) => !codes.has(name))).toEqual([]);
  });

  it('has each code once, with a meaning and what to do', () => {
    expect(names(documented)).toEqual([...new Set(names(documented))]);
    expect(documented.filter(({ meaning, remedy }) => meaning === '' || remedy === '')).toEqual([]);
  });
});

describe('the error codes of the source', () => {
  it('stand in one table of their room each, so that a code says where it comes from', () => {
    const codes = names(declared);
    expect(codes.filter((code, at) => codes.indexOf(code) !== at)).toEqual([]);
  });

  it('are spelled UPPER_SNAKE', () => {
    expect(declared.filter(({ code }) => !/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(code))).toEqual([]);
  });

  it('have a doc comment with the meaning', () => {
    expect(declared.filter(({ explained }) => !explained).map(({ code }) => code)).toEqual([]);
  });
});

describe('a class of errors', () => {
  const classes = errorClasses(sources);
  // RelayedError repeats a code that came over the socket, and has none of its own.
  const own = classes.filter(({ name }) => name !== 'RelayedError');

  it('has a table that says of each code whether waiting helps', () => {
    expect(own.length).toBeGreaterThan(20);
    expect(own.filter(({ hasCodes }) => !hasCodes).map(({ name }) => name)).toEqual([]);
  });

  it('is made of code, message and options', () => {
    const odd = own.filter(
      ({ parameters }) => parameters !== undefined && parameters.join() !== 'code,message,options',
    );
    expect(odd.map(({ path, name }) => `${path} ${name}`)).toEqual([]);
  });
});

describe('the problems of a PC', () => {
  it('each have words at central IT', () => {
    const codes = unionCodes(sources, 'ProblemCode').filter(({ room }) => room === 'agent');
    expect(codes.length).toBeGreaterThan(10);
    expect(
      codes.map(({ code }) => code).filter((code) => problemWords(code) === undefined),
    ).toEqual([]);
  });
});
