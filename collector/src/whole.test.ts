import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { systemRandom } from '@aliquot/shared/ports';
import { privateMode } from '@aliquot/shared/testing/platform';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../testing/cli.ts';
import { weaken } from '../testing/kits.ts';
import { socketWire } from '../testing/wire.ts';
import { AGENT_PATH } from './ingest/upgrade.ts';

const CONTENT = new Uint8Array(Buffer.from('time;signal\n'.repeat(50_000)));
const RAW_NAME = new Uint8Array(
  Buffer.concat([Buffer.from('/data/run1/'), Buffer.from([0xff, 0xfe]), Buffer.from('.raw')]),
);

let dir: string;
let url: string;
let stop: () => Promise<CliResult>;
let token: string;
const PASSPHRASE = 'correct horse battery staple';
const kit = () => join(dir, 'lab.kit');

/** Runs a command that must succeed. */
async function ok(...args: string[]): Promise<CliResult> {
  const result = await aliquot(args, { url, token });
  expect(result.stderr.split('\n').filter((line) => line.startsWith('aliquot:'))).toEqual([]);
  expect(result.code).toBe(0);
  return result;
}

const tried = (...args: string[]) => aliquot(args, { url, token });

async function enrolled(name: string, ...options: string[]): Promise<SessionTestAgent> {
  const file = join(dir, `${name}.bundle`);
  await ok('enroll', name, '--kit', kit(), '--out', file, ...options);
  expect((await stat(file)).mode & 0o777).toBe(privateMode);
  const agent = new SessionTestAgent(openBundle(await readFile(file, 'utf8'), Date.now()));
  await agent.enrol(agent.bundle.url);
  return agent;
}

