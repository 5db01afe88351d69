import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { faultyFiles, type Step } from '@aliquot/shared/testing/faulty-files';
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
import { holdOn } from '../../testing/retention/signed.ts';
import { PURGE_DELAY_MS } from '../retention/brakes.ts';
import type { UnfitRecord } from './errors.ts';

/* The book of purges where a disk fails, or a crash comes. */

const all = ['/p/a', '/p/b', '/p/large', '/x', '/y'];
const left = ['/p/b', '/x', '/y'];

/** Orders another purge; what approves it. */
async function ordered(lab: PurgeLab, paths: readonly string[]) {
  const { world, vault, agent } = lab;
  const files = paths.map((path) => agent.fileId(path));
  const what = { lineageId: agent.lineageId, files, head: vault.log.treeHead() };
  const order = purgeOrder(world, operatorCalled(world, 'maria'), what);
  await vault.purges.order(order);
  world.clock.now += PURGE_DELAY_MS;
  const { purgeId } = order;
  const forms = sealedAnew(world, purgeId, await concernedBy(vault, purgeId));
  const approval = purgeApproval(world, operatorCalled(world, 'ines'), purgeId, forms);
  return { purgeId, forms, approve: () => lab.vault.purges.approve(approval, forms) };
}

/** Opens the lab's vault over files of which these steps fail while `isOn`. */
async function failing(lab: PurgeLab, isIt: (step: Step) => boolean) {
  const fault = { isOn: false };
  await lab.vault.close();
  const files = faultyFiles(nodeFiles, (step) =>
    fault.isOn && isIt(step) ? { fail: 'EIO' } : undefined,
  );
  lab.vault = await lab.opened(lab.dir, files);
  return fault;
}

const isSyncOfHistory = ({ operation, path }: Step): boolean =>
  operation === 'datasync' && path.endsWith('.history');

/** The lab's folder becomes what it was, but for the purges that it keeps. */
async function putBack(lab: PurgeLab, old: string): Promise<void> {
  await lab.vault.close();
  cpSync(join(lab.dir, 'purges'), join(old, 'purges'), { recursive: true });
  rmSync(lab.dir, { recursive: true });
  cpSync(old, lab.dir, { recursive: true });
}

async function started(lab: PurgeLab, files = nodeDisk): Promise<UnfitRecord[]> {
  const told: UnfitRecord[] = [];
  lab.vault = await lab.opened(lab.dir, files, told);
  return told;
}

describe('I-C34 an approval that a failure took back', () => {
  test('P1: has taken nothing of what an earlier purge keeps, so a history put back loses nothing by it', async () => {
    const lab = await PurgeLab.make();
    const old = await lab.copied();
    await lab.approve();
    const second = await ordered(lab, ['/x']);
    const fault = await failing(lab, isSyncOfHistory);
    fault.isOn = true;
    await expect(second.approve()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    fault.isOn = false;
    await lab.vault.events.append(purgeCancel(lab.world, second.purgeId));
    await (await ordered(lab, ['/y'])).approve();
    await putBack(lab, old);
    expect(await started(lab)).toMatchObject([{ type: 'purges' }]);
    expect(await lab.names()).toEqual(['/p/b', '/x']);
  });

  test('P1: is not done by a start behind a hold that was set since', async () => {
    const lab = await PurgeLab.make();
    const fault = await failing(lab, isSyncOfHistory);
    fault.isOn = true;
    await expect(lab.approve()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    fault.isOn = false;
    expect(lab.vault.purges.all()[0]?.approved).toBeUndefined();
    await lab.vault.events.append(holdOn(lab.world, ['**']).set);
    await lab.vault.close();
    expect(await started(lab)).toEqual([]);
    expect(await lab.names()).toEqual(all);
    await expect(lab.approve()).rejects.toThrow(/hold trial-7 covers/);
  });
});

describe('I-C34 a start that does a purge again', () => {
  test('reads a file of the book a few times, however many commits are in it', async () => {
    const lab = await PurgeLab.make(async (one) => {
      for (let more = 0; more < 20; more += 1) {
        const states = ['/p/a', '/z'].map((path) =>
          one.agent.file(path, [utf8(`${path} ${more}`)]),
        );
        await one.agent.back(one.vault, states);
      }
    });
    const old = await lab.copied();
    await lab.approve();
    expect(lab.forms.length).toBeGreaterThan(20);
    const reads = { count: 0 };
    const files = faultyFiles(nodeFiles, ({ operation, path }) => {
      if (operation === 'open:read' && path.endsWith('.purge')) reads.count += 1;
      return undefined;
    });
    await putBack(lab, old);
    await started(lab, files);
    expect(await lab.names()).toEqual([...left, '/z']);
    expect(reads.count).toBeLessThan(6);
    // A later purge of all of them takes more of each, and reads what is kept of the first as well.
    reads.count = 0;
    await (await ordered(lab, ['/z'])).approve();
    expect(reads.count).toBeLessThan(6);
  });
});

test('I-C33 what a crash has left of a file of the book goes before a later purge takes more', async () => {
  const lab = await PurgeLab.make();
  await lab.vault.close();
  const dir = await lab.crashed(
    ({ operation, path }) => operation === 'rename' && path.includes('purges'),
  );
  const leftIn = (folder: string) =>
    readdirSync(join(folder, 'purges')).filter((name) => !/^\d{8}\.purge$/.test(name));
  expect(leftIn(dir)).toHaveLength(1);
  rmSync(lab.dir, { recursive: true });
  cpSync(dir, lab.dir, { recursive: true });
  await started(lab);
  expect(leftIn(lab.dir)).toEqual([]);
});

test('I-C33 what a crash has left of a file of the history that was written anew goes with the next start', async () => {
  const lab = await PurgeLab.make();
  await lab.vault.close();
  const dir = await lab.crashed(
    ({ operation, path }) => operation === 'rename' && path.includes('/history/.aq-'),
  );
  const leftIn = (folder: string) =>
    readdirSync(join(folder, 'history')).filter((name) => name.endsWith('.part'));
  expect(leftIn(dir)).toHaveLength(1);
  const vault = await lab.opened(dir);
  expect([leftIn(dir), lab.left(dir)]).toEqual([[], 0]);
  await vault.close();
});

test('I-C33 what was purged is taken out of the history also where the store is opened again meanwhile', async () => {
  const lab = await PurgeLab.make();
  await lab.vault.close();
  let other: Promise<unknown> | undefined;
  let fails = false;
  const files = faultyFiles(nodeFiles, (step) => {
    if (other === undefined && step.path.endsWith('.new')) {
      fails = true;
      other = lab.vault.purges.order(order).catch((error: unknown) => error);
    }
    if (!fails || !isSyncOfHistory(step)) return undefined;
    fails = false;
    return { fail: 'EIO' };
  });
  lab.vault = await lab.opened(lab.dir, files);
  const { world, agent } = lab;
  const head = lab.vault.log.treeHead();
  const what = { lineageId: agent.lineageId, files: [agent.fileId('/x')], head };
  const order = purgeOrder(world, operatorCalled(world, 'maria'), what);
  await lab.approve();
  expect(await other).toMatchObject({ code: 'STORE_FAILED' });
  expect([lab.left(), await lab.names()]).toEqual([0, left]);
});
