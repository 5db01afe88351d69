import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import type { Finished } from '../../demo/programs.ts';
import { type InjectedWork, injectedScenario } from '../outside/injected.ts';
import { mustBeNamed, mustEqual, mustSend } from '../outside/judge.ts';
import { must, type Stage } from '../outside/stage.ts';
import { enrolled } from './outside-agent.ts';

/** Folder results through both programs, of which the agent fails or is killed at every step. */

/** More than one commit holds. */
const MEMBERS = 5000;
const FOLDERS = 10;

const rootOf = (stage: Stage): string => join(stage.source, 'plate.D');

async function writeResult(stage: Stage): Promise<void> {
  for (let folder = 0; folder < FOLDERS; folder += 1)
    await mkdir(join(rootOf(stage), `well ${folder}`), { recursive: true });
  for (let file = 0; file < MEMBERS; file += 1) {
    const name = join(`well ${file % FOLDERS}`, `${file}.csv`);
    await writeFile(join(rootOf(stage), name), `${file},${(file * 7919) % 997}\n`.repeat(file % 9));
  }
}

/** Restores a version of the result, the newest by default, and compares it with its source. */
async function mustBeWhole(stage: Stage, ...version: readonly string[]): Promise<void> {
  const target = stage.beside('restored');
  await rm(target, { recursive: true, force: true });
  await stage.mustOperate([
    ...['restore', '--kit', stage.kit, '--agent', 'pc', '--result', rootOf(stage)],
    ...['--to', target, ...version],
  ]);
  await mustEqual(rootOf(stage), join(target, rootOf(stage)));
}

/** What the collector has just now: no row of the result is closed while a member is not there. */
async function mustNotPassOffAHalf(stage: Stage): Promise<void> {
  const args = ['versions', '--agent', 'pc', '--path', rootOf(stage), '--json'];
  const { code, lines } = await stage.operate(args);
  // Nothing of it has come yet.
  if (code !== 0) return;
  for (const { state, version } of lines)
    if (state === 'closed') await mustBeWhole(stage, '--version', String(version));
}

export const resultBackup: InjectedWork<Finished> = {
  name: 'results-backup',
  about:
    'backup of a folder result of 5,000 members, which takes several commits, with each system call on the agent folder failed or killed there: whatever the collector has then, no half is closed; the next backup closes it, and it comes back whole.',
  proves: ['P1', 'P2', 'P6'],
  collectorUnderTest: false,
  sourceStays: true,
  prepare: (stage) => enrolled(stage, writeResult),
  folders: (stage) => [stage.agentData],
  async act(stage, start) {
    await stage.serve();
    return stage.agent(['backup', stage.source, '--json'], start);
  },
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.serve();
    await mustNotPassOffAHalf(stage);
    await mustSend(stage, ['backup', stage.source]);
    must(await isClosed(stage), 'the result was never closed');
    await mustBeWhole(stage);
    await stage.mustBeSound();
  },
};

async function isClosed(stage: Stage): Promise<boolean> {
  const args = ['versions', '--agent', 'pc', '--path', rootOf(stage), '--json'];
  return (await stage.operate(args)).lines.at(-1)?.['state'] === 'closed';
}

export const resultBackupScenarios: readonly TortureScenario[] = [injectedScenario(resultBackup)];
