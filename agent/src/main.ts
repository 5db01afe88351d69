import { runMain } from '@aliquot/shared/cli/run-main';
import { agentProgram } from './commands/program.ts';

await runMain(agentProgram(), process.argv);
