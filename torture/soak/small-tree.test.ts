import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededSource } from '@aliquot/shared/testing/random';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Record } from './record.ts';
import { SmallTree } from './small-tree.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-tree-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function filesOnDisk(): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('what the record holds of a tree of small files is what lies on the disk', async () => {
  const record = new Record();
  const tree = new SmallTree(folder, seededSource('tree'), record);
  for (let step = 0; step < 80; step += 1) await tree.step();
  const there = filesOnDisk();
  expect(there.length).toBeGreaterThan(50);
  const known = record.finishedResults(false).map(({ path }) => path);
  expect(known.sort()).toEqual(there.sort());
  record.requireAllPresent();
  for (const path of record.paths) {
    const hash = there.includes(path)
      ? [createHash('sha256').update(readFileSync(path)).digest('hex')]
      : [];
    expect(record.judge(path, hash)).toEqual([]);
  }
  const { files, states } = record.counts;
  expect(files).toBeGreaterThan(there.length);
  expect(states).toBeGreaterThan(files);
});
