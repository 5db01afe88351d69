import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { waveform } from '../../demo/instruments.ts';
import { differences, pictureOf } from '../../demo/picture.ts';
import { DemoService, mustRun } from '../../demo/programs.ts';
import { copyTree, makeTree, realData } from '../../test/trees.ts';
import { type AgentPlace, statusOf, World } from '../../test/world.ts';
import { must } from '../outside/stage.ts';

/** How often agent, collector or both are killed before everything must be there. */
const CRASHES_A_CASE = 5;
/** Random trials have no end of their own: without a time limit these count as all. */
const CASES = 20;

/**
 * A backup of the built programs with `crashes` kill -9 of agent, collector or both, each at a
 * random moment; then everything is sent, both sides are proved, and the tree is restored and
 * compared. Throws `Unmet` for what does not hold.
 */
export async function killAtRandom(
  random: SeededRandom,
  crashes: number,
  real: string | undefined,
): Promise<void> {
  const world = await World.open();
  try {
    const agent = await world.agent('crashing');
    const tree = await world.place('data');
    await makeTree(join(tree, 'made'), 1 + random.below(1000));
    if (real !== undefined) await copyTree(real, join(tree, 'real'));
    for (let crash = 0; crash < crashes; crash += 1) {
      // New data each time, so that there is always something under way when the process dies.
      await world.write(`data/round-${crash}.bin`, waveform(3_000_000, random.below(1_000_000)));
      await killOnce(world, agent, tree, random);
    }
    await mustBeWhole(world, agent, tree);
  } finally {
    await world.close();
  }
}

/**
 * What is not safe yet is sent; then both sides are proved, and the tree is restored and compared.
 */
export async function mustBeWhole(world: World, agent: AgentPlace, tree: string): Promise<void> {
  const summary = await world.backup(agent, [tree]);
  must(
    summary['failed'] === 0 && summary['queued'] === 0,
    `the last backup is not whole: ${JSON.stringify(summary)}`,
  );
  const status = await statusOf(agent);
  const clean =
    status['rolledBack'] === false &&
    status['problems'] === 0 &&
    status['lost'] === 0 &&
    !('connectionProblem' in status);
  must(clean, `the status is not clean: ${JSON.stringify(status)}`);
  await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
  await world.aliquot(['fsck', '--data', world.collectorData]);
  const target = join(world.folder, 'back');
  await world.aliquot(['restore', '--kit', world.kit, '--agent', 'crashing', '--to', target]);
  const different = differences(await pictureOf(tree), await pictureOf(join(target, tree)));
  must(different.length === 0, different.slice(0, 3).join('; '));
}

/** One backup of `tree`, during which one side or both are killed. */
export async function killOnce(
  world: World,
  agent: AgentPlace,
  tree: string,
  random: SeededRandom,
): Promise<void> {
  const victim = random.pick(['agent', 'collector', 'both'] as const);
  const backup = new DemoService('aliquot-agent', ['backup', tree, '--data', agent.data, '--json']);
  const ended = once(backup.child, 'close');
  // The moment is the random input: no result depends on how long it is.
  await Promise.race([delay(random.below(1800)), ended]);
  if (victim !== 'agent') {
    await world.unserve('SIGKILL');
    if (victim === 'collector') await delay(random.below(300));
  }
  await backup.stop('SIGKILL');
  if (victim !== 'agent') await world.serve();
  // What the agent has a receipt for, the collector has, however either of them died.
  const receipt = (await statusOf(agent))['lastReceipt'] as { readonly commit: number } | null;
  const [stats] = (await world.aliquot(['stats', '--json'])).lines;
  must(
    Number(stats?.['commits']) >= (receipt?.commit ?? 0),
    `the agent holds a receipt for commit ${receipt?.commit}, and the collector has ${String(stats?.['commits'])} commits`,
  );
}

/** Runs cases of so many crashes each, until time is over or there are enough of them. */
export async function tryCrashes(
  { over, log, mine }: TortureContext,
  crashes: number,
  run: (number: number) => Promise<void>,
): Promise<TortureCounts> {
  let injected = 0;
  let passed = 0;
  const failed: string[] = [];
  for (let number = 0; number < CASES; number += 1) {
    if (!mine(number)) continue;
    if (over()) return { injected, passed, failed, whole: false };
    try {
      await run(number);
      passed += crashes;
    } catch (error) {
      failed.push(`case ${number}: ${error instanceof Error ? error.message : String(error)}`);
    }
    injected += crashes;
    log(`${injected} crashes`);
  }
  return { injected, passed, failed, whole: true };
}

export const killScenarios: readonly TortureScenario[] = [
  {
    name: 'kill-at-random',
    about:
      'kill -9 of agent, collector or both at random moments of a backup, five times a case: no receipt is broken, and everything is there at the end.',
    proves: ['P1', 'P2', 'P5'],
    run: (context) =>
      tryCrashes(context, CRASHES_A_CASE, (number) =>
        // The real instrument files take long: every fourth case.
        killAtRandom(
          context.random.derive(`case ${number}`),
          CRASHES_A_CASE,
          number % 4 === 3 ? realData : undefined,
        ),
      ),
  },
];
