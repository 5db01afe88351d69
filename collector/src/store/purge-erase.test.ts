import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { PurgeLab as Lab } from '../../testing/retention/purge-lab.ts';
import { catalogRows, recordsIn } from '../../testing/store/copies.ts';
import { spoil } from '../../testing/store/fsck-lab.ts';
import { content, type WorldAgent } from '../../testing/store/world.ts';

/* What was purged leaves the records of the history, whatever comes between. */

const left = ['/p/b', '/x', '/y'];

/** Of a copy: the path and place of the record that a purge has left. */
async function purgedRecordOf(dir: string): Promise<{ path: string; offset: number }> {
  const record = (await recordsIn(nodeFiles, dir, 'history')).find(({ kind }) => kind === 'purged');
  const { file, offset } = record ?? expect.fail('no record of a purge');
  const folder = join(dir, 'history');
  const name = readdirSync(folder).find(
    (one) => one.startsWith(`0000000${file}`) && one.endsWith('.history'),
  );
  return { path: join(folder, name ?? ''), offset };
}

describe('I-C33 what was purged leaves the history', () => {
  test('whatever write of the approval, or of the erasing, is the last: the next start ends it', async () => {
    const lab = await Lab.make();
    await lab.vault.close();
    // What the approval does when nothing is in its way, in a copy.
    const dry = join(temporaryFolder(), 'vault');
    cpSync(lab.dir, dry, { recursive: true });
    const counting = faultyFiles(nodeFiles, () => undefined);
    const whole = await lab.opened(dry, counting);
    const from = counting.steps.length;
    await lab.approve(whole);
    const changes = counting.steps
      .slice(from)
      .filter(
        ({ operation }) => !/^(read|facts|stat|lstat|list|freeBytes|open:read)/.test(operation),
      );
    await whole.close();
    expect(lab.left(dry)).toBe(0);
    expect(changes.length).toBeGreaterThan(15);
    // Among them those of the book of purges (I-C34).
    const isBook = ({ path }: { readonly path: string }) => path.includes('purges');
    expect(changes.filter(isBook).length).toBeGreaterThan(4);
    expect(changes.map(({ operation }) => operation)).toEqual(
      expect.arrayContaining(['rename', 'unlink', 'syncDirectory']),
    );
    for (const at of changes.keys()) {
      let seen = -1;
      const dir = await lab.crashed(({ operation }) => {
        if (/^(read|facts|stat|lstat|list|freeBytes|open:read)/.test(operation)) return false;
        seen += 1;
        return seen === at;
      });
      const vault = await lab.opened(dir);
      const isApproved = vault.purges.all()[0]?.approved !== undefined;
      // Half is nothing: all is there, or what was purged is nowhere.
      if (isApproved) expect([lab.left(dir), await lab.names(vault)]).toEqual([0, left]);
      else expect(await lab.names(vault)).toHaveLength(5);
      await lab.approve(vault);
      expect([lab.left(dir), await lab.names(vault)]).toEqual([0, left]);
      await vault.close();
      if (at % 8 !== 0) continue;
      const live = await catalogRows(dir);
      rmSync(join(dir, 'catalog'), { recursive: true });
      await (await lab.opened(dir)).close();
      expect(await catalogRows(dir)).toEqual(live);
    }
    await lab.open();
  }, 120_000);

  test('I-C31 but not before: where a purge’s record rots first, nothing of its commits is served', async () => {
    const lab = await Lab.make();
    await lab.vault.close();
    const dir = await lab.crashed(({ path }) => path.endsWith('.new'));
    expect(lab.left(dir)).toBeGreaterThan(0);
    const { path, offset } = await purgedRecordOf(dir);
    for (const byte of [260, 270, 280]) await spoil(path, offset + byte);
    for (const lost of ['catalog', 'purges']) rmSync(join(dir, lost), { recursive: true });
    await lab.open(dir);
    await expect(lab.vault.log.leafAt(lab.commit.leafIndex)).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
    });
    // Nor does its PC bring it back by sending it again.
    const { agentId } = lab.agent;
    await lab.vault.intake.commit(agentId, lab.commit.bytes, lab.world.clock.now);
    await expect(lab.vault.log.leafAt(lab.commit.leafIndex)).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
    });
  });

  test('and where a purge’s record rots afterwards, nothing is lost by it', async () => {
    const lab = await Lab.make();
    await lab.approve();
    await lab.vault.close();
    const { path, offset } = await purgedRecordOf(lab.dir);
    for (const byte of [260, 270, 280]) await spoil(path, offset + byte);
    rmSync(join(lab.dir, 'catalog'), { recursive: true });
    await lab.open();
    expect([lab.left(), await lab.names()]).toEqual([0, left]);
  });

  test('when a sweep that was told before has ended: it looks at what was there until then', async () => {
    let epoch = 0;
    const lab = await Lab.make(async ({ vault, agent, world }) => {
      epoch = await vault.sweep.announceGcEpoch(agent.lineageId, world.clock.now);
    });
    const { vault, agent } = lab;
    await lab.approve();
    expect(await lab.names()).toEqual(left);
    expect(lab.left()).toBeGreaterThan(0);
    vault.sweep.gcLearned(agent.agentId, agent.chainId, epoch);
    expect(await vault.sweep.sweep(agent.lineageId)).toMatchObject({ type: 'swept', items: 0 });
    await vault.flush();
    expect([lab.left(), await lab.names()]).toEqual([0, left]);
    // The next one takes it.
    const next = await vault.sweep.announceGcEpoch(agent.lineageId, lab.world.clock.now);
    vault.sweep.gcLearned(agent.agentId, agent.chainId, next);
    const outcome = await vault.sweep.sweep(agent.lineageId);
    expect(outcome.type === 'swept' && outcome.items).toBeGreaterThan(0);
  });

  test('I-C29 once, however often the approval comes at the same time', async () => {
    const lab = await Lab.make();
    const answers = await Promise.all([lab.approve(), lab.approve(), lab.approve()]);
    expect(new Set(answers.map(({ leafIndex }) => leafIndex)).size).toBe(1);
    expect([lab.left(), await lab.names()]).toEqual([0, left]);
    for (let leaf = 0; leaf < lab.vault.log.treeHead().size; leaf += 1)
      expect((await lab.vault.log.leafAt(leaf)).record.type).toMatch(/commit|event/);
    await lab.vault.close();
    const live = await catalogRows(lab.dir);
    rmSync(join(lab.dir, 'catalog'), { recursive: true });
    await lab.open();
    await lab.vault.close();
    expect(await catalogRows(lab.dir)).toEqual(live);
    await lab.open();
  });

  test('I-C17 and a commit of another PC that is mended meanwhile stays mended', async () => {
    let epoch = 0;
    let other: { agent: WorldAgent; leafIndex: number; bytes: Uint8Array } | undefined;
    const lab = await Lab.make(async ({ vault, agent, world }) => {
      epoch = await vault.sweep.announceGcEpoch(agent.lineageId, world.clock.now);
      const second = await world.agent(vault, 'hplc-2');
      const file = second.file('/elsewhere', [content('elsewhere', 70_000)]);
      other = { agent: second, ...(await second.back(vault, [file])) };
    });
    if (other === undefined) throw new Error('a second PC has sent something');
    const { agent: second, leafIndex, bytes } = other;
    // A sweep still looks at what goes, so it is erased behind that.
    await lab.approve();
    await lab.vault.close();
    const commits = (await recordsIn(nodeFiles, lab.dir, 'history')).filter(
      ({ kind }) => kind === 'commit',
    );
    const { file, offset } = commits[1] ?? expect.fail('no second commit');
    const path = join(lab.dir, 'history', `0000000${file}.history`);
    for (const byte of [100, 200, 300]) await spoil(path, offset + byte);
    let sent: Promise<unknown> | undefined;
    await lab.open(lab.dir, {
      ...nodeDisk,
      async open(where, mode) {
        // It is sent again when its file was read, and the new one is not in force yet.
        if (String(where).endsWith('.new') && mode === 'read' && sent === undefined) {
          sent = lab.vault.intake.commit(second.agentId, bytes, lab.world.clock.now);
          await sent;
        }
        return nodeDisk.open(where, mode);
      },
    });
    await expect(lab.vault.log.leafAt(leafIndex)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    const { agent, vault } = lab;
    vault.sweep.gcLearned(agent.agentId, agent.chainId, epoch);
    expect(await vault.sweep.sweep(agent.lineageId)).toMatchObject({ type: 'swept' });
    expect(await sent).toMatchObject({ type: 'accepted', repeated: true });
    expect([lab.left(), await lab.names()]).toEqual([0, left]);
    const { record } = await vault.log.leafAt(leafIndex);
    expect(record.type === 'commit' && Buffer.from(record.commit).equals(bytes)).toBe(true);
  });
});
