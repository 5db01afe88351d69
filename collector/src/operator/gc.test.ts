import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';
import { sendRules } from '../../testing/retention/send-rules.ts';
import { content } from '../../testing/store/world.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';
import { openCollector } from '../store/collector.ts';

const PASSPHRASE = 'correct horse battery staple';
let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
const at = (name: string) => join(dir, name);

async function ok(...args: string[]): Promise<CliResult> {
  const result = await aliquot(args, { url, token });
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
}

/** Drops the first version of the only PC, as a collection does when its grace is over. */
async function dropFirst(): Promise<void> {
  const ports = { files: nodeDisk, random: systemRandom, clock: systemClock };
  const store = await openCollector(at('data'), ports);
  const [vault] = store.vaults();
  const branchId = vault?.register.agentByName('hplc-1')?.lineageId;
  if (vault === undefined || branchId === undefined) throw new Error('no PC');
  const leaves = [{ leafIndex: 3, slots: new Uint8Array([1]) }];
  expect(await vault.sweep.drop({ run: 1, branchId, leaves })).toBe(1);
  await store.close();
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-gc-'));
  expect((await aliquot(['init', '--data', at('data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(at('data/admin.token'), 'utf8')).trim();
  const listen = ['--data', at('data'), '--listen', '127.0.0.1:0'];
  ({ url, stop } = await serving(listen));
  await writeWeakKit(at('lab.kit'), 'lab', PASSPHRASE);
  await ok('vault', 'add', '--kit', at('lab.kit'));
  await ok('enroll', 'hplc-1', '--kit', at('lab.kit'), '--out', at('bundle'));
  const pc = new SessionTestAgent(openBundle(await readFile(at('bundle'), 'utf8'), Date.now()));
  await pc.enrol(pc.bundle.url);
  await pc.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
  for (const state of ['one', 'two'])
    await pc.backUp([{ path: '/data/a', bytes: content(state, 50_000) }]);
  const rules = ['{keep: {within: 7d}}'];
  const kit = { path: at('lab.kit'), passphrase: PASSPHRASE };
  expect((await sendRules({ url, token }, kit, ...rules)).status).toBe(200);
  await stop();
  await dropFirst();
  ({ url, stop } = await serving(listen));
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('gc', () => {
  it('says what would be freed, waits for PCs by name, and removes when nobody is waited for', async () => {
    expect((await ok('gc', 'status')).stdout).toContain('hplc-1: 1 version dropped');
    const ahead = await ok('gc', 'run', '--dry-run', '--json');
    const [lineage, would] = ahead.lines;
    expect(lineage).toMatchObject({ event: 'lineage', agent: 'hplc-1', state: 'swept', items: 1 });
    expect(would).toMatchObject({ event: 'summary', dryRun: true, versions: 0, waits: 0 });
    const waits = await aliquot(['gc', 'run'], { url, token });
    expect([waits.code, waits.stdout]).toEqual([
      3,
      expect.stringMatching(/hplc-1: waits, .*\n {2}hplc-1, which has answered no epoch .*seen/),
    ]);
    expect((await ok('gc', 'status', '--json')).lines[0]).toMatchObject({
      ...{ paused: false, running: false },
      lineages: [{ agent: 'hplc-1', isAnnounced: true, waits: [{ agent: 'hplc-1' }] }],
    });
    expect((await ok('agent', 'lost', 'hplc-1')).stdout).toContain('Nobody waits for agent hplc-1');
    const problems = await aliquot(['agents', '--problems'], { url, token });
    expect(problems.stdout).toContain('was said to be lost');
    const done = await ok('gc', 'run', '--all', '--json');
    const freed = Number(done.lines.at(-1)?.['freedBytes']);
    expect(freed).toBeGreaterThanOrEqual(Number(would?.['bytes']));
    expect((await ok('gc', 'status', '--json')).lines[0]).toMatchObject({ lineages: [] });
  });

  it('is told where a version went: by explain, and by whoever asks for it by its id', async () => {
    const explain = ['explain', '--agent', 'hplc-1', '--path', '/data/a', '--json'];
    const plain = (await ok(...explain)).lines;
    expect((await ok(...explain, '--kit', at('lab.kit'))).lines).toEqual(plain);
    const [dropped, left] = plain;
    expect(dropped).toMatchObject({ event: 'dropped', kind: 'content', size: 50_000, run: 1 });
    expect(dropped?.['until']).toBe(left?.['from']);
    expect([plain.length, left?.['event']]).toEqual([2, 'version']);
    const text = (await ok(...explain.slice(0, -1))).stdout;
    expect(text).toMatch(/dropped after run 1 of retention: it does not come back/);
    const version = String(dropped?.['version']);
    const cat = ['cat', '--kit', at('lab.kit'), '--agent', 'hplc-1', '--version'];
    for (const asked of [[version], [version.slice(0, 8)], [version, '--path', '/data/a']]) {
      const gone = await aliquot([...cat, ...asked], { url, token });
      expect([gone.code, gone.stderr]).toEqual([
        1,
        expect.stringContaining(`version ${version} was dropped after run 1 of retention`),
      ]);
    }
    const never = await aliquot([...cat, '0123456789abcdef.0'], { url, token });
    expect(never.stderr).toContain('agent hplc-1 has no version 0123456789abcdef.0');
    expect((await aliquot([...cat, String(left?.['version'])], { url, token })).code).toBe(0);
  });

  it('does nothing while it is paused, and goes on when it is resumed', async () => {
    await ok('gc', 'pause');
    const held = await aliquot(['gc', 'run'], { url, token });
    expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('aliquot gc resume')]);
    expect((await ok('gc', 'status')).stdout).toContain('Collection is paused');
    await ok('gc', 'run', '--dry-run');
    await ok('gc', 'resume');
    expect((await ok('gc', 'run')).stdout).toContain('Dropped 0 versions');
    const both = await aliquot(['gc', 'run', '--dry-run', '--all'], { url, token });
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('leave --all')]);
  });
});