async function connected(agent: SessionTestAgent): Promise<void> {
  await agent.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-whole-'));
  expect((await aliquot(['init', '--data', join(dir, 'data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(join(dir, 'data', 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', join(dir, 'data'), '--listen', '127.0.0.1:0']));
  await ok('kit', 'create', '--out', kit(), '--vault', 'lab');
  await weaken(kit(), PASSPHRASE);
  await ok('vault', 'add', '--kit', kit());
});

afterAll(async () => {
  const ended = await stop();
  expect(ended.code).toBe(0);
  expect(ended.stderr).not.toContain(token);
  expect(ended.stderr).not.toContain('run1');
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('from nothing to a file that came back', () => {
  let agent: SessionTestAgent;
  let between: string;

  beforeAll(async () => {
    agent = await enrolled('hplc-1');
    await connected(agent);
    await agent.backUp([
      { path: '/data/run1/signal.csv', bytes: CONTENT, chunkBytes: 20_000 },
      { path: '/data/run1/empty', bytes: new Uint8Array(0) },
      { path: RAW_NAME, bytes: systemRandom.bytes(3000) },
    ]);
    between = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await agent.backUp([
      { path: '/data/run1/signal.csv', bytes: new Uint8Array(Buffer.from('shorter now')) },
      { path: '/data/run1/empty' },
      { path: '/data/run2/new.csv', bytes: new Uint8Array(Buffer.from('new')) },
    ]);
  });

  it('P2: restore gives the bytes and times of now, proved', async () => {
    const to = join(dir, 'now');
    const { lines } = await ok(
      'restore',
      '--kit',
      kit(),
      '--agent',
      'hplc-1',
      '--to',
      to,
      '--json',
    );
    expect(lines).toEqual([expect.objectContaining({ event: 'summary', files: 3, failed: 0 })]);
    expect(await readFile(join(to, 'data/run1/signal.csv'), 'utf8')).toBe('shorter now');
    expect((await stat(join(to, 'data/run1/signal.csv'))).mtimeMs).toBeCloseTo(
      1_700_000_000_123.456,
      0,
    );
    await expect(stat(join(to, 'data/run1/empty'))).rejects.toThrow();
  });

  it('P2: restore --at gives the state of then, and --path a part of it', async () => {
    const to = join(dir, 'then');
    await ok(
      'restore',
      '--kit',
      kit(),
      '--agent',
      'hplc-1',
      '--at',
      between,
      '--path',
      '/data/run1',
      '--to',
      to,
    );
    expect((await readFile(join(to, 'data/run1/signal.csv'))).equals(CONTENT)).toBe(true);
    expect((await stat(join(to, 'data/run1/empty'))).size).toBe(0);
    await expect(stat(join(to, 'data/run2'))).rejects.toThrow();
  });

  it('P2: a whole path restores that file alone, as it was at any time, and nothing once it is gone', async () => {
    const restore = ['restore', '--kit', kit(), '--agent', 'hplc-1'];
    const now = join(dir, 'one-now');
    const { lines } = await ok(
      ...restore,
      '--path',
      '/data/run1/signal.csv',
      '--to',
      now,
      '--json',
    );
    expect(lines).toEqual([expect.objectContaining({ event: 'summary', files: 1, failed: 0 })]);
    expect(await readFile(join(now, 'data/run1/signal.csv'), 'utf8')).toBe('shorter now');
    const then = join(dir, 'one-then');
    await ok(...restore, '--path', '/data/run1/signal.csv', '--at', between, '--to', then);
    expect((await readFile(join(then, 'data/run1/signal.csv'))).equals(CONTENT)).toBe(true);
    await ok(...restore, '--path', '/data/run1/empty', '--at', between, '--to', then);
    const gone = await tried(
      ...restore,
      '--path',
      '/data/run1/empty',
      '--to',
      join(dir, 'one-gone'),
    );
    expect(gone).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_NO_SUCH_FILE'),
    });
  });

  it('restores nothing, and makes no folder, when nothing matches', async () => {
    const result = await tried(
      'restore',
      '--kit',
      kit(),
      '--agent',
      'hplc-1',
      '--path',
      '/nowhere',
      '--to',
      join(dir, 'none'),
    );
    expect(result).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_NO_SUCH_FILE'),
    });
    await expect(stat(join(dir, 'none'))).rejects.toThrow();
  });

  it('ends with 3 and names the file when one cannot be restored', async () => {
    const to = join(dir, 'part');
    await ok('restore', '--kit', kit(), '--agent', 'hplc-1', '--to', to);
    await writeFile(join(to, 'data/run2/new.csv'), 'something else');
    const result = await tried(
      'restore',
      '--kit',
      kit(),
      '--agent',
      'hplc-1',
      '--to',
      to,
      '--json',
    );
    expect(result.code).toBe(3);
    expect(result.lines[0]).toMatchObject({
      event: 'failed',
      path: '/data/run2/new.csv',
      code: 'RESTORE_EXISTS',
    });
    expect(result.lines[1]).toMatchObject({ event: 'summary', failed: 1, same: 2 });
    expect(await readFile(join(to, 'data/run2/new.csv'), 'utf8')).toBe('something else');
  });

  it('ls of what is not there is an error that says what was probably meant', async () => {
    const typo = await tried('ls', '--agent', 'hplc-1', '--path', '/data/run1/signl.csv');
    expect(typo).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('did you mean /data/run1/signal.csv?'),
    });
    expect(await tried('ls', '--path', '/data/rum1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('mean /data/run'),
    });
    expect(await tried('ls', '--path', '*.xyz', '--json')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('COMMAND_NO_SUCH_FILE'),
    });
    for (const command of ['ls', 'versions', 'diff'])
      expect(
        await tried(
          command,
          '--agent',
          'hplc1',
          '--path',
          '/data/x',
          ...(command === 'diff' ? ['--from', '1d', '--to', 'latest'] : []),
        ),
      ).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('did you mean hplc-1? [COMMAND_AGENT]'),
      });
    const version = await tried('versions', '--agent', 'hplc-1', '--path', '/data/run1/sgnal.csv');
    expect(version).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did you mean /data/run1/signal.csv?'),
    });
  });

  it.each([[[]], [['--kit']]])(
    'finds every version of every agent by a part of a name, deleted files too (with %j)',
    async (extra) => {
      const options = extra.length === 0 ? [] : ['--kit', kit()];
      const found = (await ok('find', 'SIGNAL', '--json', ...options)).lines;
      expect(found.map((line) => [line['path'], line['goneSince']])).toEqual([
        ['/data/run1/signal.csv', null],
        ['/data/run1/signal.csv', null],
      ]);
      expect(found[0]?.['version']).not.toBe(found[1]?.['version']);
      const [gone] = (await ok('find', '/data/run1/empty', '--json', ...options)).lines;
      expect(gone).toMatchObject({
        agent: 'hplc-1',
        path: '/data/run1/empty',
        size: 0,
        goneSince: expect.stringMatching(/^20.*Z$/),
      });
      expect((await ok('find', 'empty', ...options)).stdout).toMatch(
        /\/data\/run1\/empty {2}\(deleted, seen .* UTC\)\n$/,
      );
      expect(await tried('find', 'nowhere', ...options)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('COMMAND_NO_SUCH_FILE'),
      });
    },
  );

  it('sorts and limits lists', async () => {
    const largest = (await ok('ls', '--sort', 'size', '--limit', '1', '--json')).lines;
    const all = (await ok('ls', '--json')).lines;
    expect(largest).toHaveLength(1);
    expect(largest[0]?.['size']).toBe(Math.max(...all.map((line) => Number(line['size']))));
    expect(
      (await ok('find', 'signal', '--sort', 'time', '--limit', '1', '--json')).lines,
    ).toHaveLength(1);
    expect(await tried('ls', '--limit', 'ten')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--limit cannot be "ten"'),
    });
    expect(await tried('ls', '--sort', 'color')).toMatchObject({ code: 2 });
  });

  it.each([[[]], [['--kit']]])('lists the files of now and of then (with %j)', async (extra) => {
    const options = extra.length === 0 ? [] : ['--kit', kit()];
    const now = await ok('ls', '--agent', 'hplc-1', '--json', ...options);
    expect(now.lines.map((line) => line['path']).sort()).toEqual([
      '/data/run1/\\xff\\xfe.raw',
      '/data/run1/signal.csv',
      '/data/run2/new.csv',
    ]);
    expect(now.lines.find((line) => line['pathBytes'])).toMatchObject({
      pathBytes: Buffer.from(RAW_NAME).toString('base64'),
      size: 3000,
    });
    expect(now.lines.find((line) => line['path'] === '/data/run1/signal.csv')).toMatchObject({
      agent: 'hplc-1',
      size: 11,
      mtime: '2023-11-14T22:13:20.123Z',
    });
    const then = await ok('ls', '--json', '--at', between, '--path', '*.csv', ...options);
    expect(then.lines.map((line) => line['path'])).toEqual(['/data/run1/signal.csv']);
  });

  it.each([[[]], [['--kit']]])(
    'lists every version of a file, its deletion too (with %j)',
    async (extra) => {
      const options = extra.length === 0 ? [] : ['--kit', kit()];
      const signal = await ok(
        'versions',
        '--agent',
        'hplc-1',
        '--path',
        '/data/run1/signal.csv',
        '--json',
        ...options,
      );
      expect(signal.lines.map((line) => line['size'])).toEqual([CONTENT.length, 11]);
      const empty = await ok(
        'versions',
        '--agent',
        'hplc-1',
        '--path',
        '/data/run1/empty',
        '--json',
        ...options,
      );
      expect(empty.lines.map((line) => line['kind'])).toEqual(['file', 'gone']);
      const raw = await ok(
        'versions',
        '--agent',
        'hplc-1',
        '--path',
        '/data/run1/\\xff\\xfe.raw',
        '--json',
        ...options,
      );
      expect(raw.lines).toHaveLength(1);
      expect(
        (await tried('versions', '--agent', 'hplc-1', '--path', '/data/nothing', ...options)).code,
      ).toBe(1);
    },
  );

  it('prints one file, of now and of then', async () => {
    expect(
      (await ok('cat', '--kit', kit(), '--agent', 'hplc-1', '--path', '/data/run1/signal.csv'))
        .stdout,
    ).toBe('shorter now');
    const then = await ok(
      'cat',
      '--kit',
      kit(),
      '--agent',
      'hplc-1',
      '--path',
      '/data/run1/signal.csv',
      '--at',
      between,
    );
    expect(then.stdout).toBe(Buffer.from(CONTENT).toString());
    const gone = await tried(
      'cat',
      '--kit',
      kit(),
      '--agent',
      'hplc-1',
      '--path',
      '/data/run1/empty',
    );
    expect(gone).toMatchObject({ code: 1, stderr: expect.stringContaining('deleted') });
  });

  it('says what came, changed and went', async () => {
    const { stdout } = await ok('diff', '--agent', 'hplc-1', '--from', between, '--to', 'latest');
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual([
      'A  /data/run2/new.csv',
      'D  /data/run1/empty',
      'M  /data/run1/signal.csv',
    ]);
  });

  it('reads everything back and compares it with what was signed', async () => {
    const { lines } = await ok('check', '--kit', kit(), '--json');
    expect(lines).toEqual([expect.objectContaining({ event: 'summary', files: 3, failed: 0 })]);
  });

  it('counts', async () => {
    const { lines } = await ok('stats', '--json');
    expect(lines[0]).toMatchObject({
      vault: 'lab',
      commits: 2,
      agents: 1,
      files: 3,
      rawBytes: CONTENT.length + 3000 + 11 + 3,
      damaged: 0,
    });
    expect((await ok('stats')).stdout).toMatch(/deduplication/);
  });

  it('lists agents, connected ones too', async () => {
    const { lines } = await ok('agents', '--json');
    expect(lines[0]).toMatchObject({
      agent: 'hplc-1',
      state: 'enrolled',
      connected: true,
      files: 3,
      problems: [],
    });
    expect((await ok('agents')).stdout).toMatch(/^connected .* hplc-1$/m);
  });

  it('knows that nothing of the log is lost', async () => {
    const { lines } = await ok('log', 'status', '--json');
    expect(lines[0]).toMatchObject({ vault: 'lab', rolledBack: false });
    expect((await ok('log', 'reopen', '--kit', kit())).stdout).toMatch(/nothing to heal/);
  });
});

