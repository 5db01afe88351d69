import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TortureOptions } from './options.ts';
import type { ScenarioOutcome } from './runner.ts';

/**
 * Runs scenarios in several processes, and adds up what they found. Each has its part of the cases;
 * where time is short, its part of the scenarios: their beginnings are most of the work then.
 */
export async function runJobs(
  { seed, minutes, only, jobs }: TortureOptions,
  names: readonly string[],
  print: (line: string) => void,
): Promise<ScenarioOutcome[]> {
  const args = [
    '--seed',
    String(seed),
    ...(minutes === undefined ? [] : ['--minutes', String(minutes)]),
  ];
  const count = minutes === undefined ? jobs : Math.min(jobs, names.length);
  const shareOf = (index: number): string[] =>
    minutes === undefined
      ? [...only.flatMap((glob) => ['--only', glob]), '--part', `${index}/${jobs}`]
      : names.filter((_, at) => at % count === index).flatMap((name) => ['--only', name]);
  const parts = await Promise.all(
    Array.from({ length: count }, async (_, index): Promise<readonly ScenarioOutcome[]> => {
      const job = fork(
        fileURLToPath(new URL('main.ts', import.meta.url)),
        [...args, ...shareOf(index)],
        { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
      );
      let outcomes: readonly ScenarioOutcome[] | undefined;
      job.on('message', (message) => {
        outcomes = message as readonly ScenarioOutcome[];
      });
      if (job.stdout !== null)
        createInterface({ input: job.stdout }).on('line', (line) => print(`${index}| ${line}`));
      const [code, signal] = (await once(job, 'close')) as [number | null, string | null];
      if (outcomes !== undefined) return outcomes;
      return [
        {
          name: `process ${index}`,
          seconds: 0,
          injected: 0,
          passed: 0,
          failed: [`it ended with ${signal ?? code}`],
          whole: false,
        },
      ];
    }),
  );
  return added(parts.flat());
}

/** One outcome for each scenario, of those that several processes had of it. */
export function added(outcomes: readonly ScenarioOutcome[]): ScenarioOutcome[] {
  const sums = new Map<string, ScenarioOutcome>();
  for (const one of outcomes) {
    const sum = sums.get(one.name);
    if (sum === undefined) {
      sums.set(one.name, one);
      continue;
    }
    sums.set(one.name, {
      name: one.name,
      seconds: Math.max(sum.seconds, one.seconds),
      injected: sum.injected + one.injected,
      passed: sum.passed + one.passed,
      failed: [...sum.failed, ...one.failed],
      whole: sum.whole && one.whole,
    });
  }
  return [...sums.values()];
}
