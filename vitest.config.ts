import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { runtimeDirectory } from './test/leave-nothing.ts';

// Rooms import each other by package name; this condition leads to the sources, so that tests need
// no build.
const conditions = ['aliquot-source', 'node', 'import', 'module', 'default'];

/** No test asserts how long something takes; this only ends what hangs, also on a busy machine. */
const patience = {
  testTimeout: 900_000,
  hookTimeout: 900_000,
  expect: { poll: { timeout: 240_000 } },
};
const resolve = { resolve: { conditions }, ssr: { resolve: { conditions } } };

export default defineConfig({
  ...resolve,
  test: {
    reporters: ['default', './scripts/tally-reporter.ts'],
    projects: [
      {
        ...resolve,
        test: {
          ...patience,
          name: 'rooms',
          include: [
            '*/src/**/*.test.ts',
            '*/testing/**/*.test.ts',
            // The real agent against the real collector, in one process.
            'test/pair/**/*.test.ts',
            'scripts/**/*.test.ts',
            'demo/**/*.test.ts',
            'torture/**/*.test.ts',
            'bench/**/*.test.ts',
            'deploy/**/*.test.ts',
          ],
          // Half as many again as there are processors: what they flush to the disk, they wait for.
          maxWorkers: Math.ceil(availableParallelism() * 1.5),
          // Tests of one room leave nothing behind in their process, so a worker takes file after
          // file.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Whole systems of several processes each: after the others, and three at a time, for they
        // often wait.
        ...resolve,
        test: {
          ...patience,
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: ['test/pair/**'],
          globalSetup: ['./test/leave-nothing.ts'],
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
          env: {
            // Where services listen for the users of the PC: not beside those of a real agent, nor
            // of another run of the tests.
            RUNTIME_DIRECTORY: runtimeDirectory,
          },
        },
      },
    ],
  },
});
