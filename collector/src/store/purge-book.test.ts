import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeBlock,
  decodeSignedCommit,
  encodeStoredPurged,
  type StoredPurged,
} from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { faultyFiles, type Step } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { PurgeLab } from '../../testing/retention/purge-lab.ts';
import {
  concernedBy,
  operatorCalled,
  purgeApproval,
  purgeCancel,
  purgeOrder,
  sealedAnew,
} from '../../testing/retention/purges.ts';
import { catalogRows } from '../../testing/store/copies.ts';
import { StoreWorld } from '../../testing/store/world.ts';
import { PURGE_DELAY_MS } from '../retention/brakes.ts';
import type { UnfitRecord } from './errors.ts';
import { checkPurges } from './fsck/fsck-purges.ts';
import type { Finding } from './fsck-finding.ts';
import { encodeKept, readKept } from './vault/kept-purge.ts';
import { diskMedia } from './vault/media.ts';
import { openCore } from './vault/open-core.ts';

/* Purges are done again where the history was put back to before them. */

const left = ['/p/b', '/x', '/y'];

const isChange = ({ operation }: Step): boolean =>
  !/^(read|facts|stat|lstat|list|freeBytes|open:read)/.test(operation);

/** The lab's folder becomes what it was, but for the purges that it keeps. */
async function putBack(lab: PurgeLab, old: string): Promise<void> {
  await lab.vault.close();
  const purges = join(lab.dir, 'purges');
  cpSync(purges, join(old, 'purges'), { recursive: true });
  rmSync(lab.dir, { recursive: true });
  cpSync(old, lab.dir, { recursive: true });
}

/** Opens it; what the start told. */
async function started(lab: PurgeLab): Promise<UnfitRecord[]> {
  const told: UnfitRecord[] = [];
  lab.vault = await lab.opened(lab.dir, undefined, told);
  return told;
}

/** The live catalog is what a replay gives; nothing is told, and nothing of what went is there. */
async function mustBeDone(lab: PurgeLab, names: readonly string[] = left): Promise<void> {
  expect([lab.left(), await lab.names()]).toEqual([0, names]);
  await lab.vault.close();
  const live = await catalogRows(lab.dir);
  rmSync(join(lab.dir, 'catalog'), { recursive: true });
  expect(await started(lab)).toEqual([]);
  expect([lab.left(), await lab.names()]).toEqual([0, names]);
  await lab.vault.close();
  expect(await catalogRows(lab.dir)).toEqual(live);
  expect(await started(lab)).toEqual([]);
}

/** What fsck says of the purges of a folder that nobody uses. */
async function found(lab: PurgeLab): Promise<string[]> {
  const findings: Finding[] = [];
  const { descriptor } = lab.world;
  const media = diskMedia(lab.dir, descriptor.vaultId, lab.world.ports());
  const core = await openCore(media, {});
  await checkPurges(core, media.purges, descriptor, (one) => findings.push(one));
  await core.close();
  return findings.map(({ code }) => code);
}

