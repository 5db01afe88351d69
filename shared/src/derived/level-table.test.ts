import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seededSource } from '../../testing/random.ts';
import { isWholeTable } from './level-table.ts';
import { nodeDisk } from './node-level.ts';
import { openIndex } from './open-index.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a table of many windows, with rows larger than one, is whole, and with one bit changed in any part it is not', async () => {
  const random = seededSource('level-table');
  const options = { dir: folder, what: 'the index', owner: Buffer.alloc(16, 1) };
  const sizes = { cacheBytes: 1 << 20, writeBufferBytes: 16 << 20 };
  const index = await openIndex(nodeDisk, { ...options, ...sizes });
  for (let row = 0; row < 4000; row += 1)
    index.put(Buffer.from(`k${row}`), random.bytes(row % 1000 === 7 ? 400_000 : 300));
  await index.flush(Buffer.from('1'));
  await index.close();
  // An opening writes what the log holds to a table.
  await (await openIndex(nodeDisk, { ...options, ...sizes })).close();

  const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.ldb'));
  const path = join(folder, name);
  const bytes = readFileSync(path);
  expect(bytes.length).toBeGreaterThan(2_500_000);
  const isWhole = async (): Promise<boolean> => {
    const file = await nodeDisk.open(path, 'read');
    try {
      return await isWholeTable(file, bytes.length);
    } finally {
      await file.close();
    }
  };
  expect(await isWhole()).toBe(true);
  for (let part = 0; part < 20; part += 1) {
    const at = Math.floor(((part + 0.5) / 20) * bytes.length);
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] as number) ^ (1 << (part % 8));
    writeFileSync(path, damaged);
    expect([at, await isWhole()]).toEqual([at, false]);
  }
});
