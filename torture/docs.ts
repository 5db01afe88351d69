/**
 * `npm run torture:docs`: writes the table of scenarios into docs/reliability.md, where a test
 * holds it against the list.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scenarioTable } from './scenario-table.ts';
import { scenarios } from './scenarios.ts';

const file = join(import.meta.dirname, '../docs/reliability.md');
const text = readFileSync(file, 'utf8');
const [before, rest] = text.split('<!-- scenarios -->\n');
const [, after] = rest?.split('<!-- end of scenarios -->') ?? [];
if (before === undefined || after === undefined)
  throw new Error(
    `${file} has no place for the table: <!-- scenarios --> and <!-- end of scenarios -->`,
  );
writeFileSync(
  file,
  `${before}<!-- scenarios -->\n${scenarioTable(scenarios)}<!-- end of scenarios -->${after}`,
);
