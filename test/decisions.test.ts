import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/** What people decided outlives a collector whose disk was put back to an older state. */
describe('what was decided before the collector lost it', () => {
  let world: World;
  let data = '';

  beforeEach(async () => {
    world = await World.open();
    data = await world.place('data');
    await world.write('data/file.txt', 'first');
  });

  afterEach(() => world.close());

  const older = (): string => `${world.collectorData}.old`;
  async function keepDisk(): Promise<void> {
    await world.unserve();
    await cp(world.collectorData, older(), { recursive: true, preserveTimestamps: true });
    await world.serve();
  }
  /** `but`: files of each vault that stay as they are. */
  async function putBack(but: readonly string[] = []): Promise<void> {
    await world.unserve();
    const vaults = join(world.collectorData, 'vaults');
    for (const vault of await readdir(vaults))
      for (const file of but)
        await cp(join(vaults, vault, file), join(older(), 'vaults', vault, file));
    await rm(world.collectorData, { recursive: true });
    await cp(older(), world.collectorData, { recursive: true, preserveTimestamps: true });
    await world.serve();
  }
  const tries = (agent: AgentPlace) =>
    run('aliquot-agent', ['backup', data, '--data', agent.data, '--json']);
  const agents = async () =>
    new Map((await world.aliquot(['agents', '--json'])).lines.map((line) => [line['agent'], line]));

  it('P4 P5: an agent that was revoked stays out, and what else was decided is in force again', async () => {
    const [pc, thief] = [await world.agent('pc'), await world.agent('thief')];
    await world.backup(pc, [data]);
    await world.backup(thief, [data]);
    // Another PC with a copy of this one's folder.
    const copy = { ...pc, data: `${pc.data}-copy` };
    await cp(pc.data, copy.data, { recursive: true, preserveTimestamps: true });
    await world.write('data/file.txt', 'second');
    await world.backup(pc, [data]);
    await world.write('data/copied.txt', 'of the copy');
    await world.backup(copy, [data]);
    const [held] = (await world.aliquot(['fork', 'list', '--json'])).lines;
    const group = join(world.folder, 'hall.bundle');
    await world.aliquot([
      'enroll',
      '--group',
      'hall',
      '--uses',
      '2',
      '--kit',
      world.kit,
      '--out',
      group,
    ]);
    await keepDisk();

    await world.aliquot(['agent', 'revoke', 'thief', '--reason', 'stolen']);
    await world.aliquot(['fork', 'decide', String(held?.['name']), '--clone', 'copied-pc']);
    await world.aliquot(['agent', 'acknowledge', 'pc']);
    await world.aliquot(['enroll', '--end-group', 'hall']);
    await world.aliquot(['collector', 'address', 'set', world.url, '--kit', world.kit]);
    const policy = await world.write('policy.yaml', 'agents: { pcs: { pc: { } } }\n');
    await world.aliquot(['policy', 'set', policy, '--kit', world.kit, '--yes']);
    await world.agent('newcomer');
    await world.write('data/file.txt', 'third');
    await world.backup(pc, [data]);
    expect((await tries(thief)).code).not.toBe(0);

    await putBack();
    expect((await tries(pc)).code).not.toBe(0);
    const healed = await world.aliquot(['log', 'reopen', '--kit', world.kit, '--json']);
    const told = healed.lines.filter(({ event }) => event === 'decision');
    expect(told.map(({ type, applied }) => [type, applied])).toEqual([
      ['agentRevoked', true],
      ['forkDecided', true],
      ['problemsAcknowledged', true],
      ['groupEnded', true],
      ['addressesSet', true],
      ['policySet', true],
      ['settingsSet', true],
      ['agentExpected', true],
    ]);
    expect(told[0]?.['what']).toBe('agent thief is revoked: stolen');
    // The newcomer's enrolment and the last commits of pc, which no operator's command has seen.
    expect(healed.lines.at(-1)).toMatchObject({ event: 'reopened', opened: true });
    expect(healed.stderr).toMatch(/this PC has not seen the last \d+ leaves/);

    const refused = await tries(thief);
    expect([refused.code, refused.stderr + refused.stdout]).toEqual([
      expect.not.stringMatching('^0$'),
      expect.stringContaining('REVOKED'),
    ]);
    await world.backup(pc, [data]);
    const now = await agents();
    expect(now.get('thief')).toMatchObject({ state: 'revoked' });
    expect(now.get('newcomer')).toMatchObject({ state: 'expected' });
    expect(now.get('pc')?.['problems']).toEqual([]);
    expect((await world.aliquot(['fork', 'list', '--json'])).lines).toMatchObject([
      { name: 'copied-pc', state: 'clone' },
    ]);
    const [shown] = (await world.aliquot(['collector', 'address', 'show', '--json'])).lines;
    expect(JSON.stringify(shown)).toContain(world.url);
    await world.aliquot(['fsck', '--data', world.collectorData]);
    // Said once: nothing is left to be applied.
    const again = await world.aliquot(['log', 'reopen', '--kit', world.kit, '--json']);
    expect(again.lines).toMatchObject([{ event: 'reopened', opened: false }]);
  }, 120_000);

  it('P4 P5: a history that was put back lets nobody in whom the authority had revoked, before anybody heals it', async () => {
    const [pc, thief] = [await world.agent('pc'), await world.agent('thief')];
    await world.backup(pc, [data]);
    await world.backup(thief, [data]);
    await keepDisk();
    const revoke = ['agent', 'revoke', 'thief', '--reason', 'stolen', '--json'];
    const revoked = await world.aliquot([...revoke, '--kit', world.kit]);
    expect(revoked.lines).toMatchObject([{ event: 'revoked', signedBy: 'authority' }]);
    await world.write('data/file.txt', 'second');
    await world.backup(pc, [data]);
    const before = await tries(thief);
    expect([before.code, before.stderr + before.stdout]).toEqual([
      expect.not.stringMatching('^0$'),
      expect.stringContaining('REVOKED'),
    ]);

    await putBack(['ended.bin']);
    const words = (stderr: string) => stderr.split('\n').filter((line) => line.includes('REVOKED'));
    const after = await tries(thief);
    expect([after.code, words(after.stderr)]).toEqual([before.code, words(before.stderr)]);
    expect((await agents()).get('thief')).toMatchObject({ state: 'revoked', endReason: 'stolen' });
    await tries(pc);
    const healed = await world.aliquot(['log', 'reopen', '--kit', world.kit, '--json']);
    // It stands in the log already, with what was signed.
    expect(healed.lines).toMatchObject([{ event: 'reopened', opened: true }]);
    await world.backup(pc, [data]);
    expect((await tries(thief)).code).toBe(before.code);
    await world.aliquot(['fsck', '--data', world.collectorData]);
  }, 120_000);

  it('P6: what this PC never saw is asked for', async () => {
    const pc = await world.agent('pc');
    await world.backup(pc, [data]);
    await keepDisk();
    const elsewhere = { ...world.environment(), ALIQUOT_STATE: join(world.folder, 'elsewhere') };
    const token = ['--token-file', join(world.collectorData, 'admin.token')];
    const revoked = await run('aliquot', ['agent', 'revoke', 'pc', ...token], elsewhere);
    expect(revoked.code).toBe(0);
    const other = await world.agent('other');
    await world.backup(other, [data]);
    await rm(join(world.folder, 'operator'), { recursive: true, force: true });
    await putBack();
    await tries(other);
    const healed = await world.aliquot(['log', 'reopen', '--kit', world.kit]);
    expect(healed.stderr).toMatch(/this PC has not seen the last (leaf|\d+ leaves)/);
    expect(healed.stderr).toContain('Perhaps it was one of these, which are let in: pc.');
    // Where it was done it is known.
    const there = await run('aliquot', ['log', 'reopen', '--kit', world.kit, ...token], elsewhere);
    expect([there.code, there.stdout]).toEqual([
      0,
      expect.stringContaining('Applied again: agent pc is revoked'),
    ]);
    expect((await agents()).get('pc')).toMatchObject({ state: 'revoked' });
  }, 120_000);
});
