/**
 * `npm run docs`: writes what is made from the source: manual pages, completions, the settings of
 * agent.yaml, and whether waiting helps against an error.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedFiles } from './lib/generated-docs.ts';

const root = join(import.meta.dirname, '..');
for (const { path, text } of await generatedFiles(root)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
