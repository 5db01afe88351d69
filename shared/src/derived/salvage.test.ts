import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeDisk } from './node-level.ts';
import { openIndex } from './open-index.ts';
import { salvagedRows } from './salvage.ts';

const OWNER = Buffer.alloc(16, 1);
const ROWS = 40;
let folder: string;
let made: string;
const rows = new Map<string, string>();

const optionsFor = (dir: string) => ({
  ...{ dir, what: 'the index', owner: OWNER },
  ...{ cacheBytes: 1 << 20, writeBufferBytes: 64 << 10 },
});

/** A small index with tables and a log; some rows were written twice, some are removed. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
  made = join(folder, 'index');
  for (let opening = 0; opening < 3; opening += 1) {
    const index = await openIndex(nodeDisk, optionsFor(made));
    for (let row = 0; row < ROWS; row += 1) {
      const key = `k${String(row).padStart(3, '0')}`;
      const value = `row ${row} of ${opening}`.repeat(3);
      if (opening > 0 && row % 4 > 0) continue;
      if (opening === 2 && row % 8 === 0) {
        index.del(Buffer.from(key));
        rows.delete(key);
      } else {
        index.put(Buffer.from(key), Buffer.from(value));
        rows.set(key, value);
      }
    }
    await index.flush(Buffer.from(`mark ${opening}`), { sync: true });
    await index.close();
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function salvaged(dir: string, gte = 'k', lt = 'l'): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const range = { gte: Buffer.from(gte), lt: Buffer.from(lt) };
  for await (const [key, value] of salvagedRows(nodeDisk, optionsFor(dir), range)) {
    expect(found.has(key.toString())).toBe(false);
    found.set(key.toString(), value.toString());
  }
  return found;
}

function copy(): string {
  const dir = join(folder, 'copy');
  rmSync(dir, { recursive: true, force: true });
  cpSync(made, dir, { recursive: true });
  return dir;
}

test('all rows of an undamaged index are given, as they stood last', async () => {
  expect(await salvaged(copy())).toEqual(rows);
  const some = new Map([...rows].filter(([key]) => key >= 'k010' && key < 'k020'));
  expect(await salvaged(copy(), 'k010', 'k020')).toEqual(some);
});

test('D4 no wrong bit ends the process, and no row is given that was never written', async () => {
  const dir = copy();
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    const sound = readFileSync(path);
    for (let at = 0; at < sound.length; at += 1) {
      const bytes = Buffer.from(sound);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path, bytes);
      for (const [key, value] of await salvaged(dir))
        expect(value).toMatch(new RegExp(`^(row ${Number(key.slice(1))} of [012]){3}$`));
    }
    writeFileSync(path, sound);
  }
  expect(await salvaged(dir)).toEqual(rows);
});
