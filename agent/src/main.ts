import { keepCompiledCode } from '@aliquot/shared/cli/compile-cache';
import { nameSourcesInTraces } from '@aliquot/shared/cli/source-maps';

keepCompiledCode('aliquot-agent');
nameSourcesInTraces();
// Imported after that, so that all of it comes from the cache.
const [{ runMain }, { processOutput }, { agentProgram }] = await Promise.all([
  import('@aliquot/shared/cli/run-main'),
  import('@aliquot/shared/cli/standard-output'),
  import('./commands/program.ts'),
]);
const stdout = processOutput();
await runMain(agentProgram(stdout), process.argv, stdout);
