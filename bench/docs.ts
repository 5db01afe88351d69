/**
 * `npm run bench:docs -- FIGURES.json`: writes the table of a run (`npm run bench -- --json
 * FIGURES.json`) into docs/performance.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { figuresForDocs } from './docs-table.ts';
import type { Report } from './report.ts';

const file = join(import.meta.dirname, '../docs/performance.md');
const text = readFileSync(file, 'utf8');
const [before, rest] = text.split('<!-- figures -->\n');
const [, after] = rest?.split('<!-- end of figures -->') ?? [];
if (before === undefined || after === undefined)
  throw new Error(
    `${file} has no place for the table: <!-- figures --> and <!-- end of figures -->`,
  );
const [from] = process.argv.slice(2);
const report = from === undefined ? undefined : (JSON.parse(readFileSync(from, 'utf8')) as Report);
writeFileSync(
  file,
  `${before}<!-- figures -->\n${figuresForDocs(report)}<!-- end of figures -->${after}`,
);
