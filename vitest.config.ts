import { defineConfig } from 'vitest/config';

// Rooms import each other by package name; this condition leads to the sources, so that tests need no build.
const conditions = ['aliquot-source', 'node', 'import', 'module', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['*/src/**/*.test.ts', 'scripts/**/*.test.ts', 'demo/**/*.test.ts', 'test/**/*.test.ts'],
    reporters: ['default', './scripts/tally-reporter.ts'],
    // No test asserts how long something takes; this only ends what hangs, also on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
