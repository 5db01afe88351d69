/**
 * Runs on Windows: `node --conditions=aliquot-source --import=…/hooks.ts run-tests.ts LIST OUT`
 * runs the test files that LIST names, a line each, and adds lines of JSON to OUT: before each
 * test, and when a file ended, so that anyone who waits outside knows at which test a process died.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { pathToFileURL } from 'node:url';
import threads, { type WorkerOptions } from 'node:worker_threads';
import { standIn } from './hooks.ts';

const [, , list = '', out = ''] = process.argv;
const tell = (line: object): void => appendFileSync(out, `${JSON.stringify(line)}\n`);
const { runFile } = (await import(standIn)) as typeof import('./vitest-stand-in.ts');
// Programs and threads that tests start find the rooms in the same way.
const hooks = `--import=${new URL('./hooks.ts', import.meta.url).href}`;
process.env['NODE_OPTIONS'] = hooks;
threads.Worker = class extends threads.Worker {
  constructor(script: string | URL, options: WorkerOptions = {}) {
    super(script, { ...options, execArgv: [...(options.execArgv ?? process.execArgv), hooks] });
  }
};
syncBuiltinESMExports();
let now = '';
process.on('unhandledRejection', (error) =>
  tell({ file: now, loose: String(error instanceof Error ? error.stack : error) }),
);
for (const file of readFileSync(list, 'utf8').split(/\r?\n/)) {
  if (file === '') continue;
  now = file;
  tell({ file, tally: await runFile(pathToFileURL(file).href, (test) => tell({ file, test })) });
}
process.exit(0);
