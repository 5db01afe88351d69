import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asVaultId } from '@aliquot/proto';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { MemoryIndex, MemoryRows } from '@aliquot/shared/testing/derived/memory-index';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { catalogConformance } from '../../../testing/store/catalog-conformance.ts';
import type { CatalogStore } from './catalog-store.ts';
import { catalogOver, openCatalog, openExistingCatalog } from './derived-catalog.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
const folders = new WeakMap<CatalogStore, string>();
const open = async (dir: string): Promise<CatalogStore> => {
  const catalog = await openCatalog(nodeDisk, dir, vaultId);
  folders.set(catalog, dir);
  return catalog;
};

catalogConformance('LevelDB', {
  make: () => open(join(temporaryFolder(), 'catalog')),
  reopen: async (catalog) => {
    await catalog.close();
    return open(folders.get(catalog) ?? '');
  },
  dispose: (catalog) => catalog.close(),
});

const memories = new WeakMap<CatalogStore, MemoryRows>();
const inMemory = (rows: MemoryRows): CatalogStore => {
  const catalog = catalogOver(new MemoryIndex(rows));
  memories.set(catalog, rows);
  return catalog;
};

catalogConformance('memory', {
  make: async () => inMemory(new MemoryRows()),
  reopen: async (catalog) => {
    await catalog.close();
    return inMemory(memories.get(catalog) ?? new MemoryRows());
  },
  dispose: (catalog) => catalog.close(),
});

describe('a catalog that cannot be believed', () => {
  const [row, note] = [Buffer.from('k1'), Buffer.from('~s1')];
  const made = async (): Promise<string> => {
    const dir = join(temporaryFolder(), 'catalog');
    for (const value of ['old', 'new']) {
      const catalog = await open(dir);
      catalog.note(note, Buffer.from(value));
      catalog.take(new Map([[row.toString('latin1'), value]]));
      await catalog.flush();
      await catalog.close();
    }
    return dir;
  };
  const damages: Record<string, (dir: string) => void> = {
    'has lost CURRENT': (dir) => rmSync(join(dir, 'CURRENT')),
    'has lost its MANIFEST': (dir) => {
      for (const name of readdirSync(dir)) if (name.startsWith('MANIFEST')) rmSync(join(dir, name));
    },
    'has one other bit in a table': (dir) => {
      const [table = ''] = readdirSync(dir).filter((name) => name.endsWith('.ldb'));
      const bytes = readFileSync(join(dir, table));
      // In its filter: LevelDB would say that rows are not there.
      bytes[bytes.length - 60] = (bytes[bytes.length - 60] ?? 0) ^ 1;
      writeFileSync(join(dir, table), bytes);
    },
  };
  for (const [what, damage] of Object.entries(damages)) {
    test(`because it ${what}: it begins empty, with the notes that it still has`, async () => {
      const dir = await made();
      damage(dir);
      await expect(openExistingCatalog(nodeDisk, dir, vaultId)).rejects.toMatchObject({
        code: 'DERIVED_REBUILD',
      });
      const catalog = await open(dir);
      expect(await catalog.get(row)).toBeUndefined();
      expect((await catalog.get(note))?.toString()).toBe('new');
      await catalog.flush();
      await catalog.close();
      await (await openExistingCatalog(nodeDisk, dir, vaultId)).close();
    });
  }

  test("because it is another vault's: it begins empty", async () => {
    const dir = await made();
    const other = await openCatalog(nodeDisk, dir, asVaultId(new Uint8Array(16).fill(8)));
    expect(await other.get(row)).toBeUndefined();
    expect(await other.get(note)).toBeUndefined();
    await other.close();
  });
});