describe('I-C34 a history that was put back to before a purge', () => {
  test('has it done again before anybody asks, by the same two people, and says so once', async () => {
    const lab = await PurgeLab.make();
    const old = await lab.copied();
    await lab.approve();
    const [said] = lab.vault.purges.all();
    await putBack(lab, old);
    expect(lab.left()).toBeGreaterThan(0);
    expect(await found(lab)).toEqual(['purges-differ']);
    expect(await started(lab)).toMatchObject([{ type: 'purges', where: join(lab.dir, 'purges') }]);
    expect(lab.vault.purges.all()).toMatchObject([
      { ordered: { by: 'maria' }, approved: { by: 'ines', timeMs: said?.approved?.timeMs } },
    ]);
    await mustBeDone(lab);
    await lab.vault.close();
    expect(await found(lab)).toEqual([]);
    await started(lab);
    // The approval that was given is known, too.
    expect(await lab.approve()).toEqual({
      leafIndex: lab.vault.purges.all()[0]?.approved?.leaf,
    });
  });

  test('and before its order, as well', async () => {
    let old = '';
    const lab = await PurgeLab.make(async (one) => {
      old = await one.copied();
    });
    await lab.approve();
    await putBack(lab, old);
    expect(await started(lab)).toMatchObject([{ type: 'purges' }]);
    await mustBeDone(lab);
  });

  test('whatever write of that start is its last: the next one ends it', async () => {
    const lab = await PurgeLab.make();
    const old = await lab.copied();
    await lab.approve();
    await putBack(lab, old);
    const dry = join(temporaryFolder(), 'vault');
    cpSync(lab.dir, dry, { recursive: true });
    const counting = faultyFiles(nodeFiles, () => undefined);
    await (await lab.opened(dry, counting)).close();
    const changes = counting.steps.filter(isChange);
    expect(lab.left(dry)).toBe(0);
    expect(changes.length).toBeGreaterThan(15);
    for (const at of changes.keys()) {
      let seen = -1;
      const isIt = (step: Step): boolean => {
        if (isChange(step)) seen += 1;
        return seen === at;
      };
      const dir = await lab.crashed(isIt, { of: lab.dir, inStart: true });
      const vault = await lab.opened(dir);
      expect([lab.left(dir), await lab.names(vault)]).toEqual([0, left]);
      await vault.close();
    }
    await started(lab);
  }, 120_000);

  test.each([
    ['is never served as it came, and its names never come into the history', false],
    ['stays as it came for a sweep that was told, and is served as the purge left it', true],
  ])('and before a commit: when that comes again it %s', async (_, isTold) => {
    let old = '';
    const lab = await PurgeLab.make(undefined, async (one) => {
      old = await one.copied();
    });
    await lab.approve();
    const { agentId, chainId, lineageId } = lab.agent;
    await putBack(lab, old);
    expect(await started(lab)).toMatchObject([{ type: 'purges' }]);
    expect(await lab.names()).toEqual([]);
    // Something else may be there meanwhile: its leaf is another one.
    await lab.world.agent(lab.vault, 'hplc-2');
    const epoch = isTold ? await lab.vault.sweep.announceGcEpoch(lineageId, 5) : 0;
    await lab.vault.intake.putChunks(lineageId, lab.items);
    const outcome = await lab.vault.intake.commit(agentId, lab.commit.bytes, lab.world.clock.now);
    expect(outcome).toMatchObject({ type: 'accepted', repeated: false });
    const leaf = outcome.type === 'accepted' ? outcome.leafIndex : -1;
    expect(leaf).not.toBe(lab.commit.leafIndex);
    const { record } = await lab.vault.log.leafAt(leaf);
    const served = record.type === 'commit' ? record.commit : new Uint8Array(0);
    expect(Buffer.from(served).equals(lab.forms[0]?.commit ?? new Uint8Array(0))).toBe(true);
    expect(await lab.names()).toEqual(left);
    if (isTold) {
      expect(lab.left()).toBeGreaterThan(0);
      lab.vault.sweep.gcLearned(agentId, chainId, epoch);
      expect(await lab.vault.sweep.sweep(lineageId)).toMatchObject({ type: 'swept', items: 0 });
      await lab.vault.flush();
    }
    await mustBeDone(lab);
    expect(lab.vault.purges.isOpen(lab.vault.purges.all()[0] ?? expect.fail('no purge'))).toBe(
      true,
    );
  });

  test('of two purges of one commit each is done, and what the second took is in neither file', async () => {
    const lab = await PurgeLab.make();
    const old = await lab.copied();
    await lab.approve();
    const forms = await purged(lab, ['/x']);
    expect(onDisk(lab, lab.forms)).toBe(0);
    await putBack(lab, old);
    expect(readdirSync(join(lab.dir, 'purges'))).toHaveLength(2);
    expect(await started(lab)).toMatchObject([{ type: 'purges' }]);
    expect([onDisk(lab, lab.forms), onDisk(lab, forms)]).toEqual([0, 4]);
    expect(lab.vault.purges.all().map(({ approved }) => approved !== undefined)).toEqual([
      true,
      true,
    ]);
    await mustBeDone(lab, ['/p/b', '/y']);
  });
});

