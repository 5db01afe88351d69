import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const pages = globSync('{proto,shared,agent,collector}/src/**/README.md', { cwd: root });

it.each(pages)('%s names only files that are there', (page) => {
  const named = readFileSync(join(root, page), 'utf8').matchAll(/`([a-z0-9-]+\.ts)`/g);
  const there = new Set(globSync('*.ts', { cwd: join(root, dirname(page)) }));
  expect([...named].map(([, name]) => name).filter((name) => !there.has(name ?? ''))).toEqual([]);
});
