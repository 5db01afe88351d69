import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keptShares } from './kept.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-kept-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function levelAt(path: string, keys: readonly string[]): Promise<void> {
  mkdirSync(path, { recursive: true });
  const level = new Level<string, string>(path);
  for (const key of keys) await level.put(key, 'x'.repeat(100));
  await level.close();
}

const collector = () => join(folder, 'collector');
const vault = () => join(collector(), 'vaults/v1');
const agent = () => join(folder, 'agent');

async function made(): Promise<void> {
  for (const [path, bytes] of [
    [join(vault(), 'packs'), 1000],
    [join(vault(), 'history'), 200],
    [join(agent(), 'chain'), 30],
    [join(agent(), 'queue/segments'), 4],
  ] as const) {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, '1'), Buffer.alloc(bytes));
  }
  await levelAt(join(vault(), 'catalog'), ['Ha', 'Hb', 'Ba']);
  await levelAt(join(agent(), 'queue/index'), ['\u0001']);
}

test('bytes are told by the part and rows by the first byte of their keys', async () => {
  await made();
  const { bytes, gathered, rows } = await keptShares(collector(), agent());
  expect(bytes).toMatchObject({ packs: 1000, history: 200, chain: 30, segments: 4 });
  expect(rows).toEqual({ catalog: { all: 3, H: 2, B: 1 }, index: { all: 1, '0x01': 1 } });
  expect(gathered.catalog).toBeGreaterThan(50);
});

test('the index that is counted stays as it was', async () => {
  await made();
  const names = () => readdirSync(join(vault(), 'catalog')).sort();
  const before = names();
  await keptShares(collector(), agent());
  expect(names()).toEqual(before);
});

test('two vaults are not counted as one', async () => {
  await made();
  mkdirSync(join(collector(), 'vaults/v2'));
  await expect(keptShares(collector(), agent())).rejects.toThrow('has to hold one vault');
});
