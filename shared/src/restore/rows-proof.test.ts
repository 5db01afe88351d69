import { decodeBlock, decodeSlab, encodeSlab, pieceOf } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { bareDraft, pathRow } from '../../testing/blocks.ts';
import { Shelf, vaultId } from '../../testing/shelf.ts';
import { type RowDraft, sealRows } from '../commit/block-seal.ts';
import { sealBlockKey } from '../commit/keys.ts';
import type { HeldBlock } from '../commit/rows.ts';
import { hex } from '../crypto/bytes.ts';
import { sha256 } from '../crypto/primitives.ts';
import { systemRandom } from '../ports.ts';
import { RestoreError } from './errors.ts';
import type { RestoreItem } from './placing.ts';
import type { FileTarget } from './restore-target.ts';
import { RowsProof } from './rows-proof.ts';
import { type AskedSlot, type SealedRows, shareRows } from './sealed-rows.ts';

const of = { hash: Buffer.alloc(32, 1), sequence: 7, receivedAtMs: 1_700_000_000_000 };
const keys = {
  ...{ sequence: 7, recipient: 'vault' as const },
  ...{ listKey: Buffer.alloc(32, 2), readKey: Buffer.alloc(32, 3) },
};

type SmallFiles = readonly (readonly [path: string, plain: Buffer])[];

const small: SmallFiles = Array.from({ length: 9 }, (_, at) => {
  return [`/s/${at}`, Buffer.from(`small file ${at}, `.repeat(10 * at + 1))] as const;
});

/** A file as it stands in a block; its slab keyed as a whole where the shelf knows the key. */
function draftOf({ entry, list, read }: RestoreItem, slabKey?: Uint8Array): RowDraft {
  const { size, content } = entry;
  const row = pathRow(Buffer.from(list.path).toString(), { size, content });
  return { row, list, read, slabKey, part: 'none', evidence: undefined };
}

function slabDrafts(shelf: Shelf, files: SmallFiles): RowDraft[] {
  return shelf.slab(files).map((item) => {
    const id = item.entry.content.refs[0]?.id ?? new Uint8Array(0);
    return draftOf(item, shelf.slabKeys.get(hex(id)));
  });
}

function emptyDraft(path: string): RowDraft {
  const list = bareDraft(path, 'directory').list;
  const read = { sha256: sha256(), keys: [] };
  return { row: pathRow(path), list, read, part: 'none', evidence: undefined };
}

/** The blocks of these rows as a commit holds them. */
function held(drafts: readonly RowDraft[]): HeldBlock[] {
  let from = 0;
  return sealRows(drafts, systemRandom).map(({ bytes, root, listKey, readKey, count }) => {
    const block = {
      ...{ block: bytes, root, from, formerDigest: undefined, rows: decodeBlock(bytes) },
      listBox: sealBlockKey('list', keys.listKey, listKey, systemRandom),
      readBox: sealBlockKey('read', keys.readKey, readKey, systemRandom),
    };
    from += count;
    return block;
  });
}

/** Every row of the blocks, each file of them drawn unless its number says otherwise. */
function askedOf(blocks: readonly HeldBlock[], isDrawn = (_slot: number) => true): AskedSlot[] {
  return blocks.flatMap(({ rows, from }, index) =>
    Array.from(rows.kinds, (kind, place) => {
      const slot = from + place;
      return { slot, index, place, isDrawn: (kind & 7) === 1 && isDrawn(slot) };
    }),
  );
}

const proving: Pick<FileTarget, 'whole'> = {
  whole(spec, _placed, bytes) {
    const isSound = bytes.length === spec.size && hex(sha256(bytes)) === hex(spec.sha256);
    if (!isSound) throw new RestoreError('RESTORE_DAMAGED', 'it came back changed');
    return 'written';
  },
};

