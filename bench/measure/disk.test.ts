import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesUnder, difference, readThrough } from './disk.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-disk-'));
  mkdirSync(join(folder, 'left/below'), { recursive: true });
  writeFileSync(join(folder, 'left/below/long'), Buffer.alloc(2_500_000, 7));
  writeFileSync(join(folder, 'left/empty'), '');
  symlinkSync('empty', join(folder, 'left/link'));
  cpSync(join(folder, 'left'), join(folder, 'right'), { recursive: true, verbatimSymlinks: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const compared = () => difference(join(folder, 'left'), join(folder, 'right'));

test('equal trees do not differ', async () => {
  expect(await compared()).toBeUndefined();
});

test('one other byte far inside is found', async () => {
  const other = Buffer.alloc(2_500_000, 7);
  other[2_400_001] = 8;
  writeFileSync(join(folder, 'right/below/long'), other);
  expect(await compared()).toMatch(/below\/long has other bytes/);
});

test('a missing file, a file too many, a shorter one and another link are found', async () => {
  rmSync(join(folder, 'right/empty'));
  expect(await compared()).toMatch(/right\/empty is missing/);
  writeFileSync(join(folder, 'right/empty'), '');
  writeFileSync(join(folder, 'right/more'), '');
  expect(await compared()).toMatch(/right\/more should not be there/);
  rmSync(join(folder, 'right/more'));
  writeFileSync(join(folder, 'right/below/long'), 'short');
  expect(await compared()).toMatch(/has 5 bytes instead of 2500000/);
  cpSync(join(folder, 'left/below/long'), join(folder, 'right/below/long'));
  rmSync(join(folder, 'right/link'));
  symlinkSync('below', join(folder, 'right/link'));
  expect(await compared()).toMatch(/another link/);
});

test('the bytes under a folder are those of all its files', async () => {
  expect(await bytesUnder(join(folder, 'left/below'))).toBe(2_500_000);
});

test('a tree is read through: every file to its end, and no link', () => {
  expect(readThrough(join(folder, 'left'))).toBe(2_500_000);
});