describe('what is refused, in one line and with the way out', () => {
  it('making a collector in a folder that holds something', async () => {
    expect(await aliquot(['init', '--data', join(dir, 'data')])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^aliquot: [^\n]+\n$/),
    });
    expect(await aliquot(['init', '--data', dir])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^aliquot: [^\n]+\n$/),
    });
  });

  it('overwriting a kit or a bundle', async () => {
    expect(await tried('kit', 'create', '--out', kit())).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_EXISTS'),
    });
    expect(await tried('enroll', 'other', '--kit', kit(), '--out', kit())).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_EXISTS'),
    });
  });

  it('a second agent of the same name, before and after it enrolled; no bundle stays behind', async () => {
    await ok('enroll', 'waiting', '--kit', kit(), '--out', join(dir, 'waiting.bundle'));
    for (const name of ['waiting', 'hplc-1']) {
      const file = join(dir, 'second.bundle');
      expect(await tried('enroll', name, '--kit', kit(), '--out', file)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('REST_AGENT_EXISTS'),
      });
      await expect(stat(file)).rejects.toThrow();
    }
  });

  it('a wrong passphrase, a missing kit, token or address', async () => {
    vi.stubEnv('ALIQUOT_PASSPHRASE', 'wrong');
    expect(await tried('kit', 'verify', '--kit', kit())).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/lab\.kit: .*vault lab; check it .*KIT_WRONG_PASSPHRASE/),
    });
    vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
    expect(await tried('kit', 'verify')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--kit'),
    });
    expect(await aliquot(['agents'], { url })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--token-file'),
    });
    expect(await aliquot(['agents'], { token })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--url'),
    });
    expect(await aliquot(['agents'], { token: 'wrong', url })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('REST_TOKEN'),
    });
    expect(await aliquot(['agents'], { token, url: 'http://127.0.0.1:1' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_UNREACHABLE'),
    });
  });

  it('a port in use, an address without TLS, a folder in use', async () => {
    const { port } = new URL(url);
    const second = join(dir, 'second');
    await aliquot(['init', '--data', second]);
    expect(
      await aliquot(['serve', '--data', second, '--listen', `127.0.0.1:${port}`]),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('SERVE_PORT'),
    });
    expect(await aliquot(['serve', '--data', second, '--listen', '0.0.0.0:0'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--tls-cert'),
    });
    expect(
      await aliquot(['serve', '--data', join(dir, 'data'), '--listen', '127.0.0.1:0']),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('FOLDER_IN_USE'),
    });
    expect(await aliquot(['serve', '--data', join(dir, 'nothing')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('FOLDER_MISSING'),
    });
  });

  it('a kit of another vault', async () => {
    const other = join(dir, 'other.kit');
    await ok('kit', 'create', '--out', other, '--vault', 'other');
    expect(await tried('check', '--kit', other)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('vault add'),
    });
  });

  it('a time, a share, a name or an option that nobody understands', async () => {
    expect((await tried('ls', '--at', 'tomorrow')).code).toBe(2);
    expect((await tried('ls', '--at', '99999d')).code).toBe(0);
    expect((await tried('check', '--kit', kit(), '--sample', '0%')).code).toBe(2);
    expect((await tried('enroll', '../evil', '--kit', kit(), '--out', join(dir, 'x'))).code).toBe(
      2,
    );
    expect((await tried('ls', '--nonsense')).code).toBe(2);
  });
});

