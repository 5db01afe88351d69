import { runMain } from '@aliquot/shared/cli/run-main';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import type { CommandContext } from './commands/context.ts';
import { buildProgram } from './commands/program.ts';
import { readEnvironment } from './environment.ts';

const [, , command] = process.argv;
const context: CommandContext = {
  environment: readEnvironment(),
  files: nodeFiles,
  clock: systemClock,
  random: systemRandom,
  stdout: process.stdout,
  stderr: process.stderr,
  writeBytes: (bytes) =>
    new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
    }),
  stopRequested: () =>
    new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
    }),
};

await runMain(await buildProgram(context, command), process.argv);
