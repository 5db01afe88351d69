import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeBlock, decodeSignedCommit, type StoredPurged } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { faultyFiles, type Step } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  concernedBy,
  operatorCalled,
  purgeApproval,
  purgeOrder,
  sealedAnew,
} from '../../testing/retention/purges.ts';
import { catalogRows, recordsIn } from '../../testing/store/copies.ts';
import { spoil } from '../../testing/store/fsck-lab.ts';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { PURGE_DELAY_MS } from '../retention/brakes.ts';
import { StoredVault } from './stored-vault.ts';

/* What was purged leaves the records of the history, whatever comes between. */

/** A vault with one commit, of which two files may be purged from now on. */
class Lab {
  readonly world = new StoreWorld('erased');
  readonly dir = join(temporaryFolder(), 'vault');
  vault!: StoredVault;
  agent!: WorldAgent;
  commit!: { readonly leafIndex: number; readonly bytes: Uint8Array };
  forms!: readonly StoredPurged[];
  approval!: ReturnType<typeof purgeApproval>;

  static async make(before?: (lab: Lab) => Promise<void>): Promise<Lab> {
    const lab = new Lab();
    const { world } = lab;
    await lab.open();
    onTestFinished(() => lab.vault.close());
    await lab.vault.events.append(world.vaultAdded());
    lab.agent = await world.agent(lab.vault, 'hplc-1');
    const names = ['/p/a', '/p/b', '/x', '/y'];
    const small = Object.fromEntries(names.map((name) => [name, utf8(`content of ${name}`)]));
    const large = lab.agent.file('/p/large', [content('large', 70_000)]);
    lab.commit = await lab.agent.back(lab.vault, [
      ...lab.agent.small(small, { whole: true }),
      large,
    ]);
    await before?.(lab);
    const { lineageId } = lab.agent;
    const files = ['/p/a', '/p/large'].map((path) => lab.agent.fileId(path));
    const [maria, ines] = [operatorCalled(world, 'maria'), operatorCalled(world, 'ines')];
    const head = lab.vault.log.treeHead();
    const order = purgeOrder(world, maria, { lineageId, files, head });
    await lab.vault.purges.order(order);
    world.clock.now += PURGE_DELAY_MS;
    lab.forms = sealedAnew(world, order.purgeId, await concernedBy(lab.vault, order.purgeId));
    lab.approval = purgeApproval(world, ines, order.purgeId, lab.forms);
    return lab;
  }

  async open(dir = this.dir, files = nodeDisk): Promise<void> {
    this.vault = await this.opened(dir, files);
  }

  opened(dir: string, files = nodeDisk): Promise<StoredVault> {
    const { world } = this;
    const identity = { ...world.identity, catalogSecretKey: world.kit.catalogSecretKey };
    return StoredVault.inFolder(dir, identity, world.ports({ files }));
  }

  approve(vault = this.vault): Promise<{ leafIndex: number }> {
    return vault.purges.approve(this.approval, this.forms);
  }

  async names(vault = this.vault): Promise<string[]> {
    const key = boxKeyFromSecret(this.world.kit.vaultSecretKey);
    const names = new Set<string>();
    for await (const { commit, live } of vault.reading.everyVersion(this.agent.lineageId)) {
      const slots = live.map((slot) => ({ slot }));
      const unread = () => expect.fail('a row does not open');
      for (const { list } of openNames(
        readCommit(commit),
        slots,
        { key, recipient: 'vault' },
        unread,
      ))
        names.add(Buffer.from(list.path).toString());
    }
    return [...names].sort();
  }

  /** How much of what opens rows of the commit as it came is in the vault's folder. */
  left(dir = this.dir): number {
    const all: Buffer[] = [];
    for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true }))
      if (entry.isFile()) all.push(readFileSync(join(entry.parentPath, entry.name)));
    const disk = Buffer.concat(all);
    const { blocks } = decodeSignedCommit(this.commit.bytes);
    const opening = blocks.flatMap(({ block, listBox, readBox }) => {
      const { list, read } = decodeBlock(block);
      return [list, read, listBox, readBox];
    });
    return opening.filter((bytes) => disk.includes(Buffer.from(bytes))).length;
  }

  /** A copy of the vault as a crash at this step of the approval leaves it. */
  async crashed(isIt: (step: Step) => boolean): Promise<string> {
    const dir = join(temporaryFolder(), 'vault');
    cpSync(this.dir, dir, { recursive: true });
    let isOpen = false;
    let isMet = false;
    const files = faultyFiles(nodeFiles, (step) => {
      if (!isOpen || isMet || !isIt(step)) return undefined;
      isMet = true;
      return { crash: true };
    });
    const vault = await this.opened(dir, files);
    isOpen = true;
    await expect(this.approve(vault)).rejects.toThrow();
    await vault.close().catch(() => undefined);
    expect(isMet).toBe(true);
    return dir;
  }
}

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
    rmSync(join(dir, 'catalog'), { recursive: true });
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
