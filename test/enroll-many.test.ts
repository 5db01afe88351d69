import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoService, type Finished, run } from '../demo/programs.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/** Several PCs and one bundle, by the real programs. */

let world: World;
beforeAll(async () => {
  world = await World.open({ blind: true });
});
afterAll(async () => world.close());

async function groupBundle(name: string, ...options: readonly string[]): Promise<string> {
  const bundle = join(world.folder, `${name}.bundle`);
  await world.aliquot(['enroll', '--group', name, ...options, '--kit', world.kit, '--out', bundle]);
  return bundle;
}

const place = (name: string, bundle: string): AgentPlace => ({
  name,
  data: join(world.folder, `agent-${name}`),
  bundle,
});
const enrol = ({ name, data, bundle }: AgentPlace): Promise<Finished> =>
  run('aliquot-agent', ['enroll', bundle, '--name', name, '--data', data, '--json']);

interface AgentLine {
  readonly agent: string;
  readonly state: string;
  readonly group?: string;
}

async function agents(): Promise<readonly AgentLine[]> {
  const { lines } = await world.aliquot(['agents', '--json']);
  return lines.filter((line) => 'agent' in line) as unknown as AgentLine[];
}

const stateOf = async (name: string) => (await agents()).find(({ agent }) => agent === name)?.state;

