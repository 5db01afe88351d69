import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeSigned, encodeSigned } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { verifyAgent } from '@aliquot/shared/keys/certificates';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import { openKit } from '@aliquot/shared/keys/kit';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { issueSettings } from '@aliquot/shared/keys/settings';
import { systemRandom } from '@aliquot/shared/ports';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DemoService, type JsonLine, mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * Settings from the desk, with real processes: a blind vault, an operator with a key of her own,
 * and two PCs.
 */

let world: World;
let services: DemoService[];
let pcs: AgentPlace[];
let maria: string;

beforeEach(async () => {
  world = await World.open({ blind: true });
  services = [];
  maria = join(world.folder, 'maria.key');
  await mustRun(
    'aliquot',
    ['operator', 'add', 'maria', '--kit', world.kit, '--out', maria, '--purposes', 'settings'],
    world.environment(),
  );
  pcs = [await world.agent('hplc-1'), await world.agent('lcms-1')];
});
afterEach(async () => {
  for (const service of services) await service.stop('SIGKILL');
  await world.close();
});

async function started(pc: AgentPlace): Promise<DemoService> {
  const service = new DemoService('aliquot-agent', ['run', '--data', pc.data]);
  services.push(service);
  await service.event('running');
  return service;
}

async function policy(text: string): Promise<string> {
  const file = join(world.folder, 'policy.yaml');
  await writeFile(file, text);
  return file;
}

const set = async (text: string, ...more: string[]) =>
  world.tryAliquot(['policy', 'set', await policy(text), '--by', maria, '--json', ...more]);

