import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../../testing/cli.ts';
import { writeWeakKit } from '../../../testing/kits.ts';
import { sendRules } from '../../../testing/retention/send-rules.ts';
import { socketWire } from '../../../testing/wire.ts';
import { AGENT_PATH } from '../../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
const DAY_MS = 86_400_000;
let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
let pc: SessionTestAgent;
/** By how much the collector's clock is ahead. */
let aheadMs = 0;
const at = (name: string) => join(dir, name);
const ok = async (...args: string[]) => {
  const result = await aliquot(args, { url, token, clock: { nowMs: () => Date.now() + aheadMs } });
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
};

async function serve(): Promise<void> {
  const clock = { nowMs: () => Date.now() + aheadMs };
  ({ url, stop } = await serving(['--data', at('data'), '--listen', '127.0.0.1:0'], { clock }));
}

/** The collector was off for some days. */
async function wait(days: number): Promise<void> {
  await stop();
  aheadMs += days * DAY_MS;
  await serve();
}

const HELD = '/data/trial-7/a.raw';
const OTHER = '/data/trial-8/b.raw';

async function back(words: string): Promise<void> {
  await pc.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
  await pc.backUp([HELD, OTHER].map((path) => ({ path, bytes: Buffer.from(words) })));
}

const explain = async (path: string) =>
  (await ok('explain', '--agent', 'hplc-1', '--path', path, '--kit', at('lab.kit'), '--json'))
    .lines;

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-blind-'));
  expect((await aliquot(['init', '--data', at('data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(at('data/admin.token'), 'utf8')).trim();
  await serve();
  await writeWeakKit(at('lab.kit'), 'lab', PASSPHRASE, { blind: true });
  await ok('vault', 'add', '--kit', at('lab.kit'));
  await ok('enroll', 'hplc-1', '--kit', at('lab.kit'), '--out', at('pc.bundle'));
  pc = new SessionTestAgent(openBundle(await readFile(at('pc.bundle'), 'utf8'), Date.now()));
  await pc.enrol(pc.bundle.url);
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('I-C19 I-C20 a blind vault', () => {
  it('lets go by rules that know no names, keeps a whole PC for a hold by path, and once the kit has said which files, those', async () => {
    for (const words of ['first', 'second', 'third']) await back(words);
    const kit = { path: at('lab.kit'), passphrase: PASSPHRASE };
    expect((await sendRules({ url, token }, kit, '{keep: {within: 7d}}')).status).toBe(200);
    await ok('hold', 'add', 'trial-7', '--path', '/data/trial-7/**', '--reason', 'audit');
    await wait(20);
    const whole = (await ok('policy', 'simulate', '--json')).lines[0];
    expect(whole).toMatchObject({ going: { versions: 0 } });
    for (const path of [HELD, OTHER])
      expect((await explain(path))[0]).toMatchObject({
        reasons: expect.arrayContaining([expect.objectContaining({ reason: 'hold', over: false })]),
        goesNow: false,
      });
    await ok('hold', 'resolve', 'trial-7', '--kit', at('lab.kit'));
    const resolved = (await ok('policy', 'simulate', '--json')).lines[0];
    expect(resolved).toMatchObject({ going: { versions: 2 } });
    expect((await explain(HELD)).map(({ goesNow }) => goesNow)).toEqual([false, false, false]);
    expect((await explain(OTHER)).map(({ goesNow }) => goesNow)).toEqual([true, true, false]);
    await aliquot(['retention', 'run'], { url, token });
    const approve = ['retention', 'approve', '1', '--kit', at('lab.kit'), '--json'];
    expect((await ok(...approve)).lines[0]).toMatchObject({ type: 'expired', versions: 2 });
    await wait(8);
    expect((await aliquot(['gc', 'run', '--json'], { url, token })).lines.at(-1)).toMatchObject({
      event: 'summary',
      versions: 2,
    });
    expect(await explain(HELD)).toHaveLength(3);
    expect((await explain(OTHER)).map(({ event }) => event)).toEqual([
      'dropped',
      'dropped',
      'version',
    ]);
  });
});
