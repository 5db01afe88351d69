/**
 * How a fleet comes back after its collector was killed: `node --conditions=aliquot-source
 * bench/stampede.ts [--agents 500] [--away 2,40]`, after `npm run build`. All agents stand behind
 * one address, as in a lab with NAT. Real uplinks in a few processes, one built collector.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Fleet } from '../test/fleet/fleet.ts';

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '500' },
    processes: { type: 'string', default: '4' },
    away: { type: 'string', default: '0,2,40' },
    watch: { type: 'string', default: '70' },
  },
});
const agents = Number(values.agents);
const marks = [0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 60];
const TICKS_PER_SECOND = 100;
const BAR = 60;

/** Seconds of processor time, and megabytes now and at most, of a process. */
async function usage(
  pid: number,
): Promise<{ readonly cpu: number; readonly now: number; readonly most: number }> {
  const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string): number =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return {
    cpu: (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND,
    now: megabytes('VmRSS'),
    most: megabytes('VmHWM'),
  };
}

async function restart(fleet: Fleet, awaySeconds: number): Promise<void> {
  const back = new Map<number, number>();
  const setbacks = new Map<string, number>();
  let receipts = 0;
  let listening = Number.POSITIVE_INFINITY;
  const stop = fleet.onNews((news) => {
    if (news.type === 'setback') setbacks.set(news.why, (setbacks.get(news.why) ?? 0) + 1);
    if (news.atMs < listening) return;
    if (news.type === 'receipt') receipts += news.versions;
    if (news.type === 'ready' && !back.has(news.agent)) back.set(news.agent, news.atMs - listening);
  });
  await fleet.kill();
  await delay(awaySeconds * 1000);
  const all = fleet.allReady(agents);
  await fleet.serve();
  listening = Date.now();
  const before = await usage(fleet.pid);
  await Promise.race([all, delay(Number(values.watch) * 1000)]);
  const whole = (Date.now() - listening) / 1000;
  const after = await usage(fleet.pid);
  stop();
  console.log(
    `\ncollector killed, and away for ${awaySeconds} s; ${back.size} of ${agents} agents back within ${whole.toFixed(1)} s`,
  );
  for (const mark of marks) {
    const count = [...back.values()].filter((milliseconds) => milliseconds <= mark * 1000).length;
    console.log(
      `  after ${String(mark).padStart(4)} s ${String(count).padStart(5)}  ${'#'.repeat(Math.round((count / agents) * BAR))}`,
    );
    if (count === agents) break;
  }
  console.log(
    `  collector: ${(after.cpu - before.cpu).toFixed(1)} s of processor, ${after.now} MB now, ${after.most} MB at most; ${receipts} receipts`,
  );
  console.log(
    `  setbacks by reason: ${[...setbacks].map(([why, count]) => `${why}: ${count}`).join(', ') || 'none'}`,
  );
}

const fleet = await Fleet.open({
  agents,
  processes: Number(values.processes),
  heartbeatMs: 20_000,
  commitMs: 20_000,
});
try {
  const connected = new Set<number>();
  const stop = fleet.onNews(({ type, agent }) => {
    if (type === 'ready') connected.add(agent);
  });
  const progress = setInterval(() => console.error(`${connected.size} connected`), 10_000);
  await fleet.allReady(agents);
  clearInterval(progress);
  stop();
  console.log(
    `${agents} agents of one address are connected; collector: ${(await usage(fleet.pid)).now} MB`,
  );
  for (const away of values.away.split(',').map(Number)) {
    await delay(5_000);
    await restart(fleet, away);
  }
} finally {
  await fleet.close();
}
process.exit(0);
