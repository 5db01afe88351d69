import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { NO_RAW_NAMES, posixOnly } from '@aliquot/shared/testing/platform';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { weaken } from '../../testing/kits.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
/** Names that mean something else as patterns, beside what they would match. */
const odd = [
  'a[1].csv',
  'a1.csv',
  '[.txt',
  ']x',
  '[].txt',
  '!(n).csv',
  'star*.csv',
  'star1.csv',
  '{x,y}.csv',
  'x.csv',
  '+(a)',
  'b\\*',
  'b*',
];
const BYTES = new Uint8Array(
  Buffer.concat([Buffer.from('/d/raw'), Buffer.from([0xff]), Buffer.from('.d')]),
);

let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
const kit = () => ['--kit', join(dir, 'lab.kit')];
const agent = ['--agent', 'pc'];
const tried = (...args: string[]) => aliquot(args, { url, token });
let round = 0;

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-exact-'));
  expect((await aliquot(['init', '--data', join(dir, 'data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(join(dir, 'data', 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', join(dir, 'data'), '--listen', '127.0.0.1:0']));
  expect((await tried('kit', 'create', '--out', join(dir, 'lab.kit'), '--vault', 'lab')).code).toBe(
    0,
  );
  await weaken(join(dir, 'lab.kit'), PASSPHRASE);
  expect((await tried('vault', 'add', ...kit())).code).toBe(0);
  const enrolled = async (name: string): Promise<SessionTestAgent> => {
    const bundle = join(dir, `${name}.bundle`);
    expect((await tried('enroll', name, ...kit(), '--out', bundle)).code).toBe(0);
    const pc = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
    await pc.enrol(pc.bundle.url);
    await pc.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
    return pc;
  };
  const pc = await enrolled('pc');
  const file = (path: string | Uint8Array, words: string) => ({
    path,
    bytes: new Uint8Array(Buffer.from(words)),
  });
  await pc.backUp([
    ...odd.map((name) => file(`/d/${name}`, name)),
    file(BYTES, 'raw'),
    file('/d/gone', 'was there'),
  ]);
  await pc.backUp([file('/d/x.csv', 'second'), { path: '/d/gone' }]);
  const full = await enrolled('full');
  await full.backUp(Array.from({ length: 1200 }, (_, n) => file(`/many/${n}.dat`, '')));
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

async function restored(
  ...options: string[]
): Promise<{ code: number; files: string[]; said: string; to: string }> {
  round += 1;
  const to = join(dir, `to-${round}`);
  const { code, stdout, stderr } = await tried(
    'restore',
    ...kit(),
    ...agent,
    ...options,
    '--to',
    to,
  );
  const names = await readdir(to, { recursive: true, encoding: 'latin1' }).catch(() => []);
  return {
    code,
    files: names.filter((name) => !/^d$/.test(name)).toSorted(),
    said: stdout + stderr,
    to,
  };
}

describe.runIf(posixOnly('these names cannot be on a disk of Windows'))(
  'a path that is there as it is spelled',
  () => {
    it.each(odd)('%s means itself, in restore, ls, diff, versions and cat', async (name) => {
      const path = `/d/${name}`;
      expect(await restored('--path', path)).toMatchObject({ code: 0, files: [`d/${name}`] });
      for (const from of [[], kit()]) {
        const ls = await tried('ls', ...from, ...agent, '--path', path, '--json');
        expect(ls.lines.map((line) => (line as { path: string }).path)).toEqual([path]);
      }
      const diff = await tried(
        'diff',
        ...agent,
        '--from',
        '1d',
        '--to',
        'latest',
        '--path',
        path,
        '--json',
      );
      expect(diff.lines.map((line) => (line as { path: string }).path)).toEqual([path]);
      expect((await tried('versions', ...agent, '--path', path)).code).toBe(0);
      expect((await tried('cat', ...kit(), ...agent, '--path', path)).stdout).toBe(
        name === 'x.csv' ? 'second' : name,
      );
    });

    it('is a pattern where it is not, also one that matches more than is kept in memory', async () => {
      expect((await restored('--path', '/d/star?.csv')).files).toEqual([
        'd/star*.csv',
        'd/star1.csv',
      ]);
      expect((await restored('--path', '/d/{a1,x}.csv')).files).toEqual(['d/a1.csv', 'd/x.csv']);
      const many = await tried('ls', '--agent', 'full', '--path', '/many/*.dat', '--json');
      expect(many.lines).toHaveLength(1200);
      expect((await tried('ls', ...agent, '--path', '/d/[', '--json')).code).toBe(2);
    });

    it('was deleted: the answer says when, and how to have it back', async () => {
      const { code, said } = await restored('--path', '/d/gone');
      expect([code, said]).toEqual([
        1,
        expect.stringMatching(
          /\/d\/gone was deleted, as captured \d{4}-.* UTC; .*versions --agent pc/,
        ),
      ]);
    });
  },
);

describe('--path-file', () => {
  it.runIf(posixOnly(NO_RAW_NAMES))(
    'takes exact names, of any bytes, and names those that are not there',
    async () => {
      const file = join(dir, 'names');
      await writeFile(file, '/d/a[1].csv\n/d/star*.csv\n/d/raw\\xff.d\n');
      const all = await restored('--path-file', file);
      expect([all.code, all.files]).toEqual([0, ['d/a[1].csv', 'd/raw\xff.d', 'd/star*.csv']]);
      await writeFile(
        file,
        Buffer.concat([BYTES, Buffer.from([0]), Buffer.from('/d/*\0/d/x.csv')]),
      );
      const some = await restored('--path-file', file, '-0');
      expect([some.code, some.files]).toEqual([3, ['d/raw\xff.d', 'd/x.csv']]);
      expect(some.said).toContain('not there: /d/*\n');
      const ls = await tried('ls', ...agent, '--path-file', file, '-0', '--json');
      expect([ls.code, ls.lines.length]).toEqual([3, 3]);
      await writeFile(file, '/nothing');
      expect((await restored('--path-file', file)).code).toBe(1);
      expect((await restored('--path-file', file, '--path', '/d')).code).toBe(2);
      expect((await restored('-0')).code).toBe(2);
    },
  );
});

describe('--version', () => {
  it('means one version, by its id or a beginning that no other has', async () => {
    const versions = await tried('versions', ...agent, '--path', '/d/x.csv', '--json');
    const [first, second] = versions.lines.map((line) => (line as { version: string }).version);
    for (const [id = '', content] of [
      [first, 'x.csv'],
      [second, 'second'],
    ] as const) {
      expect((await tried('cat', ...kit(), ...agent, '--version', id)).stdout).toBe(content);
      expect(
        (await tried('cat', ...kit(), ...agent, '--version', id.slice(0, 6), '--path', '/d/x.csv'))
          .stdout,
      ).toBe(content);
      const { code, files, to } = await restored('--version', id);
      expect([code, files]).toEqual([0, [join('d', 'x.csv')]]);
      expect(await readFile(join(to, 'd/x.csv'), 'utf8')).toBe(content);
    }
    const short = first?.slice(0, 8) ?? '';
    expect(await restored('--version', short)).toMatchObject({
      code: 2,
      said: expect.stringMatching(/is not enough: .*; give the whole id/),
    });
  });

  it('is refused in words when it is none, unknown, a deletion, or given beside a time', async () => {
    expect(await restored('--version', 'latest')).toMatchObject({
      code: 2,
      said: expect.stringContaining('aliquot --version'),
    });
    expect(await restored('--version', '0000000000000000.0')).toMatchObject({
      code: 1,
      said: expect.stringContaining('has no version'),
    });
    expect(await restored('--version', '00000000.0', '--at', '3d')).toMatchObject({ code: 2 });
    const gone = await tried('versions', ...agent, '--path', '/d/gone', '--json');
    const id = (gone.lines.at(-1) as { version: string }).version;
    expect(await restored('--version', id)).toMatchObject({
      code: 1,
      said: expect.stringContaining('was deleted'),
    });
    expect((await tried('--version')).stdout).toMatch(/^\d+\.\d+/);
    expect(await tried('cat', ...kit(), ...agent)).toMatchObject({ code: 2 });
  });
});