async function prove(
  shelf: Shelf,
  orders: Iterable<SealedRows>,
  fetchAgain?: (id: Uint8Array) => Promise<Uint8Array | undefined>,
) {
  const [failures, unopened, told]: [string[], string[], number[]] = [[], [], []];
  const proof = new RowsProof({
    vaultId,
    fetchItems: shelf.fetch,
    fetchAgain,
    writer: proving as FileTarget,
    onProgress: ({ files }) => void told.push(files),
    onFailure: (path, { code }) => void failures.push(`${Buffer.from(path)} ${code}`),
    onUnopened: ({ sequence }, versions, { code }) =>
      void unopened.push(`${versions} of ${sequence}: ${code}`),
  });
  async function* all() {
    yield* orders;
  }
  const files = [];
  for await (const order of proof.filesOf(all())) files.push(order);
  expect(files).toEqual([]);
  return { failures, unopened, told, counts: proof.counts, asked: shelf.asked };
}

const ordersOf = (blocks: readonly HeldBlock[], asked = askedOf(blocks)): SealedRows[] => [
  ...shareRows(of, { blocks }, keys, asked).orders,
];

/** The only slab of a shelf, changed. */
function spoil(shelf: Shelf, change: (sealed: Uint8Array) => Uint8Array | undefined): Uint8Array {
  const [name, sealed] = [...shelf.items][0] ?? ['', new Uint8Array(0)];
  const changed = change(sealed.slice());
  if (changed === undefined) shelf.items.delete(name);
  else shelf.items.set(name, changed);
  return sealed;
}

function withHole(sealed: Uint8Array, hole: number): Uint8Array {
  const slab = decodeSlab(sealed);
  return encodeSlab(
    Array.from({ length: slab.count }, (_, at) => {
      const piece = pieceOf(slab, at);
      return at === hole ? { ...piece, sealed: undefined } : piece;
    }),
  );
}

