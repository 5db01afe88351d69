import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeReceiptBody } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
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
import type { VaultStore } from '../store/vault-store.ts';

const PASSPHRASE = 'correct horse battery staple';
const ROUNDS = 5;
/** Every version of these rounds is let go. */
const DROPPED = 3;
const names = Array.from({ length: 8 }, (_, at) => `/data/run-${at}/signal.dat`);

let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
let pc: SessionTestAgent;
/** The same PC as its folder was after the first round. */
let early: SessionTestAgent;
let vaultFolder: string;
const leaves: number[] = [];
const times: number[] = [];
const at = (name: string) => join(dir, name);
const bytesOf = (name: string, round: number) => content(`${name} ${round}`, 400);
const run = (...args: string[]) => aliquot(args, { url, token, kit: at('lab.kit') });

async function ok(...args: string[]): Promise<CliResult> {
  const result = await run(...args);
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
}

async function withVault<T>(act: (vault: VaultStore) => Promise<T>): Promise<T> {
  const ports = { files: nodeDisk, random: systemRandom, clock: systemClock };
  // Small, so that what was written by now is closed.
  const store = await openCollector(at('data'), { ...ports, historyFileBytes: 1000 });
  try {
    return await act(store.vaults()[0] ?? expect.fail('no vault'));
  } finally {
    await store.close();
  }
}

const connect = async (agent: SessionTestAgent) =>
  agent.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));

/** What people ask about a PC, each with what is printed. */
async function everythingAsked(): Promise<Record<string, string>> {
  const of = ['--agent', 'hplc-1', '--json'];
  const path = names[2] ?? '';
  const asked: Record<string, string[]> = {
    ls: ['ls', ...of],
    versions: ['versions', ...of, '--path', path],
    explain: ['explain', ...of, '--path', path],
    find: ['find', 'signal', '--json'],
    diff: ['diff', ...of, '--from', new Date(times[0] ?? 0).toISOString(), '--to', 'latest'],
    check: ['check', '--json'],
  };
  for (const [round, time] of times.entries())
    asked[`ls at ${round}`] = ['ls', ...of, '--at', new Date(time).toISOString()];
  const told: Record<string, string> = {};
  for (const [name, args] of Object.entries(asked)) {
    const { code, stdout, stderr } = await run(...args);
    told[name] = `${code}\n${stderr}\n${stdout}`;
  }
  return told;
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-thinned-'));
  expect((await aliquot(['init', '--data', at('data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(at('data/admin.token'), 'utf8')).trim();
  const listen = ['--data', at('data'), '--listen', '127.0.0.1:0'];
  ({ url, stop } = await serving(listen));
  await writeWeakKit(at('lab.kit'), 'lab', PASSPHRASE);
  await ok('vault', 'add', '--kit', at('lab.kit'));
  await ok('enroll', 'hplc-1', '--kit', at('lab.kit'), '--out', at('bundle'));
  pc = new SessionTestAgent(openBundle(await readFile(at('bundle'), 'utf8'), Date.now()));
  await pc.enrol(pc.bundle.url);
  await connect(pc);
  vaultFolder = at(`data/vaults/${hex(pc.bundle.descriptor.vaultId)}`);
  for (let round = 0; round < ROUNDS; round += 1) {
    const files = names.map((path) => ({ path, bytes: bytesOf(path, round) }));
    const { receipt } = await pc.backUp(files);
    const { leafIndex, receivedAtMs } = decodeReceiptBody(receipt.body);
    leaves.push(leafIndex);
    times.push(receivedAtMs);
    if (round === 0) early = pc.copy();
  }
  const kit = { path: at('lab.kit'), passphrase: PASSPHRASE };
  expect((await sendRules({ url, token }, kit, '{keep: {within: 7d}}')).status).toBe(200);
  await stop();
  await withVault(async (vault) => {
    const branchId = vault.register.agentByName('hplc-1')?.lineageId ?? expect.fail('no PC');
    const all = new Uint8Array(Math.ceil(names.length / 8)).fill(255);
    const dropped = leaves.slice(0, DROPPED).map((leafIndex) => ({ leafIndex, slots: all }));
    expect(await vault.sweep.drop({ run: 1, branchId, leaves: dropped })).toBe(
      DROPPED * names.length,
    );
  });
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('I-C28 a vault whose history was thinned', () => {
  it('answers every command as it did before', async () => {
    const listen = ['--data', at('data'), '--listen', '127.0.0.1:0'];
    ({ url, stop } = await serving(listen));
    const before = await everythingAsked();
    await stop();
    const { history } = await withVault((vault) => vault.data.rewrite({ all: true }));
    expect(history).toMatchObject({ isDone: true, kept: [] });
    expect(history.rewrittenFiles).toBeGreaterThan(0);
    expect(await readdir(join(vaultFolder, 'history'))).toContain('00000001-1.history');
    ({ url, stop } = await serving(listen));
    const after = await everythingAsked();
    expect(after).toEqual(before);
    for (const [name, text] of Object.entries(after))
      expect([name, text]).toEqual([name, expect.stringMatching(/^0/)]);
    const lines = (name: string) => after[name]?.match(/^\{/gm)?.length;
    expect([lines('versions'), lines('ls')]).toEqual([ROUNDS - DROPPED, names.length]);
    expect([lines('ls at 0'), lines('ls at 3')]).toEqual([undefined, names.length]);
    expect(after['explain']?.match(/"event":"dropped"/g)?.length).toBe(DROPPED);
  });

  it('restores what is kept, as it was then, and says which versions of before are gone', async () => {
    for (let round = DROPPED; round < ROUNDS; round += 1) {
      const to = at(`back-${round}`);
      const time = new Date(times[round] ?? 0).toISOString();
      await ok('restore', '--agent', 'hplc-1', '--at', time, '--to', to);
      for (const name of names)
        expect(await readFile(join(to, name))).toEqual(Buffer.from(bytesOf(name, round)));
    }
    const time = new Date(times[0] ?? 0).toISOString();
    const gone = await run('restore', '--agent', 'hplc-1', '--at', time, '--to', at('gone'));
    expect(gone).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('of 8 files the state of that time was dropped'),
    });
  });

  it('I-C12 has a PC whose folder was put back to an earlier day held apart, with all that it sends', async () => {
    early.fork();
    await connect(early);
    await early.backUp(names.map((path) => ({ path, bytes: bytesOf(path, 9) })));
    const [line] = (await ok('fork', 'list', '--json')).lines;
    const held = String(line?.['name']);
    expect(held).toMatch(/^hplc-1~/);
    await ok('restore', '--agent', held, '--to', at('held'));
    await ok('restore', '--agent', 'hplc-1', '--to', at('own'));
    for (const name of names) {
      expect(await readFile(join(at('held'), name))).toEqual(Buffer.from(bytesOf(name, 9)));
      const last = Buffer.from(bytesOf(name, ROUNDS - 1));
      expect(await readFile(join(at('own'), name))).toEqual(last);
    }
    await ok('fork', 'decide', held, '--restored');
    const versions = await ok('versions', '--agent', 'hplc-1', '--path', names[0] ?? '', '--json');
    expect(versions.lines.length).toBe(ROUNDS - DROPPED + 1);
  });
});