/** What `agents` says, once it says what is wanted. */
async function agentsWhen(
  wanted: (lines: readonly JsonLine[]) => boolean,
): Promise<readonly JsonLine[]> {
  for (;;) {
    const { lines } = await world.aliquot(['agents', '--json']);
    const agents = lines.filter((line) => 'agent' in line);
    if (wanted(agents)) return agents;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const stateOf = (lines: readonly JsonLine[], name: string) =>
  lines.find((line) => line['agent'] === name)?.['settings'] as JsonLine | undefined;
const isCurrent =
  (sequence: number, ...names: string[]) =>
  (lines: readonly JsonLine[]) =>
    names.every((name) => stateOf(lines, name)?.['inForce'] === sequence);

async function settingsOf({ data }: AgentPlace): Promise<readonly JsonLine[]> {
  for (;;) {
    // Empty while the service starts again with them.
    const { code, lines } = await run('aliquot-agent', ['settings', '--data', data, '--json']);
    if (code === 0) return lines;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const watched = (folder: string) => `{path: ${JSON.stringify(folder)}, quietPeriodSeconds: 0}`;

describe('settings from the desk', () => {
  it('P3: reach every PC that is connected, take effect without a restart, and tell the collector no path', async () => {
    const [hplc, lcms] = pcs as [AgentPlace, AgentPlace];
    const service = await started(hplc);
    await started(lcms);
    const folder = await world.place('results-of-the-institute');
    const answer = await set(`agents:
  defaults: {scanIntervalSeconds: 1}
  groups: {hplc: {names: [hplc-*], sources: [${watched(folder)}]}}
`);
    expect(answer).toMatchObject({ code: 0 });
    expect(answer.lines.at(-1)).toMatchObject({
      event: 'policy',
      revision: 1,
      agents: 2,
      waiting: 0,
      losesCover: 0,
    });
    const agents = await agentsWhen(isCurrent(1, 'hplc-1', 'lcms-1'));
    expect(stateOf(agents, 'hplc-1')).toMatchObject({ state: 'current', groups: ['hplc'] });
    expect(agents[0]).toMatchObject({ release: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    const file = await world.write('results-of-the-institute/run.csv', 'result');
    for (;;) {
      const { lines } = await run('aliquot-agent', ['status', '--data', hplc.data, '--json']);
      if (lines.some((line) => line['path'] === file && line['state'] === 'safe')) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(service.child.exitCode).toBeNull();
    const values = await settingsOf(hplc);
    expect(values).toContainEqual({
      event: 'setting',
      setting: 'scanIntervalSeconds',
      value: '1',
      origin: ['desk 1'],
    });
    expect(values).toContainEqual({
      event: 'setting',
      setting: 'logLevel',
      value: 'info',
      origin: ['built in'],
    });
    // Another PC learns nothing of it either.
    for (const place of [world.collectorData, lcms.data])
      expect(await filesWith(place, 'results-of-the-institute')).toEqual([]);
    await world.unserve();
    await mustRun('aliquot', ['fsck', '--data', world.collectorData], world.environment());
  });

  it('are read back by who may, by revision and by PC; a PC that comes later gets them when it comes', async () => {
    const text = 'agents: {pcs: {lcms-1: {workers: 2}}}\n';
    expect((await set(text)).code).toBe(0);
    expect((await set('agents: {groups: {lcms: {names: [lcms*], workers: 3}}}\n')).code).toBe(0);
    const [newest] = (await world.aliquot(['policy', 'get', '--by', maria, '--json'])).lines;
    expect(newest).toMatchObject({
      event: 'policy',
      revision: 2,
      text: 'agents: {groups: {lcms: {names: [lcms*], workers: 3}}}\n',
    });
    const [first] = (
      await world.aliquot(['policy', 'get', '--kit', world.kit, '--revision', '1', '--json'])
    ).lines;
    expect(first).toMatchObject({ revision: 1, text });
    const [own] = (
      await world.aliquot(['policy', 'get', '--agent', 'lcms-1', '--by', maria, '--json'])
    ).lines;
    const typo = await world.aliquot(['policy', 'get', '--agent', 'lcms1', '--by', maria]);
    expect(typo.stderr).toContain(
      'no PC lcms1 is enrolled; this is what one of that name would be told',
    );
    expect(own).toMatchObject({ event: 'settings', agent: 'lcms-1', text: 'workers: 3\n' });
    await started(pcs[1] as AgentPlace);
    await agentsWhen(isCurrent(2, 'lcms-1'));
  });

  it('P6: for nobody, or by which a folder loses its cover, need --yes; the PC names it until a person there has seen it', async () => {
    const [hplc] = pcs as [AgentPlace];
    await started(hplc);
    const folder = await world.place('old');
    await set(`agents: {pcs: {hplc-1: {sources: [${watched(folder)}]}}}\n`);
    await agentsWhen(isCurrent(1, 'hplc-1'));
    const without = 'agents: {pcs: {hplc-1: {logLevel: info}, hplc-2: {logLevel: info}}}\n';
    const refused = await set(without);
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('1 folder loses its cover, and 1 entry is for nobody'),
    });
    expect(refused.stderr).toContain('there is no PC hplc-2; did you mean hplc-1?');
    const diff = await world.aliquot([
      'policy',
      'diff',
      await policy(without),
      '--by',
      maria,
      '--json',
    ]);
    expect(diff.lines).toMatchObject([
      { agent: 'hplc-1', changed: true, losesCover: [{ path: folder, patterns: [] }] },
    ]);
    expect((await set(without, '--yes')).code).toBe(0);
    const agents = await agentsWhen(
      (lines) =>
        isCurrent(2, 'hplc-1')(lines) &&
        JSON.stringify(lines[0]?.['problems']).includes('uncovered'),
    );
    expect(stateOf(agents, 'hplc-1')).toMatchObject({ state: 'current' });
    const problems = async () =>
      (await mustRun('aliquot-agent', ['status', '--data', hplc.data, '--json'])).lines.filter(
        (line) => line['event'] === 'problem' && line['code'] === 'uncovered',
      );
    expect(await problems()).toMatchObject([
      { path: folder, message: expect.stringContaining('by settings 2 of central IT') },
    ]);
    await mustRun('aliquot-agent', ['settings', '--acknowledge', '--data', hplc.data]);
    expect(await problems()).toEqual([]);
    await agentsWhen((lines) => !JSON.stringify(lines[0]?.['problems']).includes('uncovered'));
  });

  it('wait for the first PCs, and for who promotes them', async () => {
    await started(pcs[0] as AgentPlace);
    await started(pcs[1] as AgentPlace);
    const text = (workers: number) =>
      `agents: {defaults: {workers: ${workers}}, groups: {first: {names: [lcms-1]}}}\n`;
    await set(text(1));
    await agentsWhen(isCurrent(1, 'hplc-1', 'lcms-1'));
    expect((await set(text(2), '--canary', 'fist')).stderr).toContain(
      'there is no group fist; the file has first',
    );
    const answer = await set(text(2), '--canary', 'first');
    expect(answer.lines.at(-1)).toMatchObject({ revision: 2, agents: 2, waiting: 1 });
    const agents = await agentsWhen(isCurrent(2, 'lcms-1'));
    expect(stateOf(agents, 'hplc-1')).toMatchObject({
      state: 'current',
      inForce: 1,
      offered: 1,
      waiting: 2,
    });
    expect((await world.aliquot(['policy', 'promote', '--json'])).lines).toMatchObject([
      { sequence: 2, agents: ['hplc-1'] },
    ]);
    await agentsWhen(isCurrent(2, 'hplc-1', 'lcms-1'));
    expect((await world.aliquot(['policy', 'promote', '--json'])).lines).toMatchObject([
      { sequence: 0, agents: [] },
    ]);
  });

  it('that are wrong are refused by `check`, and, forced past it, by the PC, which goes on; the reason is for who has the key', async () => {
    const [hplc] = pcs as [AgentPlace];
    await started(hplc);
    await set('agents: {defaults: {workers: 2}}\n');
    await agentsWhen(isCurrent(1, 'hplc-1'));
    const wrong = await policy('agents:\n  defaults:\n    sources: [{path: my/secret/folder}]\n');
    expect(await run('aliquot', ['policy', 'check', wrong], world.environment())).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`${wrong}:3:22: sources[0].path must be an absolute path`),
    });
    expect((await world.tryAliquot(['policy', 'set', wrong, '--by', maria])).code).toBe(2);
    await force('sources: [{path: my/secret/folder}]\n', 2);
    const agents = await agentsWhen((lines) => stateOf(lines, 'hplc-1')?.['state'] === 'refused');
    expect(stateOf(agents, 'hplc-1')).toMatchObject({
      inForce: 1,
      offered: 2,
      code: 'SETTINGS_INVALID',
    });
    const [said] = (
      await world.aliquot(['policy', 'get', '--agent', 'hplc-1', '--by', maria, '--json'])
    ).lines;
    expect(said?.['reply']).toMatchObject({
      outcome: 'refused',
      why: expect.stringContaining('line 1: sources[0].path must be an absolute'),
    });
    expect(await settingsOf(hplc)).toContainEqual({
      event: 'setting',
      setting: 'workers',
      value: '2',
      origin: ['desk 1'],
    });
    expect(await filesWith(world.collectorData, 'my/secret')).toEqual([]);
    await force('holography: true\n', 3);
    await agentsWhen((lines) => stateOf(lines, 'hplc-1')?.['state'] === 'cannot');
    expect((await set('agents: {defaults: {workers: 3}}\n')).lines.at(-1)).toMatchObject({
      revision: 4,
    });
    await agentsWhen(isCurrent(4, 'hplc-1'));
  });

  it('stand in the bundle of a PC that is enrolled later, so that its first start needs nobody; a later policy takes their place', async () => {
    const folder = await world.place('new');
    await set(`agents: {groups: {hplc: {names: [hplc-*], sources: [${watched(folder)}]}}}\n`);
    const later = await world.agent('hplc-3');
    await world.unserve();
    await started(later);
    expect(await settingsOf(later)).toContainEqual({
      event: 'setting',
      setting: `sources ${folder}`,
      value: 'watched',
      origin: ['desk 1'],
    });
    await world.serve();
    await agentsWhen(isCurrent(1, 'hplc-3'));
    await set(
      `agents: {groups: {hplc: {names: [hplc-*], sources: [${watched(folder)}], workers: 2}}}\n`,
    );
    await agentsWhen(isCurrent(2, 'hplc-3'));
  });

  it('are carried with the receipts to a PC without a network', async () => {
    const [hplc] = pcs as [AgentPlace];
    await set('agents: {pcs: {hplc-1: {workers: 2}}}\n');
    const file = (name: string) => join(world.folder, name);
    const round = async (name: string) => {
      await mustRun('aliquot-agent', [
        'queue',
        'export',
        file(`${name}.queue`),
        '--data',
        hplc.data,
      ]);
      await world.aliquot([
        'queue',
        'import',
        file(`${name}.queue`),
        '--out',
        file(`${name}.receipts`),
      ]);
      await mustRun('aliquot-agent', [
        'queue',
        'import',
        file(`${name}.receipts`),
        '--data',
        hplc.data,
      ]);
    };
    await round('first');
    expect(await settingsOf(hplc)).toContainEqual({
      event: 'setting',
      setting: 'workers',
      value: '2',
      origin: ['desk 1'],
    });
    expect(stateOf(await agentsWhen(() => true), 'hplc-1')).toMatchObject({
      state: 'older',
      inForce: 0,
      offered: 1,
    });
    await round('second');
    expect(stateOf(await agentsWhen(() => true), 'hplc-1')).toMatchObject({
      state: 'current',
      inForce: 1,
    });
  });
});

/** Sets settings for hplc-1 as no program of ours does: signed rightly, and never checked. */
async function force(text: string, revision: number): Promise<void> {
  const kit = await openKit(await readFile(world.kit, 'utf8'), 'correct horse battery staple');
  const { descriptor, authority } = kit;
  const policyKey = policyKeyFor(kit.pathSecret, descriptor.vaultId);
  const token = (await readFile(join(world.collectorData, 'admin.token'), 'utf8')).trim();
  const at = `${world.url}/v1/operator/vaults/${Buffer.from(descriptor.vaultId).toString('hex')}`;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const { agents } = (await (await fetch(`${at}/agents`, { headers })).json()) as {
    agents: { name: string; enrolment: string; binding: string }[];
  };
  const info = agents.find(({ name }) => name === 'hplc-1');
  const signed = (part = '') => decodeSigned(new Uint8Array(Buffer.from(part, 'base64')));
  const { enrolment, binding } = verifyAgent(
    descriptor.authorityKey,
    descriptor.vaultId,
    signed(info?.enrolment),
    signed(info?.binding),
  );
  const sealed = sealPolicyText(
    policyKey.publicKey,
    descriptor,
    'agents: {defaults: {workers: 1}}\n',
    systemRandom,
  );
  const now = Date.now();
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const settings = issueSettings(
    authority,
    descriptor,
    { agentId: enrolment.agentId, boxKey: binding.boxKey },
    { sequence: revision, issuedAtMs: now, expiresAtMs: now + 60_000, groups: [] },
    { version: 1, text, answerKey: policyKey.publicKey },
    systemRandom,
  );
  const policyBody = {
    version: 1,
    vaultId: descriptor.vaultId,
    revision,
    setAtMs: now,
    sealedHash: sha256(sealed),
    rules: undefined,
  } as const;
  const body = {
    policy: base64(encodeSigned(issuePolicy(authority, policyBody))),
    sealed: base64(sealed),
    settings: [{ signed: base64(encodeSigned(settings)), waits: false }],
  };
  const answer = await fetch(`${at}/policy`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  expect([answer.status, await answer.text()]).toMatchObject([200, expect.any(String)]);
}

/** Files below a folder that hold a text. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const items = await readdir(folder, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const item of items) {
    if (!item.isFile()) continue;
    const path = join(item.parentPath, item.name);
    if ((await readFile(path)).includes(text)) found.push(path);
  }
  return found;
}
