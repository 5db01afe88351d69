import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
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

/** Those of `test/` that take a minute or more. */
const longest: ReadonlySet<string> = new Set(
  [
    'releases',
    'proxies',
    'enroll-many',
    'outside',
    'folder-results',
    'bad-input',
    'addresses',
    'settings',
    'replaced',
    'lost-output',
    'json-docs',
    'first-day',
  ].map((name) => join(import.meta.dirname, 'test', `${name}.test.ts`)),
);

/** The longest first, so that none of them is left alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): number => (longest.has(moduleId) ? 0 : 1);
    return sorted.sort((a, b) => isLong(a) - isLong(b));
  }
}

export default defineConfig({
  ...resolve,
  test: {
    sequence: { sequencer: LongestFirst },
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
        // Whole systems of several processes each: after the others, and four at a time, for they
        // often wait: two thirds of the time of some.
        ...resolve,
        test: {
          ...patience,
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: ['test/pair/**'],
          globalSetup: ['./test/leave-nothing.ts'],
          maxWorkers: 4,
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
