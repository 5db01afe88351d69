import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { differences, pictureOf } from '../../demo/picture.ts';
import {
  Namespaces,
  type Outage,
  type PcAgent,
  whyNoNamespaces,
} from '../../test/proxy/namespaces.ts';
import { must } from '../outside/stage.ts';

const CASES = 12;
const PULLS_A_CASE = 3;
const LONGEST_OUTAGE_MS = 12_000;
/** No result depends on it: what hangs ends here. */
const PATIENCE_MS = 180_000;

/** Resolves at the next log line that says this; rejects when that takes absurdly long. */
function said(agent: PcAgent, message: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = agent.onLog((line) => {
      if (line['msg'] !== message) return;
      end();
      resolve();
    });
    const impatience = setTimeout(() => {
      end();
      reject(new Error(`the agent did not say "${message}"`));
    }, PATIENCE_MS);
    const end = (): void => {
      stop();
      clearTimeout(impatience);
    };
  });
}

/**
 * One result is written and sent over a slow line, which breaks some times meanwhile; then it must
 * be safe without anybody's doing.
 */
async function pullAndPut(
  world: Namespaces,
  agent: PcAgent,
  number: number,
  random: SeededRandom,
): Promise<string> {
  await world.limitRate(2_000 + random.below(20_000));
  const captured = said(agent, 'captured');
  await writeFile(
    join(agent.source, `result-${number}.raw`),
    randomBytes(1_500_000 + random.below(3_000_000)),
  );
  await captured;
  const told: string[] = [];
  for (let pull = 0; pull < PULLS_A_CASE; pull += 1) {
    // The moment is the random input: no result depends on how long it is.
    await delay(random.below(1_500));
    const how = random.pick<Outage>(['drop', 'link down']);
    const outage = 300 + random.below(LONGEST_OUTAGE_MS);
    told.push(`${how} ${outage} ms`);
    await world.breakWay(how);
    await delay(outage);
    await world.mendWay(how);
  }
  await safe(world, agent);
  return told.join(', ');
}

/** Everything captured is receipted, without a command that would send it. */
async function safe(world: Namespaces, agent: PcAgent): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; ; ) {
    const { lines } = await world.agentCommand(['status', '--data', agent.data, '--json']);
    const status = lines.find((line) => line['event'] === 'status');
    const { entries } = (status?.['queue'] ?? { entries: -1 }) as { entries: number };
    if (entries === 0) return;
    must(
      Date.now() < end,
      `${entries} versions are still queued, long after the network is back: ${JSON.stringify(status)}`,
    );
    await delay(500);
  }
}

async function run({ random, over, log, mine }: TortureContext): Promise<TortureCounts> {
  const why = await whyNoNamespaces();
  if (why !== undefined) {
    log(`skipped: ${why}`);
    return { injected: 0, passed: 0, failed: [], whole: false };
  }
  const world = await Namespaces.open();
  const failed: string[] = [];
  let injected = 0;
  let whole = true;
  try {
    const agent = await world.pcAgent('pc');
    for (let number = 0; number < CASES; number += 1) {
      if (!mine(number)) continue;
      if (over()) {
        whole = false;
        break;
      }
      injected += PULLS_A_CASE;
      try {
        log(
          `case ${number}: ${await pullAndPut(world, agent, number, random.derive(`case ${number}`))}`,
        );
      } catch (error) {
        failed.push(`case ${number}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const back = join(world.folder, 'back');
    await world.operator(['restore', '--kit', world.kit, '--agent', 'pc', '--to', back]);
    const different = differences(
      await pictureOf(agent.source),
      await pictureOf(join(back, agent.source)),
    );
    if (different.length > 0) failed.push(`at the end: ${different.slice(0, 3).join('; ')}`);
  } finally {
    await world.close();
  }
  return {
    injected,
    passed: injected - Math.min(injected, failed.length * PULLS_A_CASE),
    failed,
    whole,
  };
}

export const networkCableScenarios: readonly TortureScenario[] = [
  {
    name: 'network-cable',
    undivided: true,
    about:
      'the built programs on machines of network namespaces, over a rate-limited line (tc tbf) whose cable is pulled and put back while a result is sent, by link down and by dropping every packet: all is sent by itself, and restored whole. Needs root.',
    proves: ['P1', 'P2'],
    run,
  },
];
