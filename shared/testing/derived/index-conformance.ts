import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DerivedIndex, type RangeOptions, rowsOf } from '../../src/derived/derived-index.ts';
import type { KeyRange } from '../../src/derived/level-port.ts';

export interface IndexFactory {
  /** A new, empty index. */
  make(): Promise<DerivedIndex>;
  /** Closes the index and opens it again over what it left. */
  reopen(index: DerivedIndex): Promise<DerivedIndex>;
  dispose(index: DerivedIndex): Promise<void>;
}

const bytes = (text: string): Buffer => Buffer.from(text);
const from = (first: string, end: string): KeyRange => ({ gte: bytes(first), lt: bytes(end) });

/** What every `DerivedIndex` must do, as tests. */
export function indexConformance(name: string, factory: IndexFactory): void {
  describe(`${name} as a derived index`, () => {
    let index: DerivedIndex;
    beforeEach(async () => {
      index = await factory.make();
    });
    afterEach(() => factory.dispose(index));
    const reopen = async (): Promise<void> => {
      index = await factory.reopen(index);
    };
    const put = (...rows: readonly string[]): void => {
      for (const row of rows) {
        const [key = '', value = ''] = row.split('=');
        index.put(bytes(key), bytes(value));
      }
    };
    const text = (value: Uint8Array | undefined): string | undefined =>
      value === undefined ? undefined : Buffer.from(value).toString();
    const scan = async (range: KeyRange, options: RangeOptions = {}): Promise<string[]> => {
      const found: string[] = [];
      for await (const [key, value] of rowsOf(index, range, options))
        found.push(`${text(key)}=${text(value)}`);
      return found;
    };
    const all = from('a', '~');

    test('says nothing of itself before its first flush', async () => {
      expect(index.mark).toBeUndefined();
      expect(index.staged).toBe(0);
      expect(await index.get(bytes('a'))).toBeUndefined();
      expect(await scan(all)).toEqual([]);
      await reopen();
      expect(index.mark).toBeUndefined();
    });

    test('one that its owner has condemned says so from then on', async () => {
      put('a=one');
      await index.flush(bytes('first'));
      const wrong = { code: 'DERIVED_REBUILD' };
      await expect(index.condemn('it lacks a row')).rejects.toMatchObject(wrong);
      await expect(index.get(bytes('a'))).rejects.toMatchObject(wrong);
      await expect(index.getMany([bytes('a')])).rejects.toMatchObject(wrong);
      await expect(index.getWritten([bytes('b')])).rejects.toMatchObject(wrong);
      await expect(scan(all)).rejects.toMatchObject(wrong);
      await expect(index.flush(bytes('second'))).rejects.toMatchObject(wrong);
    });

    test('a change is seen at once, by scans only where they ask for it, and written by a flush', async () => {
      put('a1=one', 'a2=two');
      expect(index.staged).toBe(2);
      expect(text(await index.get(bytes('a1')))).toBe('one');
      expect(await index.getWritten([bytes('a1')])).toEqual([undefined]);
      expect(await scan(all)).toEqual([]);
      expect(await scan(all, { staged: true })).toEqual(['a1=one', 'a2=two']);
      await index.flush(bytes('first'));
      expect(index.staged).toBe(0);
      expect(text(index.mark)).toBe('first');
      expect((await index.getWritten([bytes('a1'), bytes('x')])).map(text)).toEqual([
        'one',
        undefined,
      ]);
      expect(await scan(all)).toEqual(['a1=one', 'a2=two']);
    });

    test('rows and mark of a flush are there after opening again, and what was not flushed is not', async () => {
      put('a=1', 'b=2', 'c=3');
      await index.flush(bytes('one'), { sync: true });
      index.del(bytes('b'));
      put('c=4');
      await index.flush(bytes('two'));
      put('d=5');
      await reopen();
      expect(text(index.mark)).toBe('two');
      expect(await scan(all, { staged: true })).toEqual(['a=1', 'c=4']);
    });

    test('a mark is written without a row too', async () => {
      await index.flush(bytes('one'));
      await index.flush(bytes('two'), { sync: true });
      await reopen();
      expect(text(index.mark)).toBe('two');
      await index.flush(new Uint8Array());
      await reopen();
      expect(text(index.mark)).toBe('');
    });

    test('many are asked at once, staged, written, removed and unknown ones', async () => {
      put('a=1', 'b=2', 'c=3');
      await index.flush(bytes('one'));
      put('b=new');
      index.del(bytes('c'));
      const keys = ['a', 'b', 'c', 'd'].map(bytes);
      expect((await index.getMany(keys)).map(text)).toEqual(['1', 'new', undefined, undefined]);
      expect((await index.getWritten(keys)).map(text)).toEqual(['1', '2', '3', undefined]);
      expect(text(index.latest(bytes('a'), bytes('1')))).toBe('1');
      expect(text(index.latest(bytes('b'), bytes('2')))).toBe('new');
      expect(index.latest(bytes('c'), bytes('3'))).toBeUndefined();
    });

    test('a scan goes by the order of bytes, within its range and limit', async () => {
      put('b=1', 'b\u0000=2', 'a=3', 'ba=4', 'c=5');
      await index.flush(bytes('one'));
      put('bb=6', 'aa=7');
      index.del(bytes('ba'));
      expect(await scan(from('b', 'c'))).toEqual(['b=1', 'b\u0000=2', 'ba=4']);
      expect(await scan(from('b', 'c'), { staged: true })).toEqual(['b=1', 'b\u0000=2', 'bb=6']);
      expect(await scan(all, { limit: 2 })).toEqual(['a=3', 'b=1']);
      expect(await scan(all, { limit: 2, staged: true })).toEqual(['a=3', 'aa=7']);
      expect(await scan({ gte: bytes('ba') })).toEqual(['ba=4', 'c=5']);
      expect(await scan({ gte: new Uint8Array() })).toHaveLength(5);
    });

    test('a scan gives the rows of its first step, whatever is written meanwhile', async () => {
      const many = Array.from({ length: 3000 }, (_, at) => `k${String(at).padStart(4, '0')}=old`);
      put(...many);
      await index.flush(bytes('one'));
      put('k0001=staged');
      const found: string[] = [];
      for await (const [key, value] of rowsOf(index, all, { staged: true })) {
        if (found.length === 0) {
          put('k0002=late', 'k2999=late');
          await index.flush(bytes('two'));
        }
        found.push(`${text(key)}=${text(value)}`);
      }
      expect(found).toEqual(many.map((row, at) => (at === 1 ? 'k0001=staged' : row)));
    });

    test('the last row of a range is of what was flushed', async () => {
      expect(await index.last(all)).toBeUndefined();
      put('a=1', 'b=2', 'b\u0000=3', 'c=4');
      await index.flush(bytes('one'));
      put('b\u0000\u0000=5', 'd=6');
      const last = async (range: KeyRange) => (await index.last(range))?.map(text);
      expect(await last(from('a', 'b\u0000'))).toEqual(['b', '2']);
      expect(await last(from('a', 'c'))).toEqual(['b\u0000', '3']);
      expect(await last({ gte: bytes('b') })).toEqual(['c', '4']);
      expect(await last(from('aa', 'b'))).toBeUndefined();
      expect(await last({ gte: bytes('d') })).toBeUndefined();
    });

    test('clear removes what is in a range, staged or written, and nothing else', async () => {
      put(...Array.from({ length: 2500 }, (_, at) => `x${at}=v`), 'w=1', 'y=2');
      await index.flush(bytes('one'));
      put('x-staged=3', 'z=4');
      await index.clear(from('x', 'y'));
      expect(await scan(all, { staged: true })).toEqual(['w=1', 'y=2', 'z=4']);
      expect(text(index.mark)).toBe('one');
      await index.flush(bytes('two'));
      await reopen();
      expect(await scan(all)).toEqual(['w=1', 'y=2', 'z=4']);
    });

    test('what is changed while a flush writes waits for the next', async () => {
      put('a=1');
      const flushed = index.flush(bytes('one'));
      put('a=2', 'b=2');
      await flushed;
      expect(text(await index.get(bytes('a')))).toBe('2');
      await index.flush(bytes('two'));
      await reopen();
      expect(await scan(all)).toEqual(['a=2', 'b=2']);
    });

    test('keys and values of any bytes come back, empty and large values too', async () => {
      const rows = [0x01, 0x7f, 0xff].flatMap((first) =>
        [0, 1, 255, 4096, 300_000].map(
          (length) => [Buffer.from([first, length % 251, 0]), Buffer.alloc(length, first)] as const,
        ),
      );
      for (const [key, value] of rows) index.put(key, value);
      await index.flush(bytes('one'));
      await reopen();
      for (const [key, value] of rows) expect((await index.get(key))?.equals(value)).toBe(true);
    });
  });
}
