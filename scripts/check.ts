/**
 * `npm run check`: everything that must hold, in one command, also after something failed. Ends
 * with the plain line `N passed, N failed`: the tests' own count, where each other step that failed
 * counts as one failure more.
 */
import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string) =>
  join(root, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly remedy: string;
}

const before: readonly Step[] = [
  {
    name: 'build',
    command: ['npm', 'run', '--silent', 'build'],
    remedy: 'mend what the compiler names',
  },
  {
    name: 'format and lint',
    command: [bin('biome'), 'check', '--error-on-warnings', '.'],
    remedy: 'npm run format mends the format; the rest by hand',
  },
  {
    name: 'rooms',
    command: [process.execPath, 'scripts/rooms.ts'],
    remedy: 'each finding says its own',
  },
  {
    name: 'types',
    command: [bin('tsc'), '-p', 'tsconfig.json'],
    remedy: 'mend what the compiler names',
  },
  {
    name: 'errors',
    command: [process.execPath, 'scripts/errors.ts'],
    remedy: 'each finding says its own',
  },
  {
    name: 'names of types',
    command: [process.execPath, 'scripts/type-names.ts'],
    remedy: 'rename the lesser one of the two',
  },
  {
    name: 'style',
    command: [process.execPath, 'scripts/style.ts'],
    remedy: 'each finding says its own',
  },
  {
    name: 'dead exports',
    command: [process.execPath, 'scripts/dead-exports.ts'],
    remedy: 'each finding says its own',
  },
];

/** The README's test line, without the install that came before. */
const tests: Step = {
  name: 'tests',
  command: ['npm', 'test', '--silent'],
  remedy: 'npx vitest run FILE runs one file',
};

const env = {
  ...process.env,
  PATH: `${dirname(bin('node'))}${delimiter}${process.env['PATH'] ?? ''}`,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
};

function run(step: Step): Promise<{ readonly ok: boolean; readonly lastLine: string }> {
  const [program = '', ...args] = step.command;
  console.log(`\n== ${step.name}`);
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
      shell: process.platform === 'win32',
    });
    let tail = '';
    child.stdout.on('data', (chunk: Buffer) => {
      process.stdout.write(chunk);
      tail = (tail + chunk.toString()).slice(-4096);
    });
    child.on('error', (error) => {
      console.error(error.message);
      resolve({ ok: false, lastLine: '' });
    });
    child.on('close', (code) => {
      if (code !== 0) console.log(`-- ${step.name} failed: ${step.remedy}`);
      resolve({ ok: code === 0, lastLine: tail.trimEnd().split('\n').at(-1) ?? '' });
    });
  });
}

let failed = 0;
for (const step of before) if (!(await run(step)).ok) failed += 1;
const { ok, lastLine } = await run(tests);
const [, passedTests = '0', failedTests] = /^(\d+) passed, (\d+) failed$/.exec(lastLine) ?? [];
failed += failedTests === undefined ? 1 : Number(failedTests);
// A run that failed without a failed test (an error outside of tests) must not look clean.
if (!ok && failed === 0) failed = 1;
console.log(`\n${passedTests} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
