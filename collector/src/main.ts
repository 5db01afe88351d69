import { parse } from 'node:path';
import { keepCompiledCode } from '@aliquot/shared/cli/compile-cache';
import { nameSourcesInTraces } from '@aliquot/shared/cli/source-maps';
import type { CommandContext } from './cli/context.ts';

keepCompiledCode();
nameSourcesInTraces();
// Imported after that, so that all of it comes from the cache.
const [
  { runMain },
  { processOutput },
  { nodeDisk },
  { isJournal, standardError },
  { journalStream },
  { systemClock, systemMonotonicMs, systemRandom },
  { buildProgram },
  { readEnvironment },
  { openPager },
] = await Promise.all([
  import('@aliquot/shared/cli/run-main'),
  import('@aliquot/shared/cli/standard-output'),
  import('@aliquot/shared/derived/node-level'),
  import('@aliquot/shared/log-lines/line-target'),
  import('@aliquot/shared/cli/environment'),
  import('@aliquot/shared/ports'),
  import('./program.ts'),
  import('./environment.ts'),
  import('./cli/pager.ts'),
]);

const [, , command] = process.argv;
const environment = readEnvironment();
const context: CommandContext = {
  environment,
  files: nodeDisk,
  clock: systemClock,
  monotonicMs: systemMonotonicMs,
  random: systemRandom,
  stdout: processOutput(),
  stderr: process.stderr,
  log: () => ({ target: standardError(), journal: isJournal(journalStream()) }),
  pager: () => openPager(environment.pager),
  leaveFolder: () => process.chdir(parse(process.cwd()).root),
  stopRequested: () =>
    new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const)
        process.once(signal, () => resolve(signal));
    }),
};

await runMain(await buildProgram(context, command), process.argv, context.stdout);