/** Orders and approves another purge. */
async function purged(lab: PurgeLab, paths: readonly string[]): Promise<StoredPurged[]> {
  const { purgeId, forms } = await ordered(lab, paths);
  const ines = operatorCalled(lab.world, 'ines');
  await lab.vault.purges.approve(purgeApproval(lab.world, ines, purgeId, forms), forms);
  return forms;
}

async function ordered(lab: PurgeLab, paths: readonly string[]) {
  const { world, vault, agent } = lab;
  const files = paths.map((path) => agent.fileId(path));
  const what = { lineageId: agent.lineageId, files, head: vault.log.treeHead() };
  const order = purgeOrder(world, operatorCalled(world, 'maria'), what);
  await vault.purges.order(order);
  world.clock.now += PURGE_DELAY_MS;
  const { purgeId } = order;
  return { purgeId, forms: sealedAnew(world, purgeId, await concernedBy(vault, purgeId)) };
}

/** How much of what opens rows of these commits is in the vault's folder. */
function onDisk(lab: PurgeLab, forms: readonly StoredPurged[]): number {
  const all: Buffer[] = [];
  for (const entry of readdirSync(lab.dir, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) all.push(readFileSync(join(entry.parentPath, entry.name)));
  const disk = Buffer.concat(all);
  return forms
    .flatMap(({ commit }) => decodeSignedCommit(commit).blocks)
    .flatMap(({ block, listBox, readBox }) => {
      const { list, read } = decodeBlock(block);
      return [list, read, listBox, readBox];
    })
    .filter((bytes) => disk.includes(Buffer.from(bytes))).length;
}

describe('I-C34 the book of purges', () => {
  test('P6: a file that is damaged, another vault’s, or signed by nobody is named and made again', async () => {
    const lab = await PurgeLab.make();
    await lab.approve();
    const file = join(lab.dir, 'purges', '00000001.purge');
    const good = readFileSync(file);
    const flipped = Buffer.from(good);
    flipped[90] = (flipped[90] ?? 0) ^ 1;
    const { descriptor } = lab.world;
    const kept = readKept(descriptor, good);
    if (typeof kept === 'string') throw new Error(kept);
    const foreign = encodeKept(new StoreWorld('x').descriptor, kept);
    const { order } = kept;
    const forged = { ...order, order: { ...order.order, signature: new Uint8Array(64) } };
    const unsigned = encodeKept(descriptor, { ...kept, order: forged });
    const maria = purgeApproval(
      lab.world,
      operatorCalled(lab.world, 'maria'),
      kept.purgeId,
      lab.forms,
    );
    const alone = encodeKept(descriptor, { ...kept, approval: maria });
    const cut = good.subarray(0, 90);
    for (const bytes of [flipped, cut, Buffer.alloc(0), foreign, unsigned, alone]) {
      await lab.vault.close();
      for (const name of readdirSync(join(lab.dir, 'purges')))
        rmSync(join(lab.dir, 'purges', name));
      writeFileSync(file, bytes);
      expect(await found(lab)).toEqual(['purges-broken']);
      const told = await started(lab);
      expect(told).toMatchObject([{ type: 'file', where: join(lab.dir, 'purges') }]);
      expect(told[0]?.why).toContain(file);
      expect(existsSync(file)).toBe(false);
      expect(readFileSync(join(lab.dir, 'purges', '00000002.purge'))).toEqual(good);
    }
  });

  test('that is missing is written again, and serves as the one before', async () => {
    const lab = await PurgeLab.make();
    const old = await lab.copied();
    await lab.approve();
    await lab.vault.close();
    rmSync(join(lab.dir, 'purges'), { recursive: true });
    expect(await found(lab)).toEqual(['purges-differ']);
    expect(await started(lab)).toEqual([]);
    await putBack(lab, old);
    expect(await started(lab)).toMatchObject([{ type: 'purges' }]);
    await mustBeDone(lab);
  });

  test('gives back a record of a purge that has rotted in the history', async () => {
    const lab = await PurgeLab.make();
    await lab.vault.close();
    const dir = await lab.crashed(({ path }) => path.endsWith('.new'));
    // What the history has of it is all spoilt.
    const history = join(dir, 'history', '00000001.history');
    const bytes = readFileSync(history);
    const at = bytes.indexOf(Buffer.from(encodeStoredPurged(lab.forms[0] as StoredPurged)));
    expect(at).toBeGreaterThan(0);
    bytes.fill(0, at + 200, at + 260);
    writeFileSync(history, bytes);
    rmSync(join(dir, 'catalog'), { recursive: true });
    rmSync(lab.dir, { recursive: true });
    cpSync(dir, lab.dir, { recursive: true });
    expect((await started(lab)).map(({ type }) => type)).toEqual(['record', 'purges']);
    expect(await lab.names()).toEqual(left);
  });

  test('has none that was taken back by a failure, and was cancelled then', async () => {
    const lab = await PurgeLab.make();
    const old = await lab.copied();
    await lab.vault.close();
    let isOpen = false;
    const files = faultyFiles(nodeFiles, ({ operation, path }) =>
      isOpen && operation === 'datasync' && path.endsWith('.history') ? { fail: 'EIO' } : undefined,
    );
    lab.vault = await lab.opened(lab.dir, files);
    isOpen = true;
    await expect(lab.approve()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    isOpen = false;
    const [purge] = lab.vault.purges.all();
    expect(purge?.approved).toBeUndefined();
    const { purgeId } = purge?.body ?? expect.fail('no purge');
    await lab.vault.events.append(purgeCancel(lab.world, purgeId));
    expect(readdirSync(join(lab.dir, 'purges'))).toEqual([]);
    await putBack(lab, old);
    expect(await started(lab)).toEqual([]);
    expect(await lab.names()).toHaveLength(5);
  });
});

test('I-C33 what a crash has left of an approval goes with what a later purge takes', async () => {
  const lab = await PurgeLab.make(undefined, undefined, 4096);
  const { forms } = lab;
  await lab.vault.close();
  const whole = join(temporaryFolder(), 'vault');
  cpSync(lab.dir, whole, { recursive: true });
  // The record of the commit is written, and a part of the event behind it: in a file of its own.
  const size = encodeStoredPurged(forms[0] as StoredPurged).length + 120;
  for (let last = 1; onDisk(lab, forms) === 0; last += 1) {
    rmSync(lab.dir, { recursive: true });
    cpSync(whole, lab.dir, { recursive: true });
    let writes = -Infinity;
    const files = faultyFiles(nodeFiles, ({ operation, path }) => {
      if (path.endsWith('.history') && operation === 'write') writes += 1;
      if (writes > last) return { crash: true };
      return writes === last && operation === 'write' ? { short: size } : undefined;
    });
    const vault = await lab.opened(lab.dir, files);
    writes = 0;
    await expect(lab.approve(vault)).rejects.toThrow();
    await vault.close().catch(() => undefined);
  }
  await lab.open();
  const [purge] = lab.vault.purges.all();
  expect([purge?.approved, onDisk(lab, forms)]).toEqual([undefined, 4]);
  const { purgeId } = purge?.body ?? expect.fail('no purge');
  await lab.vault.events.append(purgeCancel(lab.world, purgeId));
  await purged(lab, ['/p/b']);
  expect(onDisk(lab, forms)).toBe(0);
  await mustBeDone(lab, ['/p/a', '/p/large', '/x', '/y']);
});

test('I-C31 the time at which the content was swept is that of the sweep, after a replay too', async () => {
  const lab = await PurgeLab.make();
  await lab.approve();
  const sweptAt = () => lab.vault.purges.all().map(({ approved }) => approved?.sweptAtMs);
  expect(sweptAt()).toEqual([0]);
  const { agentId, chainId, lineageId } = lab.agent;
  const epoch = await lab.vault.sweep.announceGcEpoch(lineageId, lab.world.clock.now);
  lab.vault.sweep.gcLearned(agentId, chainId, epoch);
  lab.world.clock.now += 77_000;
  const { now } = lab.world.clock;
  expect(await lab.vault.sweep.sweep(lineageId)).toMatchObject({ type: 'swept' });
  lab.world.clock.now += 5000;
  expect(sweptAt()).toEqual([now]);
  await mustBeDone(lab);
  expect(sweptAt()).toEqual([now]);
});
