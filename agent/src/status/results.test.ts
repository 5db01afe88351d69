import { posixOnly } from '@aliquot/shared/testing/platform';
import { expect, test } from 'vitest';
import { collect } from '../../testing/queue/support.ts';
import type { FolderStanding } from '../queue/intake/results.ts';
import type { FileProblem, KnownFile } from '../queue/ledger/ledger.ts';
import { results } from './results.ts';

const file = (path: string, over: Partial<KnownFile> = {}): KnownFile => ({
  path: Buffer.from(path),
  kind: 'file',
  size: 10,
  mtimeNs: 0n,
  ctimeNs: 0n,
  ino: 0n,
  mode: 0o644,
  contentTag: new Uint8Array(32),
  capturedAtMs: 5,
  resultPathLength: 0,
  state: 'safe',
  entry: 1,
  ...over,
});
const problem = (path: string): FileProblem => ({
  path: Buffer.from(path),
  code: 'unreadable',
  message: 'locked',
  sinceMs: 1,
});

async function* stream(files: readonly KnownFile[]): AsyncGenerator<KnownFile> {
  yield* files;
}

const whole: FolderStanding = {
  row: { progress: 'closed', grade: 'assumed', members: 3 },
  isSafe: true,
  isOwed: false,
};

const statesOf = async (
  files: readonly KnownFile[],
  problems: readonly FileProblem[] = [],
  settling: readonly string[] = [],
  capturing: readonly string[] = [],
  standings: Readonly<Record<string, FolderStanding>> = {},
) => {
  const standing = async (folder: Uint8Array) => standings[Buffer.from(folder).toString()] ?? whole;
  const sources = { problems, settling, capturing, standing };
  return (await collect(results(stream(files), sources))).map(
    ({ path, state, files: count }) => `${state} ${path} ${count}`,
  );
};

test('files are results, plain folders are not', async () => {
  expect(
    await statesOf([
      file('/d', { kind: 'directory' }),
      file('/d/a'),
      file('/d/b', { state: 'queued' }),
    ]),
  ).toEqual(['safe /d/a 1', 'queued /d/b 1']);
});

test('a folder result is one result, and queued as long as one member is', async () => {
  const inside = { resultPathLength: 4 };
  const files = [
    file('/r.D', { kind: 'directory', ...inside }),
    file('/r.D!'),
    file('/r.D/a', inside),
    file('/r.D/b', { state: 'queued', ...inside }),
    file('/z'),
  ];
  expect(await statesOf(files)).toEqual(['safe /r.D! 1', 'queued /r.D 2', 'safe /z 1']);
});

test.runIf(posixOnly('its paths are those of POSIX'))(
  'P6: a folder result names the member that is not protected',
  async () => {
    const files = [file('/r.D/x', { resultPathLength: 4 })];
    const sources = { problems: [problem('/r.D/sub/y')], settling: [], capturing: [] };
    const [result] = await collect(
      results(stream(files), { ...sources, standing: async () => whole }),
    );
    expect(result).toMatchObject({ state: 'problem', problem: { message: 'sub/y: locked' } });
  },
);

test('P6: a folder of which members came after its row, or are missing, is never safe', async () => {
  const inside = (state: 'safe' | 'queued') => ({ resultPathLength: 4, state });
  const rows = {
    '/a.D': { ...whole, isOwed: true },
    '/b.D': { row: undefined, isSafe: false, isOwed: true },
    '/c.D': { ...whole, isSafe: false },
    '/d.D': { ...whole, isOwed: true },
  };
  const files = [
    ...['/a.D', '/b.D', '/c.D'].map((root) => file(`${root}/x`, inside('safe'))),
    file('/d.D/x', inside('queued')),
    file('/e.D/x', inside('safe')),
  ];
  expect(await statesOf(files, [], [], [], rows)).toEqual([
    ...['open /a.D 1', 'open /b.D 1', 'queued /c.D 1', 'open /d.D 1', 'safe /e.D 1'],
  ]);
});

test.runIf(posixOnly('its paths are those of POSIX'))(
  'P6: a problem shows on its result, in its folder result, and by itself when nothing is known',
  async () => {
    const inside = { resultPathLength: 4 };
    const files = [
      file('/a'),
      file('/r.D', { kind: 'directory', ...inside }),
      file('/r.D/x', inside),
      file('/s'),
    ];
    expect(await statesOf(files, [problem('/r.D/y'), problem('/never'), problem('/a')])).toEqual([
      'problem /a 1',
      'problem /r.D 1',
      'safe /s 1',
      'problem /never 0',
    ]);
  },
);

test('a result in the making is settling, known or not', async () => {
  expect(
    await statesOf([file('/a'), file('/d', { kind: 'directory' })], [], ['/a', '/new', '/d']),
  ).toEqual(['settling /a 1', 'settling /new 0']);
});

test('P6: what is complete and in no queue yet is being captured, known or not, also when it was still being written a moment ago', async () => {
  expect(await statesOf([file('/a')], [], ['/a', '/b'], ['/a', '/new'])).toEqual([
    'capturing /a 1',
    'settling /b 0',
    'capturing /new 0',
  ]);
});

test('what never rests is still being written, not unprotected; with another problem it is', async () => {
  const unsettled = { ...problem('/log'), code: 'unsettled' };
  expect(await statesOf([file('/log')], [unsettled])).toEqual(['settling /log 1']);
  expect(await statesOf([], [unsettled])).toEqual(['settling /log 0']);
  expect(await statesOf([file('/log')], [unsettled], ['/log'], ['/log'])).toEqual([
    'capturing /log 1',
  ]);
  expect(await statesOf([file('/log')], [problem('/log')], ['/log'])).toEqual(['problem /log 1']);
});
