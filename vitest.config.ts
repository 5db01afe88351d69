import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['aliquot-source', 'node', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: ['aliquot-source', 'node', 'import', 'module', 'default'] } },
  test: { include: ['*/src/**/*.test.ts', 'test/**/*.test.ts'] },
});
