import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  CatalogChange,
  type CatalogRow,
  type CatalogStore,
} from '../../src/store/catalog/catalog-store.ts';

export interface CatalogFactory {
  /** A new, empty catalog. */
  make(): Promise<CatalogStore>;
  /** Closes the catalog and opens it again over what it left. */
  reopen(catalog: CatalogStore): Promise<CatalogStore>;
  dispose(catalog: CatalogStore): Promise<void>;
}

const key = (text: string): Buffer => Buffer.from(text, 'latin1');

/** What every `CatalogStore` must do, as tests. */
export function catalogConformance(name: string, factory: CatalogFactory): void {
  describe(`${name} as a CatalogStore`, () => {
    let catalog: CatalogStore;
    beforeEach(async () => {
      catalog = await factory.make();
    });
    afterEach(() => factory.dispose(catalog));
    const reopen = async (): Promise<void> => {
      catalog = await factory.reopen(catalog);
    };
    const change = (rows: Readonly<Record<string, string | undefined>>): void => {
      const made = new CatalogChange(catalog);
      for (const [name, value] of Object.entries(rows)) {
        if (value === undefined) made.del(key(name));
        else made.put(key(name), key(value));
      }
      made.commit();
    };
    const scan = async (from = 'a', to = '\u007f'): Promise<string[]> => {
      const rows: CatalogRow[] = [];
      for await (const row of catalog.scan({ gte: key(from), lt: key(to) })) rows.push(row);
      return rows.map(([name, value]) => `${name.toString('latin1')}=${value.toString('latin1')}`);
    };

    test('is empty and of this release when it is made', async () => {
      expect(catalog.isCurrent).toBe(true);
      expect(await scan()).toEqual([]);
      expect(await catalog.get(key('a'))).toBeUndefined();
    });

    test('changes are seen when they are committed, together, and durable with a flush', async () => {
      const made = new CatalogChange(catalog);
      made.put(key('a'), key('1'));
      made.put(key('b'), key('2'));
      expect((await made.get(key('a')))?.toString()).toBe('1');
      expect(await catalog.getMany([key('a'), key('b')])).toEqual([undefined, undefined]);
      made.commit();
      expect(await scan()).toEqual(['a=1', 'b=2']);
      expect(catalog.pendingChanges).toBe(2);
      await catalog.flush();
      expect(catalog.pendingChanges).toBe(0);
      change({ b: undefined, c: '3' });
      expect(await scan()).toEqual(['a=1', 'c=3']);
      await reopen();
      expect(await scan()).toEqual(['a=1', 'b=2']);
    });

    test('a change sees what was fetched before it, and what it changed itself', async () => {
      change({ a: '1', b: '2' });
      await catalog.flush();
      const made = new CatalogChange(catalog);
      await made.prefetch([key('a'), key('b'), key('c')]);
      change({ a: 'later' });
      expect((await made.get(key('a')))?.toString()).toBe('1');
      expect(await made.get(key('c'))).toBeUndefined();
      made.del(key('b'));
      expect(await made.get(key('b'))).toBeUndefined();
      expect(await scan()).toEqual(['a=later', 'b=2']);
    });

    test('notes are kept beside, and stay when everything else is forgotten', async () => {
      change({ a: '1', k: '2' });
      catalog.note(key('~s'), key('seen'));
      catalog.note(key('~d'), key('gone'));
      await catalog.flush();
      catalog.note(key('~d'), undefined);
      expect(await scan('~')).toEqual(['~s=seen']);
      await catalog.clear();
      expect(await scan()).toEqual(['~s=seen']);
      await reopen();
      expect(catalog.isCurrent).toBe(true);
      expect(await scan()).toEqual(['~s=seen']);
    });

    test('a note that is set while a flush writes waits for the next', async () => {
      change({ a: '1' });
      const flushed = catalog.flush();
      catalog.note(key('~s'), key('seen'));
      await flushed;
      await reopen();
      expect(await scan()).toEqual(['a=1']);
    });

    test('a scan gives the rows of its first step, by bytes, what waits included', async () => {
      change({ a: '1', 'b\u00ff': '2', c: '3' });
      await catalog.flush();
      change({ b: 'x', c: undefined });
      const rows = catalog.scan({ gte: key('b'), lt: key('d') });
      const first = await rows.next();
      change({ 'b\u00ff': 'late', bb: 'late' });
      await catalog.flush();
      const rest: string[] = [];
      for await (const [, value] of rows) rest.push(value.toString());
      expect(first.done === true ? undefined : first.value[1].toString()).toBe('x');
      expect(rest).toEqual(['2']);
    });

    test('what was flushed can be proved', async () => {
      change({ a: '1' });
      await catalog.flush();
      await reopen();
      await catalog.prove();
    });
  });
}
