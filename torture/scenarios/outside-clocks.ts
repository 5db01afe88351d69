import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import type { OutsideCase } from '../outside/cases.ts';
import { tryCases } from '../outside/cases.ts';
import { mustComeBack, mustSend } from '../outside/judge.ts';
import { must, type Stage } from '../outside/stage.ts';
import { BentClock, faketimeLibrary } from '../soak/clocks.ts';
import { enrolled } from './outside-agent.ts';

const YEAR = 365 * 86_400;
/** How far off a clock may be: seconds, hours, a day, years, on either side of the truth. */
const offsets = [
  0,
  5,
  -5,
  3600,
  -3600,
  86_400,
  -86_400,
  2 * YEAR,
  -3 * YEAR,
  9 * YEAR,
  -20 * YEAR,
] as const;
const CASES = 40;
const STATES = 5;

/**
 * Five states of one file, each backed up while the clocks of agent and collector stand where
 * chance puts them. Every version must be there, in the order in which it was captured, at times
 * that never run backwards, and open to the right bytes.
 */
async function backUpUnderBentClocks(stage: Stage, random: SeededRandom): Promise<void> {
  const [agentClock, collectorClock] = [
    new BentClock(stage.beside('agent.clock')),
    new BentClock(stage.beside('collector.clock')),
  ];
  const file = join(stage.source, 'jumping.txt');
  const contents: string[] = [];
  const said: string[] = [];
  for (let state = 0; state < STATES; state += 1) {
    contents.push(`state ${state} ${'x'.repeat(state)}`);
    await writeFile(file, contents.at(-1) ?? '');
    const [agentOffset, collectorOffset] = [random.pick(offsets), random.pick(offsets)];
    said.push(`agent ${agentOffset} s, collector ${collectorOffset} s`);
    await agentClock.set(agentOffset);
    await collectorClock.set(collectorOffset);
    await stage.serve({ environment: collectorClock.environment });
    const offline = random.chance(0.3);
    await stage.mustAgent(['backup', stage.source, ...(offline ? ['--offline'] : [])], {
      environment: agentClock.environment,
    });
    if (random.chance(0.5)) await stage.unserve(random.pick(['SIGTERM', 'SIGKILL'] as const));
  }
  await stage.unserve();
  await stage.serve();
  await mustSend(stage, ['flush']);
  await stage.mustBeSound();
  await mustComeBack(stage, stage.source);
  await mustHaveAllVersions(stage, file, contents).catch((error: Error) => {
    throw new Error(`${error.message} (${said.join('; ')})`, { cause: error });
  });
}

async function mustHaveAllVersions(
  stage: Stage,
  file: string,
  contents: readonly string[],
): Promise<void> {
  const { lines, stderr } = await stage.operate([
    'versions',
    '--agent',
    'pc',
    '--path',
    file,
    '--json',
  ]);
  const sizes = lines.map((line) => line['size']);
  must(
    JSON.stringify(sizes) === JSON.stringify(contents.map(({ length }) => length)),
    `the versions have sizes ${sizes.join(' ')}: ${stderr}`,
  );
  const times = lines.map((line) => Date.parse(String(line['time'])));
  for (const [index, time] of times.entries()) {
    must(index === 0 || time >= (times[index - 1] ?? 0), 'the times of versions run backwards');
    // Of two versions at one instant the newer is the one of that instant.
    if (time === times[index + 1]) continue;
    const target = stage.beside('then');
    await rm(target, { recursive: true, force: true });
    await stage.mustOperate([
      'restore',
      '--kit',
      stage.kit,
      '--agent',
      'pc',
      '--path',
      file,
      '--at',
      new Date(time).toISOString(),
      '--to',
      target,
    ]);
    const content = await readFile(join(target, file), 'utf8');
    must(content === contents[index], `version ${index} opens to "${content}"`);
  }
}

export const outsideClockScenarios: readonly TortureScenario[] = [
  {
    name: 'outside-clocks',
    about:
      'the clocks of agent and collector seconds to decades off and jumping between backups (libfaketime): every version is there, in order, at times that never run backwards.',
    proves: ['P1', 'P2', 'P5'],
    async run(context) {
      if (faketimeLibrary === undefined) {
        context.log('not run: libfaketime is not installed (Debian: apt-get install faketime)');
        return { injected: 0, passed: 0, failed: [], whole: false };
      }
      const cases = Array.from({ length: CASES }, (_, number): OutsideCase => {
        const random = context.random.derive(`case ${number}`);
        return {
          what: 'backups under jumping clocks',
          run: (stage) => backUpUnderBentClocks(stage, random),
        };
      });
      return tryCases(context, enrolled, cases);
    },
  },
];
