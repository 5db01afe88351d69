/**
 * `npm run soak -- --minutes 30 --seed N`: random instruments and random harm; at the end
 * everything is restored and compared.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { stopPrograms } from '../demo/programs.ts';
import { seededSource } from '../shared/testing/random.ts';
import { runSoak, type SoakResult } from './soak/run-soak.ts';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** All figures in one line. */
function inOneLine(seed: number, minutes: number, result: SoakResult): string {
  const { harm, files, states, told, required, versions, bytes, syncSeconds, wrong } = result;
  const { collected, mayBeGone } = result;
  const kills = harm.agentKills + harm.collectorKills + harm.bothKills;
  return (
    `soak: seed ${seed}, ${minutes} minutes; ${files} files in ${states} states, ${told} told as captured, ${required} that must come back; ` +
    `${kills} kill -9 (${harm.agentKills} agent, ${harm.collectorKills} collector, ${harm.bothKills} both), ${harm.freezes} freezes, ` +
    `${harm.cablePulls} cable pulls, ${harm.fullDisks} full disks, ${harm.clockJumps} clock jumps; ` +
    `${collected.collections} collections (${collected.refused} commands refused, ${collected.approved} runs approved, ${collected.undone} undone), ${collected.expired} versions expired, ` +
    `${collected.dropped} dropped, ${collected.items} items swept, ${(collected.freedBytes / 1e6).toFixed(1)} MB freed, ${mayBeGone} states may be gone; synced ${syncSeconds} s after the last harm; ` +
    `${versions} versions (${(bytes / 1e6).toFixed(1)} MB) restored and compared, ${wrong.length} wrong`
  );
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '30' },
    help: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
const minutes = Number(values.minutes);
if (values.help || !Number.isSafeInteger(seed) || !(minutes > 0)) {
  process.stdout.write('Usage: npm run soak -- [--minutes 30] [--seed N]\n');
  process.exit(values.help ? 0 : 2);
}
print(`soak: seed ${seed}, ${minutes} minutes`);
const end = Date.now() + minutes * 60_000;
const result = await runSoak(
  seededSource(seed),
  () => Date.now() >= end,
  (line) => print(`  ${line}`),
);
for (const line of result.wrong.slice(0, 50)) print(`WRONG ${line}`);
print(inOneLine(seed, minutes, result));
await stopPrograms();
process.exit(result.wrong.length === 0 ? 0 : 1);
