/**
 * How long after the network's return the first receipt comes: `node --conditions=aliquot-source
 * bench/reconnect.ts [--agents N] [--rounds N] [--outages 5,90]`, as root, after `npm run build`.
 * Built programs on machines of network namespaces; each agent has something queued when the
 * network returns.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Namespaces, type PcAgent, whyNoNamespaces } from '../test/proxy/namespaces.ts';

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '2' },
    outages: { type: 'string', default: '5,90' },
  },
});

type Kind = 'link down' | 'drop' | 'collector restart';
const kinds: readonly Kind[] = ['link down', 'drop', 'collector restart'];
let written = 0;

/** Resolves at the agent's next log line that says this. */
function said(agent: PcAgent, message: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = agent.onLog((line) => {
      if (line['msg'] !== message) return;
      stop();
      resolve();
    });
  });
}

/** Milliseconds from the network's return to each agent's first receipt. */
async function measure(
  world: Namespaces,
  agents: readonly PcAgent[],
  kind: Kind,
  seconds: number,
): Promise<number[]> {
  if (kind === 'collector restart') await world.unserve('SIGKILL');
  else await world.breakWay(kind);
  const captured = agents.map((agent) => said(agent, 'captured'));
  written += 1;
  for (const { source } of agents)
    await writeFile(join(source, `result-${written}.raw`), `result ${written}`);
  await Promise.all([...captured, delay(seconds * 1000)]);
  const receipts = agents.map(async (agent) => {
    await said(agent, 'receipt');
    return performance.now();
  });
  if (kind === 'collector restart') await world.serve();
  else await world.mendWay(kind);
  const returned = performance.now();
  return (await Promise.all(receipts)).map((at) => at - returned);
}

const why = await whyNoNamespaces();
if (why !== undefined) {
  console.log(`skipped: ${why}`);
  process.exit(0);
}
const world = await Namespaces.open();
try {
  const agents: PcAgent[] = [];
  for (let number = 1; number <= Number(values.agents); number += 1) {
    const agent = await world.pcAgent(`pc-${number}`);
    const first = said(agent, 'receipt');
    await writeFile(join(agent.source, 'first.raw'), 'first');
    await first;
    agents.push(agent);
  }
  console.log(
    `${agents.length} agents, ${values.rounds} rounds each; seconds from the network's return to the first receipt`,
  );
  for (const seconds of values.outages.split(',').map(Number)) {
    for (const kind of kinds) {
      const all: number[] = [];
      for (let round = 0; round < Number(values.rounds); round += 1)
        all.push(...(await measure(world, agents, kind, seconds)));
      all.sort((left, right) => left - right);
      const at = (share: number): string =>
        ((all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0) / 1000).toFixed(1);
      console.log(
        `${kind.padEnd(18)} ${String(seconds).padStart(4)} s away: least ${at(0)}, median ${at(0.5)}, most ${at(1)}   (${all.length} values)`,
      );
    }
  }
} finally {
  await world.close();
}
