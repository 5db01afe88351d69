/**
 * What attacks take from an honest agent: `npm run build && node --conditions=aliquot-source
 * bench/beside.ts [--seconds 8] [NAME...]`. Receipts a second while each attack of
 * `test/hostile/attacks.ts` goes on, by the rate just before and just after it, the part of a
 * processor that the collector takes, and its peak memory. The attacker is a process of its own,
 * and steps back from the processors, as if it ran on a machine of its own. Linux only.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { SessionTestAgent } from '../collector/testing/agent.ts';
import { stopPrograms } from '../demo/programs.ts';
import { attacks } from '../test/hostile/attacks.ts';
import { HonestAgent } from '../test/hostile/honest-agent.ts';
import type { Attack } from '../test/hostile/siege.ts';
import { HostileTarget } from '../test/hostile/target.ts';
import type { World } from '../test/world.ts';
import { cpuOf } from './measure/procfs.ts';

/** What an attack needs to build up, before anything is measured. */
const BUILD_UP_MS = 3_000;
/** What is held is held so long, and then begun again. */
const HELD_MS = 2_000;

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '8' }, url: { type: 'string' } },
  allowPositionals: true,
});
const { url } = values;
if (url === undefined) await measure(Number(values.seconds));
else await attack(url, positionals);

/** What happens in a second. */
interface Rate {
  readonly receipts: number;
  /** Of the collector. */
  readonly processor: number;
}

/** The attacker's process: the same again and again, until it is killed. */
async function attack(collector: string, [name, bundle = '']: readonly string[]): Promise<void> {
  setPriority(constants.priority.PRIORITY_LOW);
  const evil = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
  await evil.enrol(collector);
  const target = new HostileTarget({ url: collector } as World);
  const chosen = attacks.find((each) => each.name === name);
  if (chosen === undefined) throw new Error(`no attack ${name}`);
  process.send?.('begins');
  for (;;)
    try {
      await chosen.run({ target, evil }, chosen.force, () => wait(HELD_MS));
    } catch (error) {
      // A session that was ended is what an attacker expects.
      process.stderr.write(`  ${name}: ${error}\n`);
      await wait(100);
    }
}

async function measure(seconds: number): Promise<void> {
  const target = await HostileTarget.open();
  const honest = await HonestAgent.start(target, 'honest');
  await honest.receipts(50);
  const rate = async (): Promise<Rate> => {
    const [before, began, spent] = [honest.received, performance.now(), cpuOf(target.pid).own];
    await wait(seconds * 1000);
    await honest.receipts(1);
    const tookSeconds = (performance.now() - began) / 1000;
    return {
      receipts: (honest.received - before) / tookSeconds,
      processor: (cpuOf(target.pid).own - spent) / tookSeconds,
    };
  };
  for (const each of attacks)
    if (positionals.length === 0 || positionals.includes(each.name))
      await compare(target, each, rate);
  await honest.stop();
  await target.close();
  await stopPrograms();
}

async function compare(
  target: HostileTarget,
  { name }: Attack,
  rate: () => Promise<Rate>,
): Promise<void> {
  const bundle = await target.world.bundle(`evil-${name}`);
  const before = await rate();
  target.resetPeak();
  const arguments_ = ['--url', target.world.url, name, bundle];
  const attacker = fork(fileURLToPath(import.meta.url), arguments_);
  await once(attacker, 'message');
  await wait(BUILD_UP_MS);
  const beside = await rate();
  const peak = target.peakBytes() / 1024 ** 2;
  attacker.kill('SIGKILL');
  await once(attacker, 'exit');
  await wait(BUILD_UP_MS);
  const after = await rate();
  const alone = (before.receipts + after.receipts) / 2;
  const share = (beside.receipts / alone).toFixed(2);
  const [now, first, last] = [beside, before, after].map((one) => one.receipts.toFixed(0));
  const rates = `${now} receipts/s beside it, ${first} before and ${last} after`;
  const processor = `${beside.processor.toFixed(2)} of a processor, ${((before.processor + after.processor) / 2).toFixed(2)} alone`;
  process.stdout.write(
    `${name}: ${share} (${rates}); collector: ${processor}, at most ${peak.toFixed(0)} MiB\n`,
  );
}
