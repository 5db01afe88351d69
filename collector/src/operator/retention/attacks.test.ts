import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent, type TestFile } from '../../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../../testing/cli.ts';
import { writeWeakKit } from '../../../testing/kits.ts';
import { sendRules } from '../../../testing/retention/send-rules.ts';
import { socketWire } from '../../../testing/wire.ts';
import { AGENT_PATH } from '../../ingest/upgrade.ts';

/*
 * Somebody holds a PC and what it signs with, and wants the collector to let go of what it has: what
 * `collector/src/retention/attacks.test.ts` decides by the rules, through the collector that is served.
 */

const PASSPHRASE = 'correct horse battery staple';
const DAY_MS = 86_400_000;
const good = Buffer.from('the result');
const forged = Buffer.from('something else');
let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
let pc: SessionTestAgent;
/** By how much the collector's clock is ahead. */
let aheadMs = 0;
const at = (name: string) => join(dir, name);
const nowMs = () => Date.now() + aheadMs;
const tried = (...args: string[]) => aliquot(args, { url, token, clock: { nowMs } });
const ok = async (...args: string[]) => {
  const result = await tried(...args);
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
};

async function serve(): Promise<void> {
  const listen = ['--data', at('data'), '--listen', '127.0.0.1:0'];
  ({ url, stop } = await serving(listen, { clock: { nowMs } }));
}

/** The collector was off for some days. */
async function wait(days: number): Promise<void> {
  await stop();
  aheadMs += days * DAY_MS;
  await serve();
}

async function send(files: readonly TestFile[]): Promise<void> {
  await pc.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
  await pc.backUp(files);
}

const attacks = ['future', 'silent', 'flood', 'gone', 'class'] as const;
const pathOf = (attack: string) => `/data/${attack}.raw`;

/** Of the good states. */
const versions: string[] = [];

/** The good state of each file is there, and is the result. */
async function mustHaveAll(): Promise<void> {
  for (const version of versions) {
    const cat = ['cat', '--kit', at('lab.kit'), '--agent', 'hplc-1', '--version', version];
    expect((await ok(...cat)).stdout).toBe('the result');
  }
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-attacks-'));
  expect((await aliquot(['init', '--data', at('data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(at('data/admin.token'), 'utf8')).trim();
  await serve();
  await writeWeakKit(at('lab.kit'), 'lab', PASSPHRASE);
  await ok('vault', 'add', '--kit', at('lab.kit'));
  await ok('enroll', 'hplc-1', '--kit', at('lab.kit'), '--out', at('pc.bundle'));
  pc = new SessionTestAgent(openBundle(await readFile(at('pc.bundle'), 'utf8'), Date.now()));
  await pc.enrol(pc.bundle.url);
  await send(attacks.map((attack) => ({ path: pathOf(attack), bytes: good })));
  for (const attack of attacks) {
    const [first] = (await ok('versions', '--agent', 'hplc-1', '--path', pathOf(attack), '--json'))
      .lines;
    versions.push(String(first?.['version']));
  }
  const kit = { path: at('lab.kit'), passphrase: PASSPHRASE };
  const rules = [
    '{match: {class: [default]}, keep: {within: 30d}}',
    '{match: {class: [temporary]}, keep: {within: 7d}, gone: 7d}',
  ];
  expect((await sendRules({ url, token }, kit, ...rules)).status).toBe(200);
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('P1 whoever holds a PC changes nothing that should be kept', () => {
  it('by any dates, numbers, deletions or classes, for the whole term after they came', async () => {
    await wait(40);
    // So long without a leaf: a person says that it is right.
    await ok('collector', 'clock', '--confirm');
    const path = pathOf('flood');
    await send([
      { path: pathOf('future'), bytes: forged, capturedAtMs: Date.UTC(2100, 0, 1) },
      { path: pathOf('gone') },
      { path: pathOf('class'), bytes: forged, class: 'temporary' },
    ]);
    await send([{ path: pathOf('class'), class: 'temporary' }]);
    // Into each of the forty silent days.
    for (let day = 0; day < 40; day += 1) {
      const capturedAtMs = nowMs() - (40 - day) * DAY_MS;
      await send([{ path: pathOf('silent'), bytes: forged, capturedAtMs }]);
    }
    const flood = (first: number) =>
      Array.from({ length: 2500 }, (_, number) => ({
        ...{ path, bytes: forged, mtimeNs: BigInt(first + number) },
        capturedAtMs: nowMs() + first + number,
      }));
    for (let first = 0; first < 10_000; first += 2500) await send(flood(first));
    expect((await ok('retention', 'run', '--json')).lines[0]).toMatchObject({ type: 'nothing' });
    await wait(25);
    // What the attacker sent himself, under the class that keeps little.
    const run = (await ok('retention', 'run', '--json')).lines[0];
    expect(run).toMatchObject({ type: 'expired', versions: 1 });
    await mustHaveAll();
    // The terms were those of the rules, not none: when they are over, it does go.
    await wait(10);
    const [simulated] = (await ok('policy', 'simulate', '--json')).lines;
    const going = simulated?.['going'] as { readonly versions: number } | undefined;
    expect(going?.versions).toBeGreaterThan(10_000);
  });

  it('nor by a clock of the collector that stands in 2036 for a minute', async () => {
    await stop();
    const before = aheadMs;
    aheadMs += 10 * 365 * DAY_MS;
    await serve();
    await send([{ path: '/data/other.raw', bytes: good }]);
    const held = await tried('retention', 'run');
    expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('[REST_CLOCK_HELD]')]);
    await stop();
    aheadMs = before;
    await serve();
    await mustHaveAll();
  });

  it('nor by the token alone: it takes no rules, lets no run pass and ends no hold', async () => {
    await ok('hold', 'add', 'audit', '--reason', 'audit');
    const refused = await Promise.all([
      tried('retention', 'approve', '1'),
      tried('hold', 'release', 'audit', '--reason', 'over'),
    ]);
    for (const { code, stderr } of refused)
      expect([code, stderr]).toEqual([2, expect.stringContaining('[USAGE_MISSING]')]);
    await writeWeakKit(at('other.kit'), 'lab', PASSPHRASE);
    const other = { path: at('other.kit'), passphrase: PASSPHRASE };
    const answer = await sendRules({ url, token }, other, '{keep: {within: 7d}}');
    expect(answer.status).toBe(404);
    await mustHaveAll();
  });
});
