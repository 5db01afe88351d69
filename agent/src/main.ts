import { keepCompiledCode } from '@aliquot/shared/cli/compile-cache';
import { nameSourcesInTraces } from '@aliquot/shared/cli/source-maps';

// The service may be asked to read its configuration again before it has read it at all: that must
// not end it.
if (process.argv[2] === 'run') process.on('SIGHUP', () => undefined);
keepCompiledCode();
nameSourcesInTraces();
// Imported after that, so that all of it comes from the cache.
const [{ runMain }, { processOutput }, { agentProgram }] = await Promise.all([
  import('@aliquot/shared/cli/run-main'),
  import('@aliquot/shared/cli/standard-output'),
  import('./commands/program.ts'),
]);
const stdout = processOutput();
await runMain(agentProgram(stdout), process.argv, stdout);
