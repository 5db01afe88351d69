import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { DemoService, type Finished } from '../../demo/programs.ts';
import { type InjectedWork, injectedScenario } from '../outside/injected.ts';
import { mustBeNamed, mustEqual, mustHoldNothingPartial } from '../outside/judge.ts';
import { must, type Stage } from '../outside/stage.ts';
import { mustDrainWhole, queued } from './outside-agent.ts';

/** The collector's programs, with their system calls failed or themselves killed at each. */

/** True when the server listens, false when it ended before. */
async function listens(server: DemoService): Promise<boolean> {
  return server.event('listening').then(
    () => true,
    () => false,
  );
}

export const collectorIngest: InjectedWork<Finished | undefined> = {
  name: 'outside-collector-ingest',
  about:
    'serve, while an agent sends what is nowhere else, with each system call on the collector folder failed or killed there: no receipt is broken, and after a restart everything arrives.',
  proves: ['P1', 'P2', 'P5'],
  collectorUnderTest: true,
  prepare: queued,
  folders: (stage) => [stage.collectorData],
  async act(stage, start) {
    const server = stage.startServer(start);
    if (!(await listens(server))) return undefined;
    const flush = new DemoService('aliquot-agent', ['flush', '--data', stage.agentData, '--json']);
    // When the collector is gone there is nothing to wait for.
    const gone = once(server.child, 'close').then(() => flush.stop('SIGKILL'));
    const code = await Promise.race([once(flush.child, 'close').then(() => flush.stop()), gone]);
    return { code, stdout: '', stderr: flush.complaint, lines: [] };
  },
  async judge(stage, told) {
    if (told) mustBeNamed(told);
    await stage.serve();
    // Judged before anything is sent again: whatever the agent has a receipt for, the collector
    // has.
    if (told?.code === 0) await stage.mustBeSound();
    await mustDrainWhole(stage);
  },
};

const collectorInit: InjectedWork<Finished> = {
  name: 'outside-collector-init',
  about:
    'init with each system call on the new folder failed or killed there: repeated, it makes a collector or says how to, and that one takes a vault.',
  proves: ['P1', 'P6'],
  collectorUnderTest: true,
  async prepare() {},
  folders: (stage) => [stage.collectorData],
  act: (stage, start) => stage.operate(['init', '--data', stage.collectorData], start),
  async judge(stage, told) {
    mustBeNamed(told);
    if (told.code !== 0) {
      const again = await stage.operate(['init', '--data', stage.collectorData]);
      mustBeNamed(again);
      if (again.code !== 0) {
        // What a person does who is told that the folder is not empty.
        await rm(stage.collectorData, { recursive: true, force: true });
        await stage.mustOperate(['init', '--data', stage.collectorData]);
      }
    }
    await stage.serve();
    await stage.mustOperate(['vault', 'add', '--kit', stage.kit]);
    await stage.mustOperate(['fsck', '--data', stage.collectorData]);
  },
};

const collectorVault: InjectedWork<Finished | undefined> = {
  name: 'outside-collector-vault-add',
  about:
    'serve, while it is given a vault and an agent, with each system call failed or killed there: both can be given again, and what was confirmed is there.',
  proves: ['P1', 'P6'],
  collectorUnderTest: true,
  async prepare(stage) {
    await stage.mustOperate(['init', '--data', stage.collectorData]);
  },
  folders: (stage) => [stage.collectorData],
  async act(stage, start) {
    const server = stage.startServer(start);
    if (!(await listens(server))) return undefined;
    const added = await stage.operate(['vault', 'add', '--kit', stage.kit]);
    if (added.code !== 0) return added;
    return stage.operate(['enroll', 'pc', '--kit', stage.kit, '--out', stage.bundle]);
  },
  async judge(stage, told) {
    if (told) mustBeNamed(told);
    await stage.serve();
    await stage.mustOperate(['vault', 'add', '--kit', stage.kit]);
    if (told?.code !== 0)
      await stage.mustOperate([
        'enroll',
        'second',
        '--kit',
        stage.kit,
        '--out',
        `${stage.bundle}-2`,
      ]);
    const bundle = told?.code === 0 ? stage.bundle : `${stage.bundle}-2`;
    must(existsSync(bundle), 'a bundle was confirmed and is not there');
    await stage.mustAgent(['enroll', bundle]);
    await stage.mustBeSound();
  },
};

const collectorRepair: InjectedWork<Finished> = {
  name: 'outside-collector-repair',
  about:
    'fsck --repair of a collector whose catalog is gone, failed or killed at each system call: repeated, it rebuilds the catalog from the packs.',
  proves: ['P1', 'P2'],
  collectorUnderTest: true,
  async prepare(stage) {
    await queued(stage);
    await stage.serve();
    await stage.mustAgent(['flush']);
    await stage.unserve();
    for (const catalog of await catalogsOf(stage)) await rm(catalog, { recursive: true });
  },
  folders: (stage) => [stage.collectorData],
  act: (stage, start) => stage.operate(['fsck', '--repair', '--data', stage.collectorData], start),
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.operate(['fsck', '--repair', '--data', stage.collectorData]);
    await stage.serve();
    await mustDrainWhole(stage);
  },
};

async function catalogsOf(stage: Stage): Promise<string[]> {
  const all = await readdir(stage.collectorData, { recursive: true, withFileTypes: true });
  return all
    .filter((item) => item.isDirectory() && item.name === 'catalog')
    .map((item) => join(item.parentPath, item.name));
}

const restored = (stage: Stage): string => stage.beside('target');

const operatorRestore: InjectedWork<Finished> = {
  name: 'outside-operator-restore',
  about:
    'the operator restoring a PC with each system call on the target failed or killed there: nothing partial carries a final name, and the same command finishes later.',
  proves: ['P2', 'P6'],
  collectorUnderTest: false,
  async prepare(stage) {
    await queued(stage);
    await stage.serve();
    await stage.mustAgent(['flush']);
    await stage.unserve();
  },
  folders: (stage) => [restored(stage)],
  async act(stage, start) {
    await rm(restored(stage), { recursive: true, force: true });
    await stage.serve();
    return stage.operate(
      ['restore', '--kit', stage.kit, '--agent', 'pc', '--to', restored(stage)],
      start,
    );
  },
  async judge(stage, told) {
    mustBeNamed(told);
    const [original, copy] = [join(stage.folder, 'away'), join(restored(stage), stage.source)];
    await mustHoldNothingPartial(original, copy);
    await stage.serve();
    await stage.mustOperate([
      'restore',
      '--kit',
      stage.kit,
      '--agent',
      'pc',
      '--to',
      restored(stage),
    ]);
    await mustEqual(original, copy);
  },
};

export const outsideCollectorScenarios: readonly TortureScenario[] = [
  injectedScenario(collectorIngest),
  injectedScenario(collectorInit),
  injectedScenario(collectorVault),
  injectedScenario(collectorRepair),
  injectedScenario(operatorRestore),
];