describe('a bundle for a group of PCs', () => {
  it('enrols as many PCs as it is for, under their names; the one too many, a taken and a foreign name are refused with the way out', async () => {
    const bundle = await groupBundle(
      'hall-1',
      '--uses',
      '3',
      '--names',
      'hplc-*',
      '--expires',
      '2d',
    );
    const first = place('hplc-1', bundle);
    const made = await enrol(first);
    expect(made).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('other PCs may still need a copy'),
    });
    expect(made.lines).toMatchObject([
      { event: 'enrolled', agent: 'hplc-1', pending: false, selfRestore: true },
    ]);
    const taken = await enrol({ ...first, data: join(world.folder, 'another') });
    expect(taken).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/hplc-1 is taken.*--name NAME.*\[ENROL_NAME_TAKEN\]/),
    });
    const foreign = await enrol(place('office-1', bundle));
    expect(foreign).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /named hplc-\*, and this one would be office-1.*\[ENROL_NAME\]/,
      ),
    });
    // Refused ones leave the folder free, and cost no use.
    expect(
      (await enrol({ ...place('HPLC-2', bundle), data: join(world.folder, 'another') })).code,
    ).toBe(0);
    expect((await enrol(place('hplc-3', bundle))).code).toBe(0);
    const tooMany = await enrol(place('hplc-4', bundle));
    expect(tooMany).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/was for 3 PCs.*ask for a new one.*\[ENROL_GROUP_FULL\]/),
    });
    const known = (await agents()).filter(({ group }) => group === 'hall-1');
    expect(known.map(({ agent, state }) => `${agent} ${state}`).sort()).toEqual([
      'HPLC-2 enrolled',
      'hplc-1 enrolled',
      'hplc-3 enrolled',
    ]);
    // The same PC again, as after a crash, gets the same answer.
    expect(await enrol(first)).toMatchObject({ code: 0, lines: [{ agent: 'hplc-1' }] });
    const overview = (await world.aliquot(['agents'])).stdout;
    expect(overview).toMatch(/hall-1.*3 of 3/);
  });

  it('P2: what its PCs back up comes back with the kit, each its own, though the vault is blind', async () => {
    const bundle = await groupBundle('hall-2', '--uses', '2');
    const tree = await world.place('tree');
    for (const name of ['ms-1', 'ms-2']) {
      const agent = place(name, bundle);
      expect((await enrol(agent)).code).toBe(0);
      await world.write('tree/run.csv', `of ${name}\n`);
      expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0 });
      expect(await statusOf(agent)).toMatchObject({ results: { safe: 1, total: 1 } });
      // Also by itself.
      const own = join(world.folder, `own-${name}`);
      expect(
        (await run('aliquot-agent', ['restore', tree, '--to', own, '--data', agent.data])).code,
      ).toBe(0);
      expect(await readFile(join(own, tree, 'run.csv'), 'utf8')).toBe(`of ${name}\n`);
    }
    for (const name of ['ms-1', 'ms-2']) {
      const to = join(world.folder, `restored-${name}`);
      const path = join(tree, 'run.csv');
      await world.aliquot([
        'restore',
        '--kit',
        world.kit,
        '--agent',
        name,
        '--path',
        path,
        '--to',
        to,
      ]);
      expect(await readFile(join(to, path), 'utf8')).toBe(`of ${name}\n`);
      const { lines } = await world.aliquot([
        'versions',
        '--kit',
        world.kit,
        '--agent',
        name,
        '--path',
        path,
        '--json',
      ]);
      expect(lines).toHaveLength(1);
      await world.aliquot([
        'restore',
        '--kit',
        world.kit,
        '--agent',
        name,
        '--to',
        join(to, 'all'),
      ]);
      expect(await readFile(join(to, 'all', path), 'utf8')).toBe(`of ${name}\n`);
    }
    await world.aliquot(['check', '--kit', world.kit]);
  });

  it('a PC of a group is revoked, and replaced by another, like any', async () => {
    const bundle = await groupBundle('hall-3', '--uses', '2');
    const old = place('gc-1', bundle);
    await enrol(old);
    const tree = await world.place('gc');
    await world.write('gc/before.csv', 'before');
    await world.backup(old, [tree]);
    await world.aliquot(['agent', 'revoke', 'gc-1']);
    const refused = await run('aliquot-agent', ['flush', '--data', old.data]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('UPLINK_REVOKED') });
    expect((await enrol({ ...old, data: join(world.folder, 'gc-1-again') })).stderr).toMatch(
      /ENROL_NAME_TAKEN/,
    );
    const fresh = await world.agent('gc-1b', ['--replaces', 'gc-1']);
    await world.write('gc/after.csv', 'after');
    await world.backup(fresh, [tree]);
    const path = join(tree, 'before.csv');
    const { lines } = await world.aliquot([
      'versions',
      '--kit',
      world.kit,
      '--agent',
      'gc-1b',
      '--path',
      path,
      '--json',
    ]);
    // One file: the successor's path key is the one that came from the group.
    expect(lines.length).toBeGreaterThanOrEqual(1);
    const { stdout } = await world.aliquot([
      'cat',
      '--kit',
      world.kit,
      '--agent',
      'gc-1b',
      '--path',
      path,
    ]);
    expect(stdout).toBe('before');
    const listed = await world.aliquot(['ls', '--kit', world.kit, '--agent', 'gc-1b', '--json']);
    const paths = listed.lines
      .map((line) => line['path'])
      .filter((name) => String(name).endsWith('before.csv'));
    expect(paths).toHaveLength(1);
  });

  it('is refused once it is ended, and by the collector’s clock when it is late; who came goes on', async () => {
    const bundle = await groupBundle('hall-4', '--uses', '9');
    const early = place('early', bundle);
    expect((await enrol(early)).code).toBe(0);
    const ended = await world.aliquot(['enroll', '--end-group', 'hall-4', '--json']);
    expect(ended.lines).toMatchObject([{ event: 'groupEnded', group: 'hall-4', used: 1, uses: 9 }]);
    expect(await enrol(place('late', bundle))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/ended.*ask for a new one/),
    });
    expect(await world.tryAliquot(['enroll', '--end-group', 'hall-4'])).toMatchObject({ code: 0 });
    expect(await world.tryAliquot(['enroll', '--end-group', 'hall-9'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no group hall-9; it has: .*hall-1/),
    });
    expect(await statusOf(early)).toMatchObject({ event: 'status' });
    const short = await groupBundle('hall-5', '--uses', '9', '--expires', '1s');
    await new Promise((resolve) => setTimeout(resolve, 1100)); // a term is a time
    expect(await enrol(place('too-late', short))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/group hall-5 expired.*new bundle/),
    });
    // An open group keeps its name; one that ended does not.
    await groupBundle('hall-6', '--uses', '1');
    const again = [
      'enroll',
      '--group',
      'hall-6',
      '--uses',
      '1',
      '--kit',
      world.kit,
      '--out',
      join(world.folder, 'again.bundle'),
    ];
    expect(await world.tryAliquot(again)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/group hall-6 that may still be used.*--end-group hall-6/),
    });
    await rm(join(world.folder, 'hall-4.bundle'));
    await groupBundle('hall-4', '--uses', '1');
  });

  it('of PCs that come at once to the last use, or by one name, exactly one is let in', async () => {
    const last = await groupBundle('hall-7', '--uses', '1');
    const rivals = await Promise.all(['x-1', 'x-2', 'x-3'].map((name) => enrol(place(name, last))));
    expect(rivals.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
    for (const { code, stderr } of rivals)
      if (code !== 0) expect(stderr).toContain('ENROL_GROUP_FULL');
    const many = await groupBundle('hall-8', '--uses', '9');
    const twins = await Promise.all(
      ['a', 'b', 'c'].map((folder) =>
        enrol({ name: 'twin', data: join(world.folder, `twin-${folder}`), bundle: many }),
      ),
    );
    expect(twins.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
    for (const { code, stderr } of twins)
      if (code !== 0) expect(stderr).toContain('ENROL_NAME_TAKEN');
    expect(await stateOf('twin')).toBe('enrolled');
  });

  it('waits where the group says so: captures and queues, says it everywhere, and sends once an operator has approved it', async () => {
    const bundle = await groupBundle('hall-10', '--uses', '3', '--approve');
    const pc = place('lc-1', bundle);
    const came = await enrol(pc);
    expect(came).toMatchObject({
      code: 0,
      lines: [{ event: 'enrolled', agent: 'lc-1', pending: true }],
    });
    const tree = await world.place('lc');
    await world.write('lc/run.csv', 'while it waited');
    const offline = await run('aliquot-agent', [
      'backup',
      tree,
      '--offline',
      '--data',
      pc.data,
      '--json',
    ]);
    expect(offline.code).toBe(0);
    const flushed = await run('aliquot-agent', ['flush', '--data', pc.data]);
    expect(flushed).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /lc-1 waits for approval.*aliquot agents approve lc-1.*UPLINK_PENDING/,
      ),
    });
    const status = await run('aliquot-agent', ['status', '--data', pc.data]);
    expect(status.stdout).toMatch(/waits for approval.*aliquot agents approve lc-1/s);
    expect(await statusOf(pc)).toMatchObject({ queue: { entries: 2 } });
    expect(await stateOf('lc-1')).toBe('pending');
    const problems = await world.tryAliquot(['agents', '--problems']);
    expect(problems.stdout).toMatch(/waits for approval.*lc-1.*aliquot agents approve/s);
    const stored = await world.tryAliquot(['ls', '--kit', world.kit, '--agent', 'lc-1']);
    expect(stored.stdout).not.toContain('run.csv');

    // A key for other purposes takes nobody in.
    const keys = {
      settings: join(world.folder, 'settings.key'),
      agents: join(world.folder, 'agents.key'),
    };
    for (const [purposes, out] of Object.entries(keys)) {
      const add = [
        'operator',
        'add',
        `o-${purposes}`,
        '--purposes',
        purposes,
        '--kit',
        world.kit,
        '--out',
        out,
      ];
      expect(await run('aliquot', add, world.environment())).toMatchObject({ code: 0 });
    }
    const wrong = await world.tryAliquot(['agents', 'approve', 'lc-1', '--by', keys.settings]);
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('OPERATOR_PURPOSE') });
    const unknown = await world.tryAliquot(['agents', 'approve', 'lc-9', '--by', keys.agents]);
    expect(unknown).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no agent lc-9 waits.*these wait: lc-1/),
    });
    expect(await stateOf('lc-1')).toBe('pending');

    const approved = await world.aliquot([
      'agents',
      'approve',
      'lc-1',
      '--by',
      keys.agents,
      '--json',
    ]);
    expect(approved.lines).toMatchObject([{ event: 'approved', agent: 'lc-1', group: 'hall-10' }]);
    expect((await run('aliquot-agent', ['flush', '--data', pc.data])).code).toBe(0);
    expect(await stateOf('lc-1')).toBe('enrolled');
    const { stdout } = await world.aliquot([
      'cat',
      '--kit',
      world.kit,
      '--agent',
      'lc-1',
      '--path',
      join(tree, 'run.csv'),
    ]);
    expect(stdout).toBe('while it waited');
    const again = await world.tryAliquot(['agents', 'approve', 'lc-1', '--kit', world.kit]);
    expect(again).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /lc-1 does not wait for approval: it is enrolled; nobody waits/,
      ),
    });
  });

  it('P1: takes the place of another when it is approved so: what it captured while it waited goes on in that history, under one id for each file', async () => {
    const old = await world.agent('ms-old');
    const tree = await world.place('ms');
    await world.write('ms/kept.csv', 'as it was');
    await world.write('ms/changed.csv', 'before');
    await world.backup(old, [tree]);
    // The re-imaged PC comes under the very name of the one that it was.
    const bundle = await groupBundle('hall-12', '--uses', '2', '--approve');
    const pc: AgentPlace = { name: 'ms-old', data: join(world.folder, 'agent-ms-new'), bundle };
    expect((await enrol(pc)).lines).toMatchObject([{ agent: 'ms-old', pending: true }]);
    await world.write('ms/changed.csv', 'after');
    await world.write('ms/new.csv', 'gone soon');
    expect(
      (await run('aliquot-agent', ['backup', tree, '--offline', '--data', pc.data])).code,
    ).toBe(0);
    await rm(join(tree, 'new.csv'));
    // As itself it may not be approved: the name is borne.
    const borne = await world.tryAliquot(['agents', 'approve', 'ms-old', '--kit', world.kit]);
    expect(borne).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/enrolled agent has the name ms-old.*--replaces ms-old/),
    });
    const key = join(world.folder, 'agents.key');
    const noKit = await world.tryAliquot([
      'agents',
      'approve',
      'ms-old',
      '--replaces',
      'ms-old',
      '--by',
      key,
    ]);
    expect(noKit).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--replaces needs the kit/),
    });
    // Nothing may be signed as somebody that it will not be.
    const exported = await run('aliquot-agent', [
      'queue',
      'export',
      join(world.folder, 'queue.file'),
      '--data',
      pc.data,
    ]);
    expect(exported).toMatchObject({ code: 1, stderr: expect.stringContaining('UPLINK_PENDING') });
    await world.aliquot([
      'agents',
      'approve',
      'ms-old',
      '--replaces',
      'ms-old',
      '--kit',
      world.kit,
    ]);
    // Until it has heard of that, the old one works.
    expect((await run('aliquot-agent', ['flush', '--data', old.data])).code).toBe(0);
    const flushed = await run('aliquot-agent', ['flush', '--data', pc.data, '--json']);
    expect(flushed).toMatchObject({ code: 0, stderr: '' });
    expect((await run('aliquot-agent', ['flush', '--data', old.data])).stderr).toContain(
      'UPLINK_REVOKED',
    );
    const listed = await world.aliquot(['ls', '--kit', world.kit, '--agent', 'ms-old', '--json']);
    const files = listed.lines
      .map((line) => String(line['path']))
      .filter((path) => path.endsWith('.csv'));
    expect(files.sort()).toEqual(
      ['changed.csv', 'kept.csv', 'new.csv'].map((name) => join(tree, name)),
    );
    const changed = [
      'versions',
      '--kit',
      world.kit,
      '--agent',
      'ms-old',
      '--path',
      join(tree, 'changed.csv'),
      '--json',
    ];
    expect((await world.aliquot(changed)).lines).toHaveLength(2);
    for (const [name, content] of [
      ['changed.csv', 'after'],
      ['new.csv', 'gone soon'],
      ['kept.csv', 'as it was'],
    ] as const) {
      const { stdout } = await world.aliquot([
        'cat',
        '--kit',
        world.kit,
        '--agent',
        'ms-old',
        '--path',
        join(tree, name),
      ]);
      expect(stdout).toBe(content);
    }
    // It goes on like any, and knows what it had captured.
    expect(await world.backup(pc, [tree])).toMatchObject({ failed: 0, newFiles: 0 });
    const { stdout } = await world.aliquot(['agents']);
    expect(stdout.match(/^(connected|enrolled|pending|replaced) .*ms-old/gm)).toHaveLength(2);
    expect((await enrol(pc)).stderr).toMatch(/enrolled already, as ms-old/);
  });

  it('a service takes the place of another by itself, without a restart', async () => {
    const old = await world.agent('gc-old');
    const tree = await world.place('gc2');
    await world.write('gc2/a.csv', 'a');
    await world.backup(old, [tree]);
    const bundle = await groupBundle('hall-13', '--uses', '2', '--approve');
    const pc = place('gc-new', bundle);
    await enrol(pc);
    await writeFile(
      join(pc.data, 'agent.yaml'),
      `sources:\n  - path: ${tree}\n    quietPeriodSeconds: 0\n`,
    );
    await world.write('gc2/b.csv', 'b');
    const service = new DemoService('aliquot-agent', ['run', '--data', pc.data]);
    try {
      await service.event('running');
      await world.aliquot([
        'agents',
        'approve',
        'gc-new',
        '--replaces',
        'gc-old',
        '--kit',
        world.kit,
      ]);
      for (;;) {
        const { lines } = await world.aliquot([
          'ls',
          '--kit',
          world.kit,
          '--agent',
          'gc-new',
          '--json',
        ]);
        const files = lines
          .map((line) => String(line['path']))
          .filter((path) => path.endsWith('.csv'));
        if (files.length === 2) break;
        await delay(300); // how often we look; nothing depends on it
      }
      expect(await stateOf('gc-old')).toBe('replaced');
      expect(await statusOf(pc)).toMatchObject({ connection: 'ready' });
    } finally {
      await service.stop();
    }
  });

  it('bundles carry the first settings, of a PC and of a group: the first start needs nobody', async () => {
    const mine = await world.place('first-mine');
    const theirs = await world.place('first-theirs');
    await world.write('first-mine/a.csv', 'of one PC');
    await world.write('first-theirs/b.csv', 'of a group');
    const watching = (path: string) => `sources: [{ path: ${path}, quietPeriodSeconds: 0 }]`;
    const groups = `groups: { hall-14: { names: ["first-*"], ${watching(theirs)} } }`;
    const file = await world.write(
      'policy.yaml',
      `agents: { ${groups}, pcs: { first-1: { ${watching(mine)} } } }\n`,
    );
    await world.aliquot(['policy', 'set', file, '--kit', world.kit, '--yes']);
    const bundle = await groupBundle('hall-14', '--uses', '2', '--names', 'first-*');
    const single = await world.bundle('first-1', ['--json']);
    const services: DemoService[] = [];
    try {
      for (const pc of [place('first-1', single), place('first-2', bundle)]) {
        expect(await enrol(pc)).toMatchObject({ code: 0 });
        const service = new DemoService('aliquot-agent', ['run', '--data', pc.data]);
        services.push(service);
        expect((await service.event('running'))['sources']).toEqual([
          pc.name === 'first-1' ? mine : theirs,
        ]);
      }
      for (const [name, path, content] of [
        ['first-1', join(mine, 'a.csv'), 'of one PC'],
        ['first-2', join(theirs, 'b.csv'), 'of a group'],
      ] as const) {
        for (;;) {
          const found = await world.tryAliquot([
            'cat',
            '--kit',
            world.kit,
            '--agent',
            name,
            '--path',
            path,
          ]);
          if (found.code === 0) {
            expect(found.stdout).toBe(content);
            break;
          }
          await delay(300); // how often we look; nothing depends on it
        }
      }
    } finally {
      for (const service of services) await service.stop();
    }
  });

  it('carries its queue by hand like any, where it has no network', async () => {
    const bundle = await groupBundle('hall-15', '--uses', '1');
    const pc = place('island', bundle);
    await enrol(pc);
    const tree = await world.place('island');
    await world.write('island/a.csv', 'carried');
    expect(
      (await run('aliquot-agent', ['backup', tree, '--offline', '--data', pc.data])).code,
    ).toBe(0);
    const [queue, receipts] = [
      join(world.folder, 'island.queue'),
      join(world.folder, 'island.receipts'),
    ];
    expect(await run('aliquot-agent', ['queue', 'export', queue, '--data', pc.data])).toMatchObject(
      { code: 0 },
    );
    await world.aliquot(['queue', 'import', queue, '--out', receipts]);
    expect(
      await run('aliquot-agent', ['queue', 'import', receipts, '--data', pc.data]),
    ).toMatchObject({ code: 0 });
    expect(await statusOf(pc)).toMatchObject({ queue: { entries: 0 } });
    const { stdout } = await world.aliquot([
      'cat',
      '--kit',
      world.kit,
      '--agent',
      'island',
      '--path',
      join(tree, 'a.csv'),
    ]);
    expect(stdout).toBe('carried');
  });

  it('one that waits and is not wanted is revoked, and hears of it', async () => {
    const bundle = await groupBundle('hall-11', '--uses', '3', '--approve');
    const pc = place('stranger', bundle);
    await enrol(pc);
    await world.aliquot(['agent', 'revoke', 'stranger']);
    const refused = await run('aliquot-agent', ['flush', '--data', pc.data]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('UPLINK_REVOKED') });
    const approve = await world.tryAliquot(['agents', 'approve', 'stranger', '--kit', world.kit]);
    expect(approve).toMatchObject({ code: 1, stderr: expect.stringMatching(/it is revoked/) });
    expect((await world.aliquot(['agents'])).stdout).toMatch(/hall-11.*1 of 3/);
  });

  it('P5: the log that says all this proves itself, and a restarted collector goes on counting', async () => {
    await world.unserve();
    const { lines, code } = await run(
      'aliquot',
      ['fsck', '--data', world.collectorData, '--json'],
      world.environment(),
    );
    expect({ code, lines }).toMatchObject({ code: 0 });
    await world.serve();
    const full = join(world.folder, 'hall-1.bundle');
    expect(await enrol(place('hplc-9', full))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ENROL_GROUP_FULL'),
    });
    expect(await enrol(place('hplc-1', full))).toMatchObject({ code: 0 });
  });
});
