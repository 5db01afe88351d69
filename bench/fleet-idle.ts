/**
 * What many idle agents cost one collector: `npm run build && node --conditions=aliquot-source
 * bench/fleet-idle.ts [--agents 5000] [--processes 4]`. Real uplinks with their keys, timers and
 * heartbeats in a few processes, over sockets of loopback to one built collector. Linux only; needs
 * some 2 * agents open files.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Fleet } from '../test/fleet/fleet.ts';
import { cpuOf, memoryOf } from './measure/procfs.ts';

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '5000' },
    processes: { type: 'string', default: '4' },
    rest: { type: 'string', default: '60' },
  },
});
const agents = Number(values.agents);
/**
 * An idle agent says that it lives after each whole look at its sources: every five minutes unless
 * configured.
 */
const HEARTBEAT_MS = 300_000;
/** Longer than any run: an idle agent commits nothing. */
const NEVER_MS = 1_000_000_000;
const STEP_MS = 10_000;
const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

console.error(`enrolling ${agents} agents`);
const fleet = await Fleet.open({
  agents,
  processes: Number(values.processes),
  heartbeatMs: HEARTBEAT_MS,
  commitMs: NEVER_MS,
});
try {
  const connected = new Set<number>();
  const setbacks = new Map<string, number>();
  fleet.onNews((news) => {
    if (news.type === 'ready') connected.add(news.agent);
    if (news.type === 'setback') setbacks.set(news.why, (setbacks.get(news.why) ?? 0) + 1);
  });
  const all = fleet.allReady(agents);
  const empty = memoryOf(fleet.pid, 'VmRSS');
  const progress = setInterval(
    () =>
      console.error(
        `${connected.size} connected, collector ${mebibytes(memoryOf(fleet.pid, 'VmRSS'))}`,
      ),
    STEP_MS,
  );
  await all.finally(() => clearInterval(progress));
  console.log(
    `${agents} agents are connected; collector: ${mebibytes(memoryOf(fleet.pid, 'VmRSS'))}`,
  );
  const cpuBefore = cpuOf(fleet.pid).own;
  const began = performance.now();
  for (let restedMs = STEP_MS; restedMs <= Number(values.rest) * 1000; restedMs += STEP_MS) {
    await delay(STEP_MS);
    console.log(`after ${restedMs / 1000} s of rest: ${mebibytes(memoryOf(fleet.pid, 'VmRSS'))}`);
  }
  const now = memoryOf(fleet.pid, 'VmRSS');
  const share = ((cpuOf(fleet.pid).own - cpuBefore) * 100_000) / (performance.now() - began);
  console.log(
    `at most ${mebibytes(memoryOf(fleet.pid, 'VmHWM'))}; ${((now - empty) / agents / 1024).toFixed(0)} KiB an agent; ${share.toFixed(1)} % of a core at rest`,
  );
  console.log(
    `setbacks: ${[...setbacks].map(([why, count]) => `${why}: ${count}`).join(', ') || 'none'}`,
  );
} finally {
  await fleet.close();
}
process.exit(0);
