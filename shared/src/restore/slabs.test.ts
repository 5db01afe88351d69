import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSlab, encodeSlab, pieceOf } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { listOf, restoreFrom, Shelf } from '../../testing/shelf.ts';
import type { RestoreItem } from './placing.ts';

const bytes = (text: string) => Buffer.from(text);

describe.runIf(process.platform !== 'win32')('restoring files of a slab', () => {
  const small = Array.from({ length: 9 }, (_, at) => {
    return [`/s/${at}`, Buffer.from(`small file ${at}, `.repeat(at + 1))] as const;
  });

  /** The slab with only some of its pieces. */
  const withHoles = (sealed: Uint8Array, isHole: (index: number) => boolean): Uint8Array => {
    const slab = decodeSlab(sealed);
    return encodeSlab(
      Array.from({ length: slab.count }, (_, index) => {
        const piece = pieceOf(slab, index);
        return isHole(index) ? { ...piece, sealed: undefined } : piece;
      }),
    );
  };

  it('P2: come back whole, and the slab is asked for once for all that stand together', async () => {
    const shelf = new Shelf();
    const items = [...shelf.slab(small), shelf.seal('/between', [bytes('chunk')])];
    const { root, summary, failures } = await restoreFrom(shelf, [...items, ...items.slice(2, 4)]);
    expect(failures).toEqual([]);
    expect(summary).toMatchObject({ files: 12, same: 2 });
    for (const [path, plain] of small) expect(readFileSync(join(root, path))).toEqual(plain);
    expect(shelf.asked).toEqual([3]);
  });

  it.each(small.map((_, at) => at))(
    'P2: with a hole at piece %i come back but for that one, which is named',
    async (hole) => {
      const shelf = new Shelf();
      const items = shelf.slab(small);
      const [name, sealed] = [...shelf.items][0] ?? ['', new Uint8Array(0)];
      shelf.items.set(
        name,
        withHoles(sealed, (index) => index === hole),
      );
      const { root, failures } = await restoreFrom(shelf, items);
      expect(failures).toEqual([`/s/${hole} RESTORE_MISSING_CHUNK`]);
      for (const [at, [path, plain]] of small.entries())
        if (at !== hole) expect(readFileSync(join(root, path))).toEqual(plain);
      expect(readdirSync(join(root, 's'))).toHaveLength(small.length - 1);
    },
  );

  it('P2 P6: with a rotten piece come back but for that one, and the slab is asked for again once', async () => {
    const shelf = new Shelf();
    const items = shelf.slab(small);
    const [name, sealed] = [...shelf.items][0] ?? ['', new Uint8Array(0)];
    const rotten = sealed.slice();
    for (const index of [2, 5]) {
      const { places } = decodeSlab(sealed);
      const at = places[index] ?? 0;
      rotten[at] = (rotten[at] ?? 0) ^ 1;
    }
    shelf.items.set(name, rotten);
    let again = 0;
    const fetchAgain = async () => {
      again += 1;
      return withHoles(sealed, (index) => index === 5);
    };
    const { failures, summary } = await restoreFrom(shelf, items, { fetchAgain });
    expect(failures).toEqual(['/s/5 RESTORE_MISSING_CHUNK']);
    expect(summary).toMatchObject({ files: 8, failed: 1 });
    expect(again).toBe(1);
  });

  it('P2 P6: asks again for a slab of which any byte in front of the pieces has rotted', async () => {
    const shelf = new Shelf();
    const items = shelf.slab(small.slice(0, 3));
    const [name, sealed] = [...shelf.items][0] ?? ['', new Uint8Array(0)];
    for (let at = 0; at < 8 + 35 * 3; at += 5) {
      const rotten = sealed.slice();
      rotten[at] = (rotten[at] ?? 0) ^ 1;
      shelf.items.set(name, rotten);
      const { failures, summary } = await restoreFrom(shelf, items, {
        fetchAgain: async () => sealed,
      });
      expect(failures, `byte ${at}`).toEqual([]);
      expect(summary).toMatchObject({ files: 3 });
    }
  });

  it('P2: of another directory, with swapped pieces, under other keys, or instead of a chunk is named', async () => {
    const shelf = new Shelf();
    const [first, second] = shelf.slab(small.slice(0, 2)) as [RestoreItem, RestoreItem];
    const [third] = shelf.slab([['/third', bytes('third')]]) as [RestoreItem];
    const chunk = shelf.seal('/chunk', [bytes('chunk')]);
    const at = (
      item: RestoreItem,
      list: string,
      more: Partial<RestoreItem['entry']['content']>,
    ) => ({
      ...item,
      list: listOf(list, 'file'),
      entry: { ...item.entry, content: { ...item.entry.content, ...more } },
    });
    const { failures, summary } = await restoreFrom(shelf, [
      at(first, '/other-piece', { piece: 2 }),
      at(first, '/no-such-piece', { piece: 200 }),
      at(first, '/other-slab', { refs: third.entry.content.refs }),
      at(second, '/a-chunk', { refs: chunk.entry.content.refs }),
      at(chunk, '/a-slab', { refs: third.entry.content.refs }),
      {
        ...at(first, '/other-key', {}),
        read: { ...first.read, ...{ keys: second.read?.keys } } as never,
      },
      third,
    ]);
    expect(failures).toEqual([
      '/other-piece RESTORE_DAMAGED',
      '/no-such-piece RESTORE_MISSING_CHUNK',
      '/other-slab RESTORE_DAMAGED',
      '/a-chunk RESTORE_DAMAGED',
      '/a-slab RESTORE_DAMAGED',
      '/other-key RESTORE_DAMAGED',
    ]);
    expect(summary).toMatchObject({ files: 1, failed: 6 });
  });
});
