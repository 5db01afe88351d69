import { describe, expect, it } from 'vitest';
import { portWith } from '../../testing/capture/bench.ts';
import { SeenMembers } from '../queue/intake/results.ts';
import type { KnownStat } from '../queue/log/facts.ts';
import { encodeColumns, type KnownRow, packKnown } from '../queue/log/known-block.ts';
import { CONTENT_TAG_BYTES } from '../queue/log/payloads.ts';
import { type BytePath, isSamePath, isWithin } from '../source/paths.ts';
import { compileRules, excludedFrom, type WalkRules } from '../source/rules.ts';
import type { SourcePort, SourceStat } from '../source/source-port.ts';
import { walk } from '../source/walk.ts';
import { Comparison, type Difference } from './comparison.ts';

/** A path or name as binary string. */
const b = (text: string): BytePath => Buffer.from(text).toString('latin1');
const shown = (path: BytePath): string => Buffer.from(path, 'latin1').toString();
const none: WalkRules = { exclude: [], folderResults: [], leaveOut: [] };
const stat = (kind: SourceStat['kind']): SourceStat => ({
  kind,
  size: 1,
  mtimeNs: 1n,
  ctimeNs: 1n,
  ino: 1n,
  dev: 1n,
  mode: 0,
});

/** A drive of these folders, which tells no case apart. */
function drive(folders: Readonly<Record<string, readonly string[]>>): SourcePort {
  const inOneCase = new Map(
    Object.entries(folders).map(([path, names]) => [path.toLowerCase(), names]),
  );
  return portWith({
    lstat: (path) => stat(inOneCase.has(path.toString().toLowerCase()) ? 'directory' : 'file'),
    readdir: (path) => (inOneCase.get(path.toString().toLowerCase()) ?? []).map(b),
  });
}

const found = (port: SourcePort, root: string, rules: WalkRules = none) => [
  ...walk(port, b(root), compileRules(rules, 'windows'), b(root), undefined, 'windows'),
];

const known = (name: string): KnownRow => {
  const path = Buffer.from(name);
  const stat: KnownStat = {
    ...{ path, kind: 'file', size: 1, mtimeNs: 1n, ctimeNs: 1n, ino: 1n, mode: 0 },
    ...{ contentTag: new Uint8Array(CONTENT_TAG_BYTES).fill(1), capturedAtMs: 5_000_000 },
    resultPathLength: 0,
  };
  return { path, columns: encodeColumns({ entry: 1, stat }) };
};

/** What a comparison tells of a drive on which these files were known. */
function differences(port: SourcePort, root: string, before: readonly string[]): string[] {
  const rules = compileRules(none, 'windows');
  const comparison = new Comparison(
    walk(port, b(root), rules, b(root), undefined, 'windows'),
    { root: b(root), nowMs: 1e13, wanted: undefined },
    rules,
    'windows',
  );
  comparison.give(
    packKnown(before.map(known)).map(({ bytes }) => bytes),
    true,
  );
  const { differences: told, last } = comparison.step();
  expect(last).toBe(true);
  return told.filter((one) => !isFolder(one)).map(words);
}

const isFolder = (one: Difference): boolean =>
  one.type === 'put' && one.item.stat.kind === 'directory';

function words(one: Difference): string {
  if (one.type !== 'put' && one.type !== 'same')
    return `${one.type} ${one.type === 'alike' ? '' : shown(one.path)}`;
  return `${one.known === undefined ? 'new' : one.type} ${shown(one.item.path)}`;
}

