import { join } from 'node:path';
import type { TortureContext, TortureScenario } from '@aliquot/shared/testing/scenario';
import type { Finished } from '../../demo/programs.ts';
import { World } from '../../test/world.ts';
import { type InjectedWork, injectedScenario } from '../outside/injected.ts';
import { mustBeNamed, mustComeBack, mustSend } from '../outside/judge.ts';
import {
  changeSmallFiles,
  firstOf,
  keepFirst,
  timeOf,
  writeSmallFiles,
} from '../outside/small-files.ts';
import type { Stage } from '../outside/stage.ts';
import { Record } from '../soak/record.ts';
import { SmallTree } from '../soak/small-tree.ts';
import { killOnce, mustBeWhole, tryCrashes } from './kill-at-random.ts';
import { agentCapture, agentFlush, enrolled } from './outside-agent.ts';
import { collectorIngest } from './outside-collector.ts';

/** Trees of small files through both programs, which fail or are killed at every step. */

/** A first state is safe, and the tree is another one since. */
async function changed(stage: Stage): Promise<void> {
  await enrolled(stage, writeSmallFiles);
  await stage.serve();
  await mustSend(stage, ['backup', stage.source]);
  await keepFirst(stage);
  await changeSmallFiles(stage);
  await stage.unserve();
}

/** As `changed`; the second state is captured too, its sources are gone, and it was not sent. */
async function changesQueued(stage: Stage): Promise<void> {
  await changed(stage);
  await stage.mustAgent(['backup', stage.source, '--offline']);
  await stage.takeSourcesAway();
}

/** The same work on a tree whose first state is safe: that one must come back, too. */
function withFirst<Told>(work: InjectedWork<Told>, more: Partial<InjectedWork<Told>>) {
  return {
    ...work,
    ...more,
    async judge(stage: Stage, told: Told): Promise<void> {
      await (more.judge ?? work.judge)(stage, told);
      await mustComeBack(stage, firstOf(stage), await timeOf(stage));
    },
  };
}

const smallCapture: InjectedWork<Finished> = {
  ...agentCapture,
  name: 'small-files-capture',
  about:
    'as outside-agent-capture, for a tree of 600 small files: empty ones, some around 64 KiB, names of any bytes, links, the same bytes at several places.',
  prepare: (stage) => enrolled(stage, writeSmallFiles),
};

export const smallFlush: InjectedWork<Finished> = withFirst(agentFlush, {
  name: 'small-files-flush',
  about:
    'as outside-agent-flush, for a tree of small files of which one state is safe and the next, in which they are changed, touched, renamed and deleted, is queued: both come back.',
  prepare: changesQueued,
});

const smallBackup: InjectedWork<Finished> = withFirst(agentCapture, {
  name: 'small-files-backup',
  about:
    'capture, sending and receipts of a changed tree of small files, with each system call on the agent folder failed or killed there: the next backup ends it, and both states come back.',
  prepare: changed,
  sourceStays: true,
  async act(stage, start) {
    await stage.serve();
    return stage.agent(['backup', stage.source, '--json'], start);
  },
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.serve();
    await mustSend(stage, ['backup', stage.source]);
    await stage.mustBeSound();
    await mustComeBack(stage, stage.source);
  },
});

export const smallIngest: InjectedWork<Finished | undefined> = withFirst(collectorIngest, {
  name: 'small-files-ingest',
  about:
    'as outside-collector-ingest, for the queue of small-files-flush: no receipt is broken, and both states come back.',
  prepare: changesQueued,
});

/** Crashes in one case, and what is changed before each. */
const CRASHES_A_CASE = 5;
const STEPS_A_CRASH = 6;

/** Small files come, change, move and go, and both sides are killed in between. */
async function killedWithSmallFiles(random: TortureContext['random']): Promise<void> {
  const world = await World.open();
  try {
    const agent = await world.agent('crashing');
    const tree = await world.place('data');
    const files = new SmallTree(join(tree, 'plates'), random.derive('tree'), new Record());
    await world.write('data/stays.txt', 'never touched');
    for (let crash = 0; crash < CRASHES_A_CASE; crash += 1) {
      for (let step = 0; step < STEPS_A_CRASH; step += 1) await files.step();
      await killOnce(world, agent, tree, random);
    }
    await mustBeWhole(world, agent, tree);
  } finally {
    await world.close();
  }
}

export const smallFileScenarios: readonly TortureScenario[] = [
  injectedScenario(smallCapture),
  injectedScenario(smallFlush),
  injectedScenario(smallBackup),
  injectedScenario(smallIngest),
  {
    name: 'small-files-killed',
    about:
      'as kill-at-random, while a tree of small files gets new folders, and files in it are changed, touched, renamed and deleted.',
    proves: ['P1', 'P2', 'P5'],
    run: (context) =>
      tryCrashes(context, CRASHES_A_CASE, (number) =>
        killedWithSmallFiles(context.random.derive(`case ${number}`)),
      ),
  },
];