describe('vaults and agents', () => {
  it('gives the same answer when a vault is added again', async () => {
    const first = await ok('vault', 'add', '--kit', kit(), '--json');
    const again = await ok('vault', 'add', '--kit', kit(), '--json');
    expect(again.stdout).toBe(first.stdout);
    const foreign = await tried('vault', 'add', '--kit', kit(), '--collector', '00'.repeat(16));
    expect(foreign).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_FOREIGN_COLLECTOR'),
    });
  });

  it('says what a kit opens', async () => {
    expect((await ok('kit', 'verify', '--kit', kit(), '--json')).lines[0]).toMatchObject({
      ok: true,
      vault: 'lab',
      blind: false,
    });
  });

  it('P3: a blind vault lists names only with its kit, and says so', async () => {
    const blind = join(dir, 'blind.kit');
    await ok('kit', 'create', '--out', blind, '--vault', 'blind', '--blind');
    await weaken(blind, PASSPHRASE);
    await ok('vault', 'add', '--kit', blind);
    const file = join(dir, 'blind.bundle');
    await ok('enroll', 'nmr-1', '--kit', blind, '--out', file);
    const agent = new SessionTestAgent(openBundle(await readFile(file, 'utf8'), Date.now()));
    await agent.enrol(url);
    await connected(agent);
    await agent.backUp([{ path: '/data/patient.csv', bytes: CONTENT }]);
    expect(await tried('ls', '--vault', 'blind')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('--kit'),
    });
    const listed = await ok('ls', '--agent', 'nmr-1', '--kit', blind, '--json');
    expect(listed.lines).toEqual([expect.objectContaining({ path: '/data/patient.csv' })]);
    expect(
      (
        await ok(
          'versions',
          '--agent',
          'nmr-1',
          '--path',
          '/data/patient.csv',
          '--kit',
          blind,
          '--json',
        )
      ).lines,
    ).toHaveLength(1);
    expect(
      (await ok('diff', '--agent', 'nmr-1', '--from', '1d', '--to', 'latest', '--kit', blind))
        .stdout,
    ).toBe('A  /data/patient.csv\n');
    // With two vaults, a command without a kit must be told which.
    expect(await tried('agents')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--vault'),
    });
    expect((await ok('agents', '--vault', 'blind', '--json')).lines).toHaveLength(1);
    // What was not looked at is not called right.
    expect((await tried('agents', '--problems', '--vault', 'blind')).stdout).toContain(
      'in vault blind. Ask for the others too',
    );
  });

  it('lets a new PC take the place of an old one, with its history', async () => {
    const old = await enrolled('old-pc');
    await connected(old);
    await old.backUp([{ path: '/data/kept.csv', bytes: CONTENT }]);
    const successor = await enrolled('new-pc', '--replaces', 'old-pc');
    await connected(successor);
    const listed = await ok('ls', '--vault', 'lab', '--agent', 'new-pc', '--json');
    expect(listed.lines).toEqual([expect.objectContaining({ path: '/data/kept.csv' })]);
    expect(
      (
        await ok(
          'restore',
          '--kit',
          kit(),
          '--agent',
          'new-pc',
          '--to',
          join(dir, 'inherited'),
          '--json',
        )
      ).lines[0],
    ).toMatchObject({
      files: 1,
    });
    const wire = await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH));
    await old.greet(wire);
    expect((await old.next()).frame).toMatchObject({ type: 'refused', code: 'replaced' });
  });

  it('ends a revoked agent at once and refuses it from then on', async () => {
    const agent = await enrolled('stolen');
    const wire = await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH));
    await agent.open(wire);
    await ok('agent', 'revoke', 'stolen', '--vault', 'lab', '--reason', 'PC stolen');
    expect((await wire.closed).code).toBe(1001);
    await expect(agent.enrol(url)).rejects.toThrow('ENROL_REVOKED');
    const { lines } = await ok('agents', '--vault', 'lab', '--json');
    expect(lines.find((line) => line['agent'] === 'stolen')).toMatchObject({
      state: 'revoked',
      endReason: 'PC stolen',
    });
  });
});