describe('rows of small files, proved as they are sealed', () => {
  it('P2: each file of several slabs, empty ones too, and each slab is asked for once', async () => {
    const shelf = new Shelf();
    const other = small.map(([path, plain]) => [`/t${path}`, Buffer.from(`${plain}!`)] as const);
    const blocks = held([
      bareDraft('/s', 'directory'),
      ...slabDrafts(shelf, small),
      emptyDraft('/s/empty'),
      ...slabDrafts(shelf, other),
    ]);
    const { failures, unopened, counts, asked } = await prove(shelf, ordersOf(blocks));
    expect([failures, unopened]).toEqual([[], []]);
    const bytes = [...small, ...other].reduce((sum, [, { length }]) => sum + length, 0);
    expect(counts).toEqual({ files: 19, same: 0, growing: 0, bytes, failed: 0 });
    expect(asked).toEqual([2]);
  });

  it('P2: only files that were drawn, and a block of which none was is opened all the same', async () => {
    const shelf = new Shelf();
    const blocks = held(slabDrafts(shelf, small));
    const some = await prove(
      shelf,
      ordersOf(
        blocks,
        askedOf(blocks, (slot) => slot % 3 === 0),
      ),
    );
    expect([some.counts.files, some.unopened]).toEqual([3, []]);
    const lying = blocks.map((block) => ({ ...block, root: Buffer.alloc(32) }));
    const none = await prove(
      shelf,
      ordersOf(
        lying,
        askedOf(lying, () => false),
      ),
    );
    expect(none).toMatchObject({ counts: { files: 0 }, unopened: ['9 of 7: COMMIT_ENTRIES'] });
  });

  it.each(small.map((_, at) => at))(
    'P2: a hole at piece %i is named, and no other',
    async (hole) => {
      const shelf = new Shelf();
      const orders = ordersOf(held(slabDrafts(shelf, small)));
      spoil(shelf, (sealed) => withHole(sealed, hole));
      const { failures, counts } = await prove(shelf, orders);
      expect(failures).toEqual([`/s/${hole} RESTORE_MISSING_CHUNK`]);
      expect(counts).toMatchObject({ files: 8, failed: 1 });
    },
  );

  it('P2: a slab that does not come costs its files, each named', async () => {
    const shelf = new Shelf();
    const orders = ordersOf(held([...slabDrafts(shelf, small), emptyDraft('/s/empty')]));
    spoil(shelf, () => undefined);
    const { failures, counts } = await prove(shelf, orders);
    expect(failures).toEqual(small.map(([path]) => `${path} RESTORE_MISSING_CHUNK`));
    expect(counts).toMatchObject({ files: 1, failed: 9 });
  });

  it('P2 P6: a slab with rotten pieces is asked for again once, and what stays rotten is named', async () => {
    const shelf = new Shelf();
    const orders = ordersOf(held(slabDrafts(shelf, small)));
    const sound = spoil(shelf, (sealed) => {
      for (const at of [2, 5]) {
        const place = decodeSlab(sealed).places[at] ?? 0;
        sealed[place] = (sealed[place] ?? 0) ^ 1;
      }
      return sealed;
    });
    let again = 0;
    const { failures, counts } = await prove(shelf, orders, async () => {
      again += 1;
      return withHole(sound, 5);
    });
    expect(failures).toEqual(['/s/5 RESTORE_MISSING_CHUNK']);
    expect([counts.files, again]).toEqual([8, 1]);
  });

  it('P2: a file whose bytes are not those that were captured is named', async () => {
    const shelf = new Shelf();
    const drafts = slabDrafts(shelf, small).map((draft, at) => {
      const { read } = draft;
      return at === 4 && read ? { ...draft, read: { ...read, sha256: Buffer.alloc(32) } } : draft;
    });
    const { failures } = await prove(shelf, ordersOf(held(drafts)));
    expect(failures).toEqual(['/s/4 RESTORE_DAMAGED']);
  });

  it('P5: a block whose rows are not those of its root costs its versions, not those beside it', async () => {
    const shelf = new Shelf();
    const many = Array.from({ length: 300 }, (_, at) => emptyDraft(`/e/${at}`));
    const blocks = held([...many, ...slabDrafts(shelf, small)]);
    const lying = blocks.map((block, at) =>
      at === 0 ? { ...block, root: Buffer.alloc(32) } : block,
    );
    const { unopened, counts, failures } = await prove(shelf, ordersOf(lying));
    expect([unopened, failures]).toEqual([['256 of 7: COMMIT_ENTRIES'], []]);
    expect(counts.files).toBe(300 + 9 - 256);
  });

  it('P6: where hashes and keys do not open, each file is named; where names do not, the versions are counted', async () => {
    const shelf = new Shelf();
    const blocks = held(slabDrafts(shelf, small));
    const boxed = (change: Partial<HeldBlock>) => blocks.map((one) => ({ ...one, ...change }));
    const unread = await prove(shelf, ordersOf(boxed({ readBox: Buffer.alloc(60) })));
    expect(unread.failures).toEqual(small.map(([path]) => `${path} RESTORE_DAMAGED`));
    const closed = await prove(shelf, ordersOf(boxed({ listBox: Buffer.alloc(60) })));
    expect([closed.failures, closed.unopened]).toEqual([[], ['9 of 7: COMMIT_ENTRY_SEALED']]);
  });

  it('leaves blocks with larger files to who opens them, and ends an order by files and by slabs', () => {
    const shelf = new Shelf();
    const large = draftOf(shelf.seal('/large', [Buffer.from('a'), Buffer.from('chunk')]));
    const mixed = held([...slabDrafts(shelf, small), large]);
    const shared = shareRows(of, { blocks: mixed }, keys, askedOf(mixed));
    expect([[...shared.orders], shared.others.length]).toEqual([[], 10]);
    // Where the larger file is not drawn, all that is can be proved as it is sealed.
    const others = shareRows(
      of,
      { blocks: mixed },
      keys,
      askedOf(mixed, (slot) => slot < 9),
    ).others;
    expect(others).toEqual([]);
    const empty = held(Array.from({ length: 2000 }, (_, at) => emptyDraft(`/e/${at}`)));
    expect(ordersOf(empty).map(({ blocks }) => blocks.length)).toEqual([4, 4]);
    const alone = Array.from({ length: 600 }, (_, at) =>
      slabDrafts(shelf, [[`/one/${at}`, Buffer.from(`file ${at}`)]]),
    );
    const slabs = ordersOf(held(alone.flat())).map(({ blocks }) =>
      blocks.reduce((sum, { block }) => sum + decodeBlock(block).slabs.length, 0),
    );
    expect(slabs).toEqual([512, 88]);
  });
});
