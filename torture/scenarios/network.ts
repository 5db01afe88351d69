import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { anywhere, type Cut, CutBench, everyBoundary, nameOf } from '../../test/proxy/cuts.ts';
import { mischiefs } from '../../test/proxy/mischief.ts';

/** Several frames of content, so that cuts fall into the middle of an upload too. */
const large = { files: 6, chunks: 8, chunkBytes: 150_000 };
const RANDOM_CUTS = 300;
const ROUNDS = 25;

/** Runs cases one after the other over one bench until they or the time end. */
async function cases(
  { over, log, mine }: TortureContext,
  all: readonly { readonly name: string; run(): Promise<boolean> }[],
): Promise<TortureCounts> {
  const failed: string[] = [];
  let injected = 0;
  for (const [number, { name, run }] of all.entries()) {
    if (!mine(number)) continue;
    if (over()) return { injected, passed: injected - failed.length, failed, whole: false };
    try {
      if (await run()) injected += 1;
    } catch (error) {
      injected += 1;
      failed.push(
        `case ${number}: ${name}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    if (injected % 50 === 0) log(`${injected} cases`);
  }
  return { injected, passed: injected - failed.length, failed, whole: true };
}

async function withBench(
  shape: typeof large | undefined,
  work: (bench: CutBench) => Promise<TortureCounts>,
): Promise<TortureCounts> {
  const bench = await CutBench.open(shape);
  try {
    return await work(bench);
  } finally {
    await bench.close();
  }
}

const cutCase = (bench: CutBench, cut: Cut) => ({ name: nameOf(cut), run: () => bench.cut(cut) });

export const networkScenarios: readonly TortureScenario[] = [
  {
    name: 'network-every-boundary',
    about:
      'the line between the real uplink and the real ingest breaks at every WebSocket frame boundary of a session, one byte before, one behind and in the middle, in both directions, with an end and with a reset: every version arrives exactly once, with its receipt on both sides.',
    proves: ['P1', 'P2'],
    run: (context) =>
      withBench(undefined, async (bench) => {
        const soft = everyBoundary(await bench.record());
        const all = [...soft, ...soft.map((cut): Cut => ({ ...cut, hard: true }))];
        return cases(
          context,
          all.map((cut) => cutCase(bench, cut)),
        );
      }),
  },
  {
    name: 'network-anywhere',
    about:
      'the line breaks after a random byte of a session that uploads 7 MB in several frames: every version arrives exactly once, with its receipt on both sides, and little is sent twice.',
    proves: ['P1', 'P2'],
    run: (context) =>
      withBench(large, async (bench) => {
        const recording = await bench.record();
        const whole = bench.sentBytes;
        const twice: number[] = [];
        const all = Array.from({ length: RANDOM_CUTS }, (_, number) =>
          anywhere(recording, context.random.derive(`cut ${number}`)),
        );
        const counts = await cases(
          context,
          all.map((cut) => ({
            name: nameOf(cut),
            run: async () => {
              const happened = await bench.cut(cut);
              twice.push(Math.max(0, bench.sentBytes - whole));
              return happened;
            },
          })),
        );
        const mean = twice.reduce((sum, bytes) => sum + bytes, 0) / Math.max(1, twice.length);
        context.log(
          `of ${whole} bytes, ${Math.round(mean)} were sent twice on average, ${Math.max(0, ...twice)} at most`,
        );
        return counts;
      }),
  },
  {
    name: 'network-mischief',
    about:
      'the line delays, crumbles, is half closed, freezes silently, lets an old session arrive behind the next one, says everything twice, plays whole sessions again, and breaks again and again: every version arrives exactly once, with its receipt on both sides.',
    proves: ['P1', 'P2', 'P5'],
    run: (context) =>
      withBench(undefined, async (bench) => {
        const recording = await bench.record();
        const all = Array.from({ length: ROUNDS }, (_, round) => round).flatMap((round) =>
          Object.entries(mischiefs).map(([name, mischief]) => ({
            name,
            run: async () => {
              await mischief(bench, recording, context.random.derive(`${name} ${round}`));
              return true;
            },
          })),
        );
        return cases(context, all);
      }),
  },
];
