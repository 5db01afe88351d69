import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { describe, expect, it } from 'vitest';
import { toBase64 } from '../api/base64.ts';
import type { NameRow } from '../api/messages.ts';
import { asRecorded, mtimeMs, pathJson, pathOf } from './paths.ts';

const row = (fields: Partial<NameRow>): NameRow => ({
  agent: 'a',
  path: '',
  platform: 'posix',
  kind: 'file',
  size: 0,
  mtimeNs: '0',
  mode: 0,
  linkTarget: '',
  class: 'default',
  completion: 'assumed',
  capturedAtMs: 0,
  versionTimeMs: 0,
  receivedAtMs: 0,
  fileId: '0'.repeat(64),
  version: 'x.0',
  ...fields,
});

describe('paths on the command line', () => {
  it.each([
    ['/data/run.D', '/data/run.D'],
    ['/data/run.D/', '/data/run.D'],
    ['/data/odd\\', '/data/odd\\'],
    ['/', '/'],
    ['C:/Data/run.D/', 'C:\\Data\\run.D'],
    ['C:\\', 'C:\\'],
    ['\\\\srv\\share\\run.D\\', '\\\\srv\\share\\run.D'],
  ])('mean a folder as its PC recorded it: %s', (typed, recorded) => {
    expect(asRecorded(typed)).toBe(recorded);
  });

  it('mean their UTF-8 bytes', () => {
    expect(pathCandidates('/data/ü').map(toBase64)).toEqual([toBase64(Buffer.from('/data/ü'))]);
  });

  it('may be pasted from a listing although the name is no UTF-8', () => {
    const bytes = Buffer.concat([
      Buffer.from('/data/'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('.raw'),
    ]);
    const listed = pathOf(row({ path: toBase64(bytes) }));
    expect(pathCandidates(listed).map(toBase64)).toContain(toBase64(bytes));
    expect(pathJson(row({ path: toBase64(bytes) }))).toEqual({
      path: listed,
      pathBytes: toBase64(bytes),
    });
  });

  it('may hold such letters themselves', () => {
    const bytes = Buffer.from('/data/\\xff');
    expect(pathCandidates('/data/\\xff').map(toBase64)).toContain(toBase64(bytes));
  });

  it('carry no exact bytes in JSON when the text says it all', () => {
    expect(pathJson(row({ path: toBase64(Buffer.from('/data/ü')) }))).toEqual({ path: '/data/ü' });
  });
});

describe('file times', () => {
  it.each([
    ['1700000000123999999', 1_700_000_000_123],
    ['0', 0],
    ['-1', -1],
    ['-1000000', -1],
    ['-1000001', -2],
  ])('%s nanoseconds are %d ms', (mtimeNs, expected) => {
    expect(mtimeMs(row({ mtimeNs }))).toBe(expected);
  });
});
