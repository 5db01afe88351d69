import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManyFiles } from './tree.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-many-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each(['tree', 'folder'] as const)('a %s is what it was, and what it became', (shape) => {
  const [now, then] = [join(folder, 'now'), join(folder, 'then')];
  const files = new ManyFiles(now, shape, 1005);
  files.make();
  const first = files.state;
  cpSync(now, then, { recursive: true });
  files.change(7);
  expect(files.difference(then, first)).toBeUndefined();
  expect(files.difference(now, first)).toContain('result-0000007.csv came back with other bytes');
  expect(files.difference(now, files.state)).toBeUndefined();
  files.renameAll();
  expect(files.difference(now, files.state)).toBeUndefined();
  expect(files.difference(then, files.state)).toContain('did not come back');
  files.deleteAll();
  expect(files.difference(now, files.state)).toBeUndefined();
  writeFileSync(join(now, 'too many'), '');
  expect(files.difference(now, files.state)).toBe('2 files came back instead of 1');
});
