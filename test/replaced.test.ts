import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Finished, run } from '../demo/programs.ts';
import { freePort } from './ports.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * An agent that is replaced or revoked: nothing that it captured is out of reach, whichever way its
 * PC is enrolled again.
 */
describe('an agent that is replaced or revoked', () => {
  let world: World;

  beforeEach(async () => {
    world = await World.open();
  });

  afterEach(() => world.close());

  const backup = (agent: AgentPlace, path: string, ...options: string[]): Promise<Finished> =>
    run('aliquot-agent', ['backup', path, '--data', agent.data, '--json', ...options]);
  const enrol = (bundle: string, data: string): Promise<Finished> =>
    run('aliquot-agent', ['enroll', bundle, '--data', data, '--json']);
  const agentRun = (agent: AgentPlace, ...args: string[]): Promise<Finished> =>
    run('aliquot-agent', [...args, '--data', agent.data, '--json']);

  async function cat(agent: string, path: string): Promise<string> {
    return (await world.tryAliquot(['cat', '--kit', world.kit, '--agent', agent, '--path', path]))
      .stdout;
  }

  async function idOf(name: string, state: string): Promise<string> {
    const { lines } = await world.aliquot(['agents', '--json']);
    return String(
      lines.find((line) => line['agent'] === name && line['state'] === state)?.['agentId'],
    );
  }

  async function held(): Promise<string> {
    const { lines } = await world.aliquot(['fork', 'list', '--json']);
    return String(lines[0]?.['name']);
  }

  it('P1: its folder is enrolled anew in place: what is queued arrives, history goes on, and what went meanwhile becomes gone', async () => {
    const agent = await world.agent('pc');
    const [first, second] = [
      await world.write('data/first', 'first'),
      await world.write('data/second', 'second'),
    ];
    const data = join(world.folder, 'data');
    await world.backup(agent, [data]);
    // The collector moves, and nobody has told the PC.
    await world.unserve();
    await world.serve(world.collectorData, { port: await freePort() });
    await world.write('data/third', 'third');
    expect((await backup(agent, data)).code).toBe(3);
    await rm(join(data, 'third'));
    const bundle = await world.bundle('pc-b', ['--replaces', 'pc']);
    const wrong = await world.bundle('other');
    expect(await enrol(wrong, agent.data)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/enrolled already, as pc.*--replaces pc/),
    });
    expect((await enrol(bundle, agent.data)).lines).toMatchObject([
      { event: 'enrolled', agent: 'pc-b', tookOver: true, collector: world.url },
    ]);
    expect((await enrol(bundle, agent.data)).lines).toMatchObject([
      { agent: 'pc-b', tookOver: false },
    ]);
    expect((await agentRun(agent, 'flush')).lines.at(-1)).toMatchObject({ versions: 2, queued: 0 });
    expect(await cat('pc-b', join(data, 'third'))).toBe('third');
    expect(await cat('pc', join(data, 'third'))).toBe('third');
    expect(
      await world.tryAliquot(['agent', 'gone', 'pc-b', '--path', '**', '--yes']),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/own scans/),
    });
    await rm(second);
    const after = await world.backup(agent, [data]);
    expect(after).toMatchObject({ newFiles: 0, failed: 0 });
    const { lines } = await world.aliquot(['ls', '--json']);
    expect(lines.map((line) => [line['agent'], line['path']])).toEqual([['pc-b', first]]);
    expect(await statusOf(agent)).not.toHaveProperty('connectionProblem');
    expect((await world.aliquot(['fork', 'list', '--json'])).lines).toEqual([]);
    expect((await agentRun(agent, 'fsck')).code).toBe(0);
    await world.unserve();
    await world.aliquot(['fsck', '--data', world.collectorData]);
  });

  it('P1: commits that it had signed go first, as its own; once it is refused they are carried, held apart, and joined by a decision', async () => {
    const [pc, pd] = [await world.agent('pc'), await world.agent('pd')];
    const files = new Map<AgentPlace, string>();
    for (const agent of [pc, pd]) {
      const file = await world.write(`data/${agent.name}`, agent.name);
      files.set(agent, file);
      expect((await backup(agent, file, '--offline')).code).toBe(0);
      // An export signs all that is queued.
      expect(
        (await agentRun(agent, 'queue', 'export', join(world.folder, `${agent.name}.queue`))).code,
      ).toBe(0);
      await rm(file);
    }
    const [forPc, forPd] = [
      await world.bundle('pc-b', ['--replaces', 'pc']),
      await world.bundle('pd-b', ['--replaces', 'pd']),
    ];
    expect((await enrol(forPc, pc.data)).code).toBe(0);
    expect(await cat('pc', files.get(pc) ?? '')).toBe('pc');
    expect((await world.aliquot(['fork', 'list', '--json'])).lines).toEqual([]);

    await world.aliquot(['agent', 'revoke', 'pd']);
    const stuck = await enrol(forPd, pd.data);
    expect(stuck).toMatchObject({ code: 1, stderr: expect.stringMatching(/--accept-ended/) });
    const [queue, receipts] = [join(world.folder, 'pd.queue'), join(world.folder, 'pd.receipts')];
    const refused = await world.tryAliquot(['queue', 'import', queue, '--out', receipts]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/--accept-ended/) });
    await world.aliquot(['queue', 'import', queue, '--out', receipts, '--accept-ended']);
    expect((await agentRun(pd, 'queue', 'import', receipts)).code).toBe(0);
    expect((await enrol(forPd, pd.data)).lines).toMatchObject([{ agent: 'pd-b', tookOver: true }]);
    const apart = await held();
    expect(apart).toMatch(/^pd~/);
    const path = files.get(pd) ?? '';
    expect(await cat(apart, path)).toBe('pd');
    expect(await cat('pd-b', path)).toBe('');
    const { lines } = await world.aliquot(['ls', '--json']);
    for (const line of lines)
      expect(await cat(String(line['agent']), String(line['path']))).not.toBe('');
    await world.aliquot(['fork', 'decide', apart, '--restored']);
    expect(await cat('pd-b', path)).toBe('pd');
    await world.unserve();
    await world.aliquot(['fsck', '--data', world.collectorData]);
  });

  it('P1: in a new folder it begins anew, and the queue of the old folder is carried', async () => {
    const agent = await world.agent('pc');
    const file = await world.write('data/kept', 'kept');
    expect((await backup(agent, file, '--offline')).code).toBe(0);
    await rm(file);
    const data = join(world.folder, 'agent-new');
    expect(
      (await enrol(await world.bundle('pc-b', ['--replaces', 'pc']), data)).lines,
    ).toMatchObject([{ agent: 'pc-b', tookOver: false }]);
    const [queue, receipts] = [join(world.folder, 'q'), join(world.folder, 'r')];
    expect((await agentRun(agent, 'queue', 'export', queue)).code).toBe(0);
    await world.aliquot(['queue', 'import', queue, '--out', receipts, '--accept-ended']);
    const apart = await held();
    expect(await cat(apart, file)).toBe('kept');
    await world.aliquot(['fork', 'decide', apart, '--restored']);
    expect(await cat('pc-b', file)).toBe('kept');
  });

  it('P6: what a new installation does not find becomes gone by an operator’s word, never by itself, and stays restorable', async () => {
    const old = await world.agent('pc');
    const [stays, went, elsewhere] = [
      await world.write('data/stays', 'stays'),
      await world.write('data/went', 'went'),
      await world.write('not watched yet/file', 'kept'),
    ];
    const data = join(world.folder, 'data');
    await world.backup(old, [data, join(world.folder, 'not watched yet')]);
    const before = new Date(Date.now() + 1).toISOString();
    await rm(went);
    const fresh = await world.agent('pc-b', ['--replaces', 'pc']);
    const gone = (...options: string[]) =>
      world.tryAliquot(['agent', 'gone', 'pc-b', '--path', join(data, '**'), '--json', ...options]);
    // Nobody knows yet what it finds.
    expect(await gone('--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/finished scan/),
    });
    await world.backup(fresh, [data]);
    const paths = async (...options: string[]) =>
      (await world.aliquot(['ls', '--json', ...options])).lines
        .map((line) => line['path'])
        .toSorted();
    expect(await paths()).toEqual([elsewhere, stays, went].toSorted());
    const listed = await gone();
    expect(listed.lines.filter((line) => line['event'] === 'file')).toMatchObject([{ path: went }]);
    expect(listed.lines.at(-1)).toMatchObject({ event: 'gone', files: 1, recorded: false });
    expect(await paths()).toHaveLength(3);
    expect((await gone('--yes')).lines.at(-1)).toMatchObject({
      event: 'gone',
      files: 1,
      recorded: true,
    });
    expect((await gone('--yes')).lines.at(-1)).toMatchObject({
      event: 'gone',
      files: 0,
      recorded: false,
    });
    // A path that was mistyped is no success: anyone who reads 0 believes that it was said.
    const typo = ['agent', 'gone', 'pc-b', '--path', `${stays}x`, '--yes'];
    const meant = expect.stringContaining(`did you mean ${stays}? [COMMAND_NO_SUCH_FILE]`);
    expect(await world.tryAliquot(typo)).toMatchObject({ code: 1, stderr: meant });
    expect(
      await world.tryAliquot(['agent', 'gone', 'pc-b', '--path', '/nowhere/**']),
    ).toMatchObject({ code: 1 });
    expect(await paths()).toEqual([elsewhere, stays].toSorted());
    expect(await paths('--agent', 'pc')).toEqual([elsewhere, stays].toSorted());
    expect(await paths('--at', before)).toEqual([elsewhere, stays, went].toSorted());
    const [row] = (await world.aliquot(['agents', '--json'])).lines.filter(
      (line) => line['agent'] === 'pc-b',
    );
    expect(row).toMatchObject({ files: 2 });
    const to = join(world.folder, 'as it was');
    await world.aliquot([
      'restore',
      '--kit',
      world.kit,
      '--agent',
      'pc-b',
      '--at',
      before,
      '--to',
      to,
    ]);
    expect(await readFile(join(to, went), 'utf8')).toBe('went');
    expect(
      (await world.aliquot(['versions', '--agent', 'pc-b', '--path', went, '--json'])).lines,
    ).toHaveLength(1);
    // It comes back like any other.
    await world.write('data/went', 'again');
    await world.backup(fresh, [data]);
    expect(await paths()).toHaveLength(3);
    expect(await cat('pc-b', went)).toBe('again');
    await world.unserve();
    await rm(join(world.collectorData, 'catalog'), { recursive: true, force: true });
    await world.serve();
    expect(await paths()).toHaveLength(3);
    expect(await paths('--at', before)).toHaveLength(3);
    // Neither of an agent that replaces nobody, nor of one that was replaced.
    await world.agent('alone');
    for (const name of ['alone', 'pc']) {
      const refused = await world.tryAliquot(['agent', 'gone', name, '--path', '**', '--yes']);
      expect(refused.code === 1 || refused.stdout.includes('captured all'), name).toBe(true);
    }
    await world.unserve();
    await world.aliquot(['fsck', '--data', world.collectorData]);
  });

  it('keeps its name: a bundle under it needs --replaces, and goes on with its files; each is found by its id too', async () => {
    const agent = await world.agent('pc');
    const file = await world.write('data/file', 'old');
    await world.backup(agent, [file]);
    await world.aliquot(['agent', 'revoke', 'pc']);
    const out = join(world.folder, 'again.bundle');
    const taken = await world.tryAliquot(['enroll', 'pc', '--kit', world.kit, '--out', out]);
    expect(taken).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/revoked had the name pc.*--replaces pc.*another name/),
    });
    await expect(readFile(out)).rejects.toMatchObject({ code: 'ENOENT' });
    const old = await idOf('pc', 'revoked');
    await rm(agent.bundle);
    const bundle = await world.bundle('pc', ['--replaces', old.slice(0, 12)]);
    expect((await enrol(bundle, agent.data)).lines).toMatchObject([
      { agent: 'pc', tookOver: true },
    ]);
    await world.write('data/file', 'new');
    await world.backup(agent, [file]);
    const fresh = await idOf('pc', 'enrolled');
    expect(fresh).not.toBe(old);
    for (const name of ['pc', old, fresh, fresh.slice(0, 8)]) {
      expect(await cat(name, file)).toBe('new');
      expect(
        (await world.aliquot(['versions', '--agent', name, '--path', file, '--json'])).lines,
      ).toHaveLength(2);
      expect((await world.aliquot(['ls', '--agent', name, '--json'])).lines).toHaveLength(1);
      const to = join(world.folder, `restored-${name}`);
      await world.aliquot(['restore', '--kit', world.kit, '--agent', name, '--to', to]);
      expect(await readFile(join(to, file), 'utf8')).toBe('new');
    }
    expect((await world.aliquot(['ls', '--json'])).lines).toHaveLength(1);
    expect(await world.tryAliquot(['ls', '--agent', 'ffffffff'])).toMatchObject({ code: 1 });
    await world.aliquot(['agent', 'revoke', fresh]);
    expect((await backup(agent, file)).code).toBe(1);
  });
});
