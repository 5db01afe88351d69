import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { appendPart, changeMixed } from '../change.ts';
import { planOf, prepare, type SetName } from './prepare.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-sets-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** One hash of all names, times and bytes below a folder. */
function fingerprint(root: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash.update(`${relative(root, path)} ${statSync(path).mtimeMs}\n`).update(readFileSync(path));
  }
  return hash.digest('hex').slice(0, 16);
}

const SCALE = 0.0004;

test.each([
  ['mixed', '1208033a70a34112'],
  ['second', '365ad79e4e6b35b4'],
  ['small', '53892daadb640ac2'],
  ['small-second', '53892daadb640ac2'],
  ['growing', 'f24da0868ff3a08a'],
] as const)('the %s set is the same on every machine', (name, expected) => {
  const set = prepare(folder, name, SCALE, () => undefined);
  expect(fingerprint(set.folder)).toBe(expected);
});

test('at full size the sets are those of the table', () => {
  const size = (name: SetName) => planOf(name, 1).reduce((sum, { bytes }) => sum + bytes, 0);
  const mixed = planOf('mixed', 1);
  expect(size('mixed') / 1e9).toBeCloseTo(2.16, 1);
  expect(mixed.filter(({ path }) => path.startsWith('waveforms/'))).toHaveLength(12);
  expect(mixed.filter(({ path }) => path.startsWith('traces/'))).toHaveLength(300);
  expect(mixed.filter(({ path }) => path.startsWith('reports/'))).toHaveLength(4000);
  expect(mixed.filter(({ path }) => path.startsWith('folders/'))).toHaveLength(20 * 60);
  const small = planOf('small', 1);
  expect(small).toHaveLength(100_000);
  expect(small.every(({ bytes }) => bytes >= 1024 && bytes <= 8192)).toBe(true);
  expect(Math.round(size('second') / 1e6)).toBeGreaterThan(200);
  expect(size('growing')).toBe(1 << 30);
});

test('what a second PC has is all in the mixed set', () => {
  const mixed = new Map(planOf('mixed', 1).map((file) => [file.path, file.bytes]));
  expect(planOf('second', 1).every(({ path, bytes }) => mixed.get(path) === bytes)).toBe(true);
});

test('a set that is there is taken, and one of which only a part was written is made anew', () => {
  const said: string[] = [];
  const first = prepare(folder, 'mixed', SCALE, (line) => said.push(line));
  prepare(folder, 'mixed', SCALE, (line) => said.push(line));
  expect(said).toHaveLength(1);
  const before = fingerprint(first.folder);
  rmSync(`${first.folder}.json`);
  writeFileSync(join(first.folder, 'half'), 'a part');
  prepare(folder, 'mixed', SCALE, (line) => said.push(line));
  expect(said).toHaveLength(2);
  expect(fingerprint(first.folder)).toBe(before);
});

test('a change and its undoing leave every byte and stamp as it was', () => {
  const { folder: set } = prepare(folder, 'mixed', SCALE, () => undefined);
  const before = fingerprint(set);
  const change = changeMixed(set, SCALE);
  const changed = fingerprint(set);
  expect(changed).not.toBe(before);
  expect(change.newBytes).toBeGreaterThan(0);
  change.undo();
  const grown = join(set, 'waveforms/run-05.dat');
  expect(statSync(grown).size).toBe(
    planOf('mixed', SCALE).find(({ path }) => path === 'waveforms/run-05.dat')?.bytes,
  );
  expect(fingerprint(set)).toBe(before);
});

test('each part that is appended is new', () => {
  const { folder: set } = prepare(folder, 'growing', SCALE, () => undefined);
  const file = join(set, 'acquisition.dat');
  const size = statSync(file).size;
  const bytes = appendPart(file, 1, SCALE);
  expect(appendPart(file, 2, SCALE)).toBe(bytes);
  const content = readFileSync(file);
  expect(content.length).toBe(size + 2 * bytes);
  expect(content.subarray(size, size + bytes).equals(content.subarray(size + bytes))).toBe(false);
});