describe('on Windows case tells no paths apart', () => {
  it('for what was seen of a folder result, and what is known of it', () => {
    const seen = (path: string): string => {
      const members = new SeenMembers();
      members.add(b(path), 'file', 1, 1n);
      return members.digest();
    };
    expect(seen('D:\\Data\\RUN.D\\a')).toBe(seen('D:\\data\\run.D\\a'));
    expect(seen('\\\\server\\RUN.D\\ä')).toBe(seen('\\\\server\\run.D\\Ä'));
    expect(seen('/data/RUN.D/a')).not.toBe(seen('/data/run.D/a'));
  });

  it('for what lies in what', () => {
    expect(
      isWithin(b('C:\\ProgramData\\Aliquot\\agent\\x'), b('c:\\programdata\\aliquot'), 'windows'),
    ).toBe(true);
    expect(isWithin(b('C:\\DATA'), b('c:\\data'), 'windows')).toBe(true);
    expect(isWithin(b('C:\\Data-2'), b('c:\\data'), 'windows')).toBe(false);
    expect(isWithin(b('C:\\LÄUFE\\a'), b('C:\\läufe'), 'windows')).toBe(true);
    expect(isSamePath(b('C:\\Data'), b('c:\\data'), 'windows')).toBe(true);
    expect(isWithin('/Data/x', '/data', 'posix')).toBe(false);
  });

  it('for the agent’s own folder, which is never taken, however the source was typed', () => {
    const rules = compileRules(
      { ...none, leaveOut: [b('C:\\ProgramData\\Aliquot\\agent')] },
      'windows',
    );
    expect(rules.excluded(b('c:\\programdata\\aliquot\\AGENT'))).toBe(true);
    expect(
      excludedFrom(
        rules,
        b('c:\\programdata\\aliquot\\agent\\identity\\key'),
        b('c:\\programdata'),
        'windows',
      ),
    ).toBe(true);
    expect(rules.excluded(b('c:\\programdata\\aliquot\\agent2'))).toBe(false);
    const seen = found(
      drive({
        'C:\\programdata': ['Aliquot'],
        'C:\\programdata\\Aliquot': ['Agent', 'x'],
        'C:\\programdata\\Aliquot\\Agent': ['key'],
      }),
      'C:\\programdata',
      { ...none, leaveOut: [b('C:\\ProgramData\\Aliquot\\agent')] },
    );
    expect(seen.map((one) => shown(one.path))).toEqual([
      'C:\\programdata',
      'C:\\programdata\\Aliquot',
      'C:\\programdata\\Aliquot\\x',
    ]);
  });

  it('for globs of folder results and excludes', () => {
    const rules = compileRules(
      {
        ...none,
        folderResults: ['*.d', '*.Raw'],
        exclude: [{ glob: 'C:\\DATA\\*.TMP', below: b('C:\\Data') }],
      },
      'windows',
    );
    expect(rules.folderResult(b('C:\\Data\\RUN1.D'))).toBe(true);
    expect(rules.folderResult(b('C:\\Data\\run1.RAW'))).toBe(true);
    expect(rules.resultOf(b('C:\\Data\\RUN1.D\\a\\b'), b('c:\\data'), false)).toBe(
      b('C:\\Data\\RUN1.D'),
    );
    expect(rules.excluded(b('C:\\Data\\a.tmp'))).toBe(true);
    expect(
      compileRules({ ...none, folderResults: ['*.d'] }, 'posix').folderResult('/data/RUN.D'),
    ).toBe(false);
  });
});

describe('a rename in case alone', () => {
  it('is no new file, and the old name is not gone', () => {
    const port = drive({
      'C:\\Data': ['A.TXT', 'b.txt', 'RUN', 'Run.txt', 'z'],
      'C:\\Data\\RUN': ['One', 'TWO'],
    });
    const before = [
      'C:\\data\\a.txt',
      'C:\\data\\B.TXT',
      'C:\\data\\Run.txt',
      'C:\\data\\run\\one',
      'C:\\data\\run\\two',
      'C:\\data\\Z',
    ];
    expect(differences(port, 'C:\\Data', before)).toEqual([
      'same C:\\Data\\A.TXT',
      'same C:\\Data\\b.txt',
      'same C:\\Data\\Run.txt',
      'same C:\\Data\\RUN\\One',
      'same C:\\Data\\RUN\\TWO',
      'same C:\\Data\\z',
    ]);
  });

  it('leaves apart what is new and what is gone', () => {
    const port = drive({ 'C:\\Data': ['A', 'c'] });
    expect(differences(port, 'C:\\Data', ['C:\\data\\a', 'C:\\data\\b'])).toEqual([
      'same C:\\Data\\A',
      'absent C:\\data\\b',
      'new C:\\Data\\c',
    ]);
  });
});

it('two names of a folder that minds case are named, and one of them is kept', () => {
  const seen = found(drive({ 'C:\\Data': ['run', 'RUN', 'x'] }), 'C:\\Data');
  expect(seen.map((one) => `${one.type} ${shown(one.path)}`)).toEqual([
    'item C:\\Data',
    'item C:\\Data\\RUN',
    'problem C:\\Data\\run',
    'item C:\\Data\\x',
  ]);
});
