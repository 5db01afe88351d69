import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
let dir: string;
let url: string;
let stop: () => Promise<CliResult>;
let token: string;
let agent: SessionTestAgent;
let copy: SessionTestAgent;
let held: string;
const kit = () => join(dir, 'lab.kit');
const tried = (...args: string[]) => aliquot(args, { url, token });
const file = (name: string, words = name) => ({
  path: `/data/${name}`,
  bytes: new Uint8Array(Buffer.from(words)),
});

async function ok(...args: string[]): Promise<CliResult> {
  const result = await tried(...args);
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
}

const connected = async (one: SessionTestAgent) =>
  one.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
const paths = (result: CliResult) => result.lines.map((line) => line['path']).sort();

/**
 * One PC with two results, and a copy of its folder from after the first, with a result of its own
 * and another state of the first.
 */
beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-fork-'));
  expect((await aliquot(['init', '--data', join(dir, 'data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(join(dir, 'data', 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', join(dir, 'data'), '--listen', '127.0.0.1:0']));
  await writeWeakKit(kit(), 'lab', PASSPHRASE);
  await ok('vault', 'add', '--kit', kit());
  await ok('enroll', 'hplc-1', '--kit', kit(), '--out', join(dir, 'bundle'));
  agent = new SessionTestAgent(openBundle(await readFile(join(dir, 'bundle'), 'utf8'), Date.now()));
  await agent.enrol(agent.bundle.url);
  await connected(agent);
  await agent.backUp([file('both')]);
  copy = agent.copy();
  await agent.backUp([file('original')]);
  copy.fork();
  await connected(copy);
  await copy.backUp([file('copied'), file('both', 'as the copy has it')]);
  held = String((await ok('fork', 'list', '--json')).lines[0]?.['name']);
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('two PCs with one identity, for the operator', () => {
  it('P6: are named with the command to run', async () => {
    expect(held).toMatch(/^hplc-1~[0-9a-f]{8}$/);
    const [line] = (await ok('agents', '--json')).lines;
    expect(line).toMatchObject({
      agent: 'hplc-1',
      files: 2,
      histories: [{ name: held, state: 'held', files: 2 }],
    });
    expect(line?.['problems']).toMatchObject([
      {
        code: 'chain-forked',
        message: expect.stringContaining(`aliquot fork decide ${held} --restored`),
      },
    ]);
    expect((await ok('agents')).stdout).toMatch(new RegExp(`held apart .* ${held}$`, 'm'));
    expect((await ok('fork', 'list')).stdout).toContain(
      `aliquot fork decide ${held} --clone NEWNAME`,
    );
  });

  it.each([[[]], [['--kit']]])(
    'I-C12 P2: have their files under two names (with %j)',
    async (extra) => {
      const options = extra.length === 0 ? [] : ['--kit', kit()];
      expect(paths(await ok('ls', '--agent', 'hplc-1', '--json', ...options))).toEqual([
        '/data/both',
        '/data/original',
      ]);
      expect(paths(await ok('ls', '--agent', held, '--json', ...options))).toEqual([
        '/data/both',
        '/data/copied',
      ]);
      const all = await ok('ls', '--json', ...options);
      expect(all.lines.map((line) => line['agent']).sort()).toEqual(
        ['hplc-1', 'hplc-1', held, held].sort(),
      );
      const versions = await ok(
        'versions',
        '--agent',
        held,
        '--path',
        '/data/both',
        '--json',
        ...options,
      );
      expect(versions.lines).toMatchObject([{ agent: held, size: 18 }]);
    },
  );

  it('P2: restore, cat, diff and check take either name', async () => {
    await ok('restore', '--kit', kit(), '--agent', held, '--to', join(dir, 'held'));
    expect(await readFile(join(dir, 'held/data/both'), 'utf8')).toBe('as the copy has it');
    expect(
      (await ok('cat', '--kit', kit(), '--agent', 'hplc-1', '--path', '/data/both')).stdout,
    ).toBe('both');
    expect((await ok('cat', '--kit', kit(), '--agent', held, '--path', '/data/both')).stdout).toBe(
      'as the copy has it',
    );
    expect(
      (await ok('diff', '--agent', held, '--from', '2000-01-01', '--to', 'latest', '--json')).lines,
    ).toHaveLength(2);
    expect((await ok('check', '--kit', kit(), '--json')).lines).toMatchObject([
      { files: 4, failed: 0 },
    ]);
    expect((await ok('check', '--kit', kit(), '--agent', held, '--json')).lines).toMatchObject([
      { files: 2, failed: 0 },
    ]);
  });

  it('refuses half a word, a wrong name, a name that is taken, and to revoke a history', async () => {
    expect(await tried('fork', 'decide', held)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--restored'),
    });
    expect(await tried('fork', 'decide', held, '--restored', '--clone', 'x')).toMatchObject({
      code: 2,
    });
    expect(await tried('fork', 'decide', 'hplc-1', '--restored')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('fork list'),
    });
    expect(await tried('fork', 'decide', 'hplc-1~00000000', '--restored')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('fork list'),
    });
    expect(await tried('fork', 'decide', held, '--clone', 'hplc-1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('another name'),
    });
    expect(await tried('agent', 'revoke', held)).toMatchObject({ code: 1 });
    expect(await tried('ls', '--agent', 'hplc-1~00000000')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('fork list'),
    });
  });

  it('I-C12: a clone has its own name from then on; the same word again is answered, another is refused', async () => {
    for (let turn = 0; turn < 2; turn += 1) {
      const { lines } = await ok('fork', 'decide', held, '--clone', 'hplc-7', '--json');
      expect(lines).toEqual([
        { event: 'decided', history: held, of: 'hplc-1', decision: 'clone', name: 'hplc-7' },
      ]);
    }
    expect(await tried('fork', 'decide', held, '--restored')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('REST_DECIDED'),
    });
    expect(paths(await ok('ls', '--agent', 'hplc-7', '--json'))).toEqual([
      '/data/both',
      '/data/copied',
    ]);
    const [line] = (await ok('agents', '--json')).lines;
    expect(line?.['problems']).toMatchObject([
      { code: 'chain-clone', message: expect.stringContaining('aliquot enroll') },
    ]);
    expect(
      await tried('enroll', 'hplc-7', '--kit', kit(), '--out', join(dir, 'taken')),
    ).toMatchObject({ code: 1 });
  });

  it('I-C12: a PC that was put back goes on as itself, with everything under one name', async () => {
    const back = agent.copy();
    back.fork();
    await connected(back);
    await back.backUp([file('put back')]);
    const name = String(
      (await ok('fork', 'list', '--json')).lines.find((line) => line['state'] === 'held')?.['name'],
    );
    await ok('fork', 'decide', name, '--restored');
    expect(paths(await ok('ls', '--agent', 'hplc-1', '--json', '--kit', kit()))).toEqual([
      '/data/both',
      '/data/original',
      '/data/put back',
    ]);
    await ok('fsck', '--data', join(dir, 'data'));
    expect((await ok('agents', '--json')).lines[0]?.['problems']).toMatchObject([
      { code: 'chain-clone' },
    ]);
    const told = (await ok('agent', 'acknowledge', 'hplc-1', '--json')).lines;
    expect(told).toMatchObject([{ event: 'acknowledged', problems: [{ code: 'chain-clone' }] }]);
    expect((await ok('agents', '--json')).lines[0]?.['problems']).toEqual([]);
    expect((await ok('agent', 'acknowledge', 'hplc-1')).stdout).toContain('Nothing is wrong');
  });

  it('I-C12 P2: a history of an agent that was replaced under its own name keeps its name, and can be decided', async () => {
    const late = copy.copy();
    late.fork();
    await connected(late);
    // It goes on from a commit that is no line's head: a history of its own.
    late.predecessor = agent.predecessor;
    late.forkedFrom = {
      chainId: agent.chainId,
      sequence: agent.sequence - 1,
      hash: agent.predecessor,
    };
    late.sequence = agent.sequence;
    await late.backUp([file('late')]);
    const name = String(
      (await ok('fork', 'list', '--json')).lines.find((line) => line['state'] === 'held')?.['name'],
    );
    await ok(
      'enroll',
      'hplc-1',
      '--replaces',
      'hplc-1',
      '--kit',
      kit(),
      '--out',
      join(dir, 'successor'),
    );
    const successor = new SessionTestAgent(
      openBundle(await readFile(join(dir, 'successor'), 'utf8'), Date.now()),
    );
    await successor.enrol(successor.bundle.url);
    // Two rows with one name: the name means the successor, and the earlier one is called by its
    // id, which every command takes.
    const called = [
      ...(await ok('agents')).stdout.matchAll(
        /^(replaced|enrolled|connected) .* {2}(hplc-1|([0-9a-f]{8}) \(was hplc-1\))$/gm,
      ),
    ];
    expect(called.map(([, state, , id]) => [state, id === undefined])).toEqual([
      ['replaced', false],
      ['enrolled', true],
    ]);
    const earlier = String(called[0]?.[3]);
    expect((await ok('agent', 'revoke', earlier, '--json')).lines[0]).toMatchObject({
      agentId: expect.stringMatching(`^${earlier}`),
    });
    expect(paths(await ok('ls', '--agent', name, '--json'))).toEqual(['/data/late']);
    for (let turn = 0; turn < 2; turn += 1) {
      expect((await ok('fork', 'decide', name, '--clone', 'hplc-8', '--json')).lines).toMatchObject(
        [{ history: name, name: 'hplc-8' }],
      );
    }
    expect(paths(await ok('ls', '--agent', 'hplc-8', '--json'))).toEqual(['/data/late']);
  });
});
