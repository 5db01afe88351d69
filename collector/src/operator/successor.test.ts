import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeEpochOpeningBody, decodeTreeHeadBody } from '@aliquot/proto';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { verifyConsistency } from '@aliquot/shared/log/proofs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
let dir: string;
let url: string;
let token: string;
let stop: (() => Promise<CliResult>) | undefined;
const kit = () => join(dir, 'lab.kit');

async function ok(...args: string[]): Promise<CliResult> {
  const result = await aliquot(args, { url, token });
  expect(result).toMatchObject({ code: 0 });
  return result;
}

/** A collector with a new identity, which serves from then on. */
async function collector(name: string): Promise<void> {
  const data = join(dir, name);
  await ok('init', '--data', data, '--name', name);
  token = (await readFile(join(data, 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', data, '--listen', '127.0.0.1:0']));
}

async function enrolled(name: string): Promise<SessionTestAgent> {
  const bundle = join(dir, `${name}.bundle`);
  await ok('enroll', name, '--kit', kit(), '--out', bundle);
  const agent = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
  await agent.enrol(agent.bundle.url);
  return agent;
}

async function connected(agent: SessionTestAgent) {
  return agent.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
}

beforeEach(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-successor-'));
});

afterEach(async () => {
  await stop?.();
  stop = undefined;
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

it('P5 P6 an agent of a lost collector goes on with its successor, once the loss of the head that the lost one signed is approved', async () => {
  await collector('first');
  await writeWeakKit(kit(), 'lab', PASSPHRASE);
  await ok('vault', 'add', '--kit', kit());
  const [agent, later] = [await enrolled('hplc-1'), await enrolled('hplc-2')];
  await connected(agent);
  const content = new Uint8Array(Buffer.from('time;signal\n'));
  const made = agent.commitOf([{ path: '/data/run1', bytes: content }]);
  await agent.backUp([{ path: '/data/run0', bytes: content }]);
  await connected(later);
  const laterMade = later.commitOf([{ path: '/data/run2', bytes: content }]);
  await later.backUp([{ path: '/data/run0', bytes: content }]);
  await stop?.();
  await rm(join(dir, 'first'), { recursive: true });

  await collector('second');
  await ok('vault', 'add', '--kit', kit(), '--generation', '2');
  expect((await connected(agent)).rolledBack).toBe(true);
  expect((await ok('log', 'status')).stdout).toContain('ROLLED BACK  agent hplc-1');
  expect((await ok('log', 'reopen', '--kit', kit())).stdout).toContain('goes on in epoch 2');
  expect((await ok('log', 'reopen', '--kit', kit())).stdout).toContain('nothing to heal');
  expect(await connected(agent)).toMatchObject({ rolledBack: false, chainHead: undefined });
  await agent.upload(made.items);
  expect(await agent.ask((requestId) => ({ type: 'commit', requestId }), made.bytes)).toMatchObject(
    { type: 'receipt' },
  );
  await ok('restore', '--kit', kit(), '--agent', 'hplc-1', '--to', join(dir, 'back'));
  expect(new Uint8Array(await readFile(join(dir, 'back/data/run1')))).toEqual(content);

  // One that had seen more than the first loss approved: it is led from the opening that names its
  // own head.
  expect((await connected(later)).rolledBack).toBe(true);
  expect((await ok('log', 'reopen', '--kit', kit())).stdout).toContain('goes on in epoch 3');
  const ready = await connected(later);
  expect(ready.rolledBack).toBe(false);
  const openings = ready.openings.map(({ opening }) => decodeEpochOpeningBody(opening.body));
  expect(openings).toMatchObject([
    { logEpoch: 3, lost: [later.head && decodeTreeHeadBody(later.head.signed.body).head] },
  ]);
  const { head } = decodeTreeHeadBody(ready.head.body);
  const [base] = openings.map((opening) => opening.base);
  if (base === undefined) throw new Error('no opening');
  verifyConsistency(base.size, base.root, head.size, head.root, ready.consistency);
  await later.upload(laterMade.items);
  expect(
    await later.ask((requestId) => ({ type: 'commit', requestId }), laterMade.bytes),
  ).toMatchObject({ type: 'receipt' });
});

it('P4 I-C18: whom a signed revocation ended is out at a successor too, which had never heard of it', async () => {
  const state = join(dir, 'state');
  const by = async (...args: string[]): Promise<CliResult> => {
    const result = await aliquot(args, { url, token, state });
    expect(result).toMatchObject({ code: 0 });
    return result;
  };
  await collector('first');
  await writeWeakKit(kit(), 'lab', PASSPHRASE);
  await by('vault', 'add', '--kit', kit());
  const [thief, pc, unsigned] = [
    await enrolled('thief'),
    await enrolled('pc'),
    await enrolled('unsigned'),
  ];
  for (const one of [thief, pc, unsigned]) {
    await connected(one);
    await one.backUp([{ path: '/data/run0', bytes: new Uint8Array(Buffer.from('time\n')) }]);
  }
  await by('agent', 'revoke', 'thief', '--reason', 'stolen', '--kit', kit());
  await by('agent', 'revoke', 'unsigned');
  await stop?.();
  await rm(join(dir, 'first'), { recursive: true });

  await collector('second');
  const added = await by('vault', 'add', '--kit', kit(), '--generation', '2', '--json');
  expect(added.lines).toMatchObject([
    { event: 'vault' },
    { event: 'decision', type: 'agentRevoked', applied: true },
  ]);
  await expect(connected(thief)).rejects.toThrow('"code":"revoked"');
  expect((await connected(pc)).rolledBack).toBe(true);
  // What nobody had signed the successor cannot know.
  expect((await connected(unsigned)).rolledBack).toBe(true);
  const agents = (await by('agents', '--json')).lines;
  expect(agents.map(({ agent, state: of }) => `${agent} ${of}`).sort()).toEqual([
    'pc enrolled',
    'thief revoked',
    'unsigned enrolled',
  ]);
  // It is in the log now, and not told again.
  expect((await by('log', 'reopen', '--kit', kit(), '--json')).lines).toMatchObject([
    { event: 'reopened', opened: true },
  ]);
});
