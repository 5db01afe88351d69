import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent, type TestFile } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { weaken } from '../../testing/kits.ts';
import type { Spoilt } from '../../testing/spoiled.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
const text = (words: string) => new Uint8Array(Buffer.from(words));

let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
const kit = () => ['--kit', join(dir, 'lab.kit')];
const tried = (...args: string[]) => aliquot(args, { url, token });

/**
 * A PC with one good file of two versions, one that opens only in its older version, and one that
 * never opens.
 */
async function pcWith(name: string, spoilt: Spoilt): Promise<void> {
  const bundle = join(dir, `${name}.bundle`);
  expect((await tried('enroll', name, ...kit(), '--out', bundle)).code).toBe(0);
  const agent = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
  await agent.enrol(agent.bundle.url);
  await agent.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
  const at = (path: string, words: string): TestFile => ({
    path: `/data/${path}`,
    bytes: text(words),
  });
  await agent.backUp([at('good', 'good one'), at('half', 'half one')]);
  await agent.backUpSpoiled([at('half', 'half two'), at('bad', 'bad one')], spoilt);
  await agent.backUp([at('good', 'good two'), at('later', 'later')]);
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-unopened-'));
  expect((await aliquot(['init', '--data', join(dir, 'data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(join(dir, 'data', 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', join(dir, 'data'), '--listen', '127.0.0.1:0']));
  expect((await tried('kit', 'create', '--out', join(dir, 'lab.kit'), '--vault', 'lab')).code).toBe(
    0,
  );
  await weaken(join(dir, 'lab.kit'), PASSPHRASE);
  expect((await tried('vault', 'add', ...kit())).code).toBe(0);
  for (const spoilt of ['wraps', 'names', 'keys', 'root'] as const)
    await pcWith(`pc-${spoilt}`, spoilt);
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe.each(['wraps', 'names', 'keys'] as const)(
  'a commit that does not open (%s) costs its own files',
  (spoilt) => {
    const agent = ['--agent', `pc-${spoilt}`];
    /** What stands for the two versions: their names, where those open. */
    const named =
      spoilt === 'keys'
        ? /half was not restored.*\n.*bad was not restored/
        : /2 versions in commit 2 .* of agent pc-/;

    it('restore gives back the rest, names them, and ends with 3', async () => {
      const to = join(dir, `to-${spoilt}`);
      const done = await tried('restore', ...kit(), ...agent, '--to', to);
      expect([done.code, done.stderr]).toEqual([3, expect.stringMatching(named)]);
      expect(await readFile(join(to, 'data/good'), 'utf8')).toBe('good two');
      expect(await readFile(join(to, 'data/later'), 'utf8')).toBe('later');
      expect(existsSync(join(to, 'data/half'))).toBe(false);
      const json = await tried('restore', ...kit(), ...agent, '--to', to, '--json');
      expect(json.code).toBe(3);
      const told =
        spoilt === 'keys'
          ? { event: 'failed', code: 'RESTORE_DAMAGED' }
          : { event: 'unopened', sequence: 2, versions: 2 };
      expect(json.lines).toContainEqual(expect.objectContaining(told));
    });

    it('one path gives its file, never an older version instead of one that does not open', async () => {
      expect(await tried('cat', ...kit(), ...agent, '--path', '/data/good')).toMatchObject({
        code: 0,
      });
      const half = await tried('cat', ...kit(), ...agent, '--path', '/data/half');
      expect(half.code).toBe(spoilt === 'keys' ? 1 : 3);
      expect(half.stdout).not.toContain('half one');
      const to = join(dir, `one-${spoilt}`);
      expect(
        (await tried('restore', ...kit(), ...agent, '--path', '/data/half', '--to', to)).code,
      ).toBe(3);
      expect(existsSync(join(to, 'data/half'))).toBe(false);
      expect(
        (await tried('restore', ...kit(), ...agent, '--path', '/data/good', '--to', to)).code,
      ).toBe(0);
    });

    it('check reads back the rest and does not end with 0', async () => {
      const { code, stdout, stderr } = await tried('check', ...kit(), ...agent);
      expect(code).toBe(spoilt === 'keys' ? 1 : 3);
      expect(`${stdout}${stderr}`).toMatch(spoilt === 'keys' ? /half was not restored/ : named);
    });

    it.each([[], ['--kit']])('the listings show the rest and end with 3 (%s)', async (...way) => {
      const from = way.length === 0 ? [] : kit();
      const ls = await tried('ls', ...from, ...agent, '--json');
      const paths = ls.lines
        .map((line) => (line as { path?: string }).path)
        .filter((path) => path !== undefined);
      const all = ['/data/bad', '/data/good', '/data/half', '/data/later'];
      expect(paths.toSorted()).toEqual(spoilt === 'keys' ? all : ['/data/good', '/data/later']);
      expect(ls.code).toBe(spoilt === 'keys' ? 0 : 3);
      const code = spoilt === 'keys' ? 0 : 3;
      const half = await tried('versions', ...from, ...agent, '--path', '/data/half');
      expect([half.code, half.stdout.trim().split('\n').length]).toEqual([
        code,
        spoilt === 'keys' ? 2 : 1,
      ]);
      expect((await tried('versions', ...from, ...agent, '--path', '/data/good')).code).toBe(0);
      const bad = await tried('versions', ...from, ...agent, '--path', '/data/bad');
      expect([bad.code, bad.stderr.includes('no version')]).toEqual([code, false]);
      const diff = await tried('diff', ...from, ...agent, '--from', '1d', '--to', 'latest');
      expect([diff.code, diff.stdout.includes('/data/later')]).toEqual([code, true]);
    });
  },
);

it('P5 rows that are not those of their block’s signed root are named by check, and read all the same', async () => {
  const agent = ['--agent', 'pc-root', '--json'];
  const check = await tried('check', ...kit(), ...agent);
  expect([check.code, check.lines]).toMatchObject([
    3,
    [
      { event: 'summary', failed: 0 },
      { event: 'unopened', code: 'COMMIT_ENTRIES', sequence: 2 },
    ],
  ]);
  const to = join(dir, 'to-root');
  expect((await tried('restore', ...kit(), ...agent, '--to', to)).code).toBe(0);
  expect(await readFile(join(to, 'data/half'), 'utf8')).toBe('half two');
});
