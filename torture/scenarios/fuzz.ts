import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { corpusFolder, corpusOf } from '../../test/hostile/fuzz/corpus.ts';
import { digestName, type FuzzTarget, fuzz } from '../../test/hostile/fuzz/fuzz.ts';
import { targets } from '../../test/hostile/fuzz/targets.ts';

/**
 * Inputs for each target in one round; rounds go on until time is up, or end after these when no
 * time is set.
 */
const ROUND = 1500;
const ROUNDS = 4;
/** A reader that keeps more than this of what it read has a leak: inputs are at most a megabyte. */
const MAX_GROWTH_BYTES = 512 * 1024 ** 2;

/** Whether code ran that never ran before, by V8's block coverage. */
class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  }

  async grew(): Promise<boolean> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const before = this.#seen.size;
    for (const { scriptId, url, functions } of result) {
      if (!url.includes('/src/')) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) this.#seen.add(`${scriptId} ${startOffset} ${endOffset}`);
    }
    return this.#seen.size > before;
  }

  async stop(): Promise<void> {
    await this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}

async function run({ random, over, log, mine }: TortureContext): Promise<TortureCounts> {
  const coverage = new Coverage();
  await coverage.start();
  const failed: string[] = [];
  let injected = 0;
  let round = 0;
  try {
    for (; round < ROUNDS && !over(); round += 1) {
      for (const [number, target] of targets.entries()) {
        if (!mine(number)) continue;
        if (over()) break;
        injected += await one(`case ${number}: ${target.name}`, target, round);
      }
    }
  } finally {
    await coverage.stop();
  }
  log(`${injected} inputs to ${targets.length} readers in ${round} rounds`);
  return { injected, passed: injected - failed.length, failed, whole: round === ROUNDS };

  async function one(name: string, target: FuzzTarget, turn: number): Promise<number> {
    const corpus = corpusOf(target.name).map(({ bytes }) => bytes);
    const before = process.memoryUsage().rss;
    const { runs, ways, findings } = await fuzz(target, random.derive(`${target.name} ${turn}`), {
      more: (done) => done < ROUND && !over(),
      corpus,
      newCode: () => coverage.grew(),
    });
    const growth = process.memoryUsage().rss - before;
    if (growth > MAX_GROWTH_BYTES)
      failed.push(`${name}: ${Math.round(growth / 1024 ** 2)} MiB more after ${runs} inputs`);
    for (const { input, what } of findings) {
      const folder = join(corpusFolder, target.name);
      mkdirSync(folder, { recursive: true });
      const file = join(folder, `found-${digestName(input)}`);
      writeFileSync(file, input);
      failed.push(`${name}: ${what}; kept in ${file}`);
    }
    if (findings.length > 0) log(`${target.name}: ${findings.length} findings`);
    else if (turn === 0) log(`${target.name}: ${ways.size} ways through`);
    return runs;
  }
}

export const fuzzScenarios: readonly TortureScenario[] = [
  {
    name: 'fuzz-readers',
    about:
      'Mutated inputs, guided by new code and new refusals, to every reader of bytes that others wrote: each takes them or refuses them with an error of ours, in bounded time and memory.',
    proves: ['P2', 'P5'],
    run,
  },
];
