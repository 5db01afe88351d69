import { join } from 'node:path';
import type { Command } from './command.ts';

const root = join(import.meta.dirname, '../..');

/**
 * The same command run from the sources instead of the built program, with a module of ours loaded
 * before it in all its threads. `hook`: its path below `bench`.
 */
export function fromSources(
  command: Command,
  hook: string,
  environment: Readonly<Record<string, string>>,
): Command {
  return {
    ...command,
    program: process.execPath,
    args: [
      ...['--no-warnings', '--conditions=aliquot-source'],
      ...['--import', join(root, 'bench', hook)],
      join(root, command.program.endsWith('agent') ? 'agent' : 'collector', 'src/main.ts'),
      ...command.args,
    ],
    environment: { ...command.environment, ...environment },
  };
}
