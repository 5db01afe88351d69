import fc from 'fast-check';
import { expect, test } from 'vitest';
import { portWith, systemError } from '../../testing/capture/bench.ts';
import { fromText } from './paths.ts';
import { compileRules, excludedFrom, type WalkRules } from './rules.ts';
import type { SourcePort, SourceStat } from './source-port.ts';
import { walk } from './walk.ts';

/** A made-up file system: folders are maps. */
type Tree = { [name: string]: Tree | string };

function treePort(tree: Tree): SourcePort {
  const find = (path: Buffer): Tree | string => {
    let here: Tree | string = tree;
    for (const name of path.toString('latin1').split('/').slice(2)) {
      if (typeof here === 'string' || here[name] === undefined) throw systemError('ENOENT');
      here = here[name];
    }
    return here;
  };
  const stat = (kind: SourceStat['kind']): SourceStat => ({
    kind,
    size: 1,
    mtimeNs: 1n,
    ctimeNs: 1n,
    ino: 1n,
    dev: 1n,
    mode: 0o644,
  });
  return portWith({
    lstat: (path) => stat(typeof find(path) === 'string' ? 'file' : 'directory'),
    readdir: (path) => Object.keys(find(path)),
  });
}

const rulesOf = (rules: Partial<WalkRules>) =>
  compileRules({ exclude: [], folderResults: [], leaveOut: [], ...rules }, 'posix');
const excluding = (...globs: string[]) => ({
  exclude: globs.map((glob) => ({ glob, below: '/r' })),
});
const walked = (tree: Tree, rules: Partial<WalkRules> = {}) => [
  ...walk(treePort(tree), '/r', rulesOf(rules), '/r', undefined, 'posix'),
];
const pathsOf = (tree: Tree, rules: Partial<WalkRules> = {}) =>
  walked(tree, rules).flatMap((found) => (found.type === 'excluded' ? [] : [found.path]));

test('a walk comes in the byte order of whole paths, whatever the names', () => {
  // Bytes around the separator are where a folder's content and its siblings interleave.
  const name = fc.string({
    unit: fc.constantFrom('a', 'b', '!', '.', '-', '0', '\u00ff', ' '),
    minLength: 1,
    maxLength: 3,
  });
  const tree = fc.letrec<{ tree: Tree; node: Tree | string }>((tie) => ({
    node: fc.oneof({ maxDepth: 4 }, fc.constant('file'), tie('tree')),
    tree: fc.dictionary(name, tie('node'), { maxKeys: 6 }),
  })).tree;
  const list = (at: string, node: Tree | string): string[] => [
    at,
    ...(typeof node === 'string'
      ? []
      : Object.entries(node).flatMap(([child, below]) => list(`${at}/${child}`, below))),
  ];
  fc.assert(
    fc.property(tree, (root) => {
      expect(pathsOf(root)).toEqual(list('/r', root).sort((a, b) => (a < b ? -1 : 1)));
    }),
    { numRuns: 300 },
  );
});

test('a folder’s content comes after siblings that sort between the folder and its separator', () => {
  expect(pathsOf({ run: { a: 'f' }, 'run.txt': 'f', 'run!': { b: 'f' } })).toEqual([
    '/r',
    '/r/run',
    '/r/run!',
    '/r/run!/b',
    '/r/run.txt',
    '/r/run/a',
  ]);
});

for (const [what, exclude, expected] of [
  ['a name anywhere', ['*.tmp'], ['/r', '/r/d', '/r/d/a']],
  ['a folder and all below it', ['d'], ['/r', '/r/x.tmp']],
  ['a whole path', ['/r/d'], ['/r', '/r/x.tmp']],
  ['a path below any folder', ['**/d/*'], ['/r', '/r/d', '/r/x.tmp']],
] as const) {
  test(`an exclude can name ${what}`, () => {
    expect(pathsOf({ d: { a: 'f' }, 'x.tmp': 'f' }, excluding(...exclude))).toEqual(expected);
  });
}

test('each pattern’s share is counted, and a folder that is taken whole is not walked', () => {
  const tree = {
    scratch: { deep: { a: 'f' }, b: 'f' },
    'x.tmp': 'f',
    d: { 'y.tmp': 'f', keep: 'f' },
  };
  expect(walked(tree, excluding('*.tmp', 'scratch')).at(-1)).toMatchObject({
    type: 'excluded',
    path: '/r',
    excluded: {
      counts: [
        { glob: '*.tmp', files: 2, folders: 0 },
        { glob: 'scratch', files: 0, folders: 1 },
      ],
      left: 1,
    },
  });
  expect(walked({ a: 'f' }, excluding('*.tmp')).at(-1)).toMatchObject({ type: 'item' });
});

for (const [what, tree, globs] of [
  ['every file', { a: 'f', b: 'f' }, ['*']],
  ['the files of every folder', { d: { 'a.tmp': 'f' }, e: { 'b.tmp': 'f' } }, ['*.tmp']],
  ['the root by its whole path', { a: 'f' }, ['/r']],
] as const) {
  test(`nothing is left where patterns take ${what}`, () => {
    const last = walked(tree as Tree, excluding(...globs)).at(-1);
    expect(last?.type === 'excluded' && last.excluded.left).toBe(0);
  });
}

test('the agent’s own folder is left out wherever it lies', () => {
  expect(pathsOf({ own: { secret: 'f' }, owner: 'f' }, { leaveOut: ['/r/own'] })).toEqual([
    '/r',
    '/r/owner',
  ]);
});

test('P6: a path below an excluded folder counts as excluded, its neighbours do not', () => {
  const rules = rulesOf(excluding('scratch'));
  expect(excludedFrom(rules, '/r/scratch/deep/x', '/r', 'posix')).toBe(true);
  expect(excludedFrom(rules, '/r/scratchy/x', '/r', 'posix')).toBe(false);
});

test('the topmost folder result counts, and a file by such a name is none', () => {
  const rules = rulesOf({ folderResults: ['*.D', '*.raw'] });
  expect(rules.resultOf('/r/a.D/b.raw/x', '/r', false)).toBe('/r/a.D');
  expect(rules.resultOf('/r/x/b.raw', '/r', true)).toBe('/r/x/b.raw');
  expect(rules.resultOf('/r/x/b.raw', '/r', false)).toBeUndefined();
  expect(rules.resultOf('/r/x', '/r', false)).toBeUndefined();
});

test('a root that is missing is one problem', () => {
  const port = portWith({
    lstat: () => {
      throw systemError('ENOENT');
    },
  });
  expect([...walk(port, fromText('/nowhere', '/'), rulesOf({}))]).toMatchObject([
    { type: 'problem', problem: { code: 'root-missing' } },
  ]);
});

test('a watched folder on a drive that the service does not see is named as that, with the share to write instead', () => {
  const seeing = (...there: string[]) =>
    portWith({
      lstat: (path) => {
        if (there.includes(path.toString())) return treePort({}).lstat(Buffer.from('/r'));
        throw systemError('ENOENT');
      },
    });
  const said = (port: SourcePort) =>
    [...walk(port, 'X:\\Data\\hplc', rulesOf({}))].map(
      (found) => found.type === 'problem' && found.problem.message,
    );
  expect(said(seeing())).toEqual([
    expect.stringMatching(/the service sees no drive X:.*\\\\server\\share\\Data\\hplc/),
  ]);
  expect(said(seeing('X:\\'))).toEqual([
    'is not there; if it is on a removable or network drive, connect it',
  ]);
});
