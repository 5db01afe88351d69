/**
 * The collector's peak memory under floods: `npm run build && node --conditions=aliquot-source
 * bench/flood.ts [--force 0.1] [NAME...]`. Each attack has its own line; all run against one
 * process, beside an honest agent that backs up all the time. Linux only.
 */
import { parseArgs } from 'node:util';
import { stopPrograms } from '../demo/programs.ts';
import { attacks } from '../test/hostile/attacks.ts';
import { HonestAgent } from '../test/hostile/honest-agent.ts';
import { HostileTarget } from '../test/hostile/target.ts';

const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
const { values, positionals } = parseArgs({
  options: { force: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const share = Number(values.force);

const target = await HostileTarget.open();
const evil = await target.agent('evil');
const honest = await HonestAgent.start(target, 'honest');
await honest.receipts(5);
process.stdout.write(`idle beside an agent that backs up: ${mib(target.residentBytes())}\n`);
for (const { name, about, force, run } of attacks) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const count = Math.max(1, Math.round(force * share));
  const before = honest.received;
  target.resetPeak();
  const start = target.residentBytes();
  const began = performance.now();
  const remark = await run({ target, evil }, count, async () => {
    await honest.receipts(5);
    await honest.arriveAnew();
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const harm = `honest agent: ${honest.received - before} receipts and a new session meanwhile`;
  process.stdout.write(`${name}: ${about.replace('{}', String(count))}\n`);
  process.stdout.write(
    `  peak ${mib(target.peakBytes())} (before ${mib(start)}), ${seconds} s; ${remark}; ${harm}\n`,
  );
}
const named = (await target.problems('evil')).map(({ code }) => code);
process.stdout.write(`aliquot agents says of the evil agent: ${named.join(', ') || 'nothing'}\n`);
await honest.stop();
await target.close();
await stopPrograms();
