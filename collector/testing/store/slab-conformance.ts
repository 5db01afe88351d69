import {
  asChunkId,
  decodeSlab,
  encodeSlab,
  MAX_SLAB_PIECES,
  pieceOf,
  type SlabPiece,
} from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { expect, test } from 'vitest';
import type { PutItem } from '../../src/store/vault-records.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { type Begin, codeOf } from './conformance-place.ts';
import { heldBytes } from './read-one.ts';
import { content, type WorldAgent, type WorldFile } from './world.ts';

/** The one slab of small files. */
function slabOf(files: readonly WorldFile[]): PutItem {
  const item = files[0]?.items[0];
  if (item?.kind !== 'slab') throw new Error('no slab');
  return item;
}

/** A slab without some of its pieces, from 1 on. */
export function without({ id, kind, bytes }: PutItem, ...pieces: readonly number[]): PutItem {
  const slab = decodeSlab(bytes);
  const left = Array.from({ length: slab.count }, (_, at): SlabPiece => {
    const piece = pieceOf(slab, at);
    return pieces.includes(at + 1) ? { ...piece, sealed: undefined } : piece;
  });
  return { id, kind, bytes: encodeSlab(left) };
}

/** The same bytes, changed, under the id that their directory gives. */
function changed(
  { kind, bytes }: PutItem,
  change: (copy: Buffer) => Uint8Array | undefined,
): PutItem {
  const copy = Buffer.from(bytes);
  const made = change(copy) ?? copy;
  const count = (made[6] ?? 0) * 256 + (made[7] ?? 0);
  return { id: asChunkId(sha256(made.subarray(0, 8 + 35 * count))), kind, bytes: made };
}

const three = { '/d/a': content('a'), '/d/b': content('b', 70), '/d/c': content('c', 5) };

/** What agents may rely on, and hostile ones not, of slabs. */
export function slabConformance(begin: Begin): void {
  const oneAgent = async () => {
    const { world, places, store } = await begin();
    return { world, places, store, agent: await world.agent(store, 'hplc-1') };
  };
  const commit = (store: VaultStore, agent: WorldAgent, files: readonly WorldFile[]) => {
    const { bytes } = agent.build(files.map(({ draft }) => draft));
    return store.intake.commit(agent.agentId, bytes, agent.world.clock.now);
  };
  /** The same version, as the piece of another number. */
  const asPiece = ({ draft, items }: WorldFile, piece: number): WorldFile => ({
    draft: { ...draft, content: { ...draft.content, piece } },
    items,
  });

  test('P1 small files come in a slab, are committed by its pieces, and are there after a restart', async () => {
    const { world, places, store, agent } = await oneAgent();
    const files = agent.small(three);
    const { id, bytes } = slabOf(files);
    await agent.back(store, files);
    const figures = { slabs: 1, chunks: 0, rawBytes: 375, uniqueBytes: 375, files: 3 };
    expect(store.figures.stats()).toMatchObject({ ...figures, storedBytes: bytes.length });
    await places.close(store);
    const again = await places.open(world);
    expect(await again.intake.has(agent.lineageId, [id])).toEqual([true]);
    expect(await heldBytes(again, id)).toEqual(Buffer.from(bytes));
    expect(again.figures.stats()).toMatchObject(figures);
    // A version of the same piece adds nothing that was not there.
    await agent.back(again, [files[1] as WorldFile]);
    expect(again.figures.stats()).toMatchObject({ uniqueBytes: 375, rawBytes: 445 });
  });

  test('P4 another agent’s slab is missing, held or not, and its pieces cannot be committed', async () => {
    const { world, store, agent } = await oneAgent();
    const thief = await world.agent(store, 'hplc-2');
    const files = agent.small(three);
    const { id } = slabOf(files);
    await agent.back(store, files);
    expect(await store.intake.has(thief.lineageId, [id])).toEqual([false]);
    expect(await commit(store, thief, thief.small(three))).toEqual({ type: 'missing', ids: [id] });
  });

  test('a piece outside the slab, and one of an item that is no slab, is refused', async () => {
    const { store, agent } = await oneAgent();
    const files = agent.small(three);
    const [file] = files as [WorldFile];
    const chunk = agent.file('/d/chunk', [content('chunk')]);
    await store.intake.putChunks(agent.lineageId, [...file.items, ...chunk.items]);
    for (const wrong of [asPiece(file, 4), asPiece(file, MAX_SLAB_PIECES), asPiece(chunk, 1)])
      expect(await commit(store, agent, [wrong])).toMatchObject({
        type: 'refused',
        code: 'bad-commit',
      });
    expect((await commit(store, agent, [asPiece(file, 3)])).type).toBe('accepted');
  });

  test('a slab with a hole is not taken from an agent', async () => {
    const { store, agent } = await oneAgent();
    const whole = slabOf(agent.small(three));
    const put = (item: PutItem) => store.intake.putChunks(agent.lineageId, [item]);
    for (const piece of [1, 2, 3])
      expect(await codeOf(put(without(whole, piece)))).toBe('STORE_BAD_ITEM');
    expect(await store.intake.has(agent.lineageId, [whole.id])).toEqual([false]);
  });

  test.each<[string, (copy: Buffer) => Uint8Array | undefined]>([
    ['lies about a length', (copy) => void copy.writeUIntBE(copy.readUIntBE(8, 3) + 1, 8, 3)],
    [
      'lies about two lengths',
      (copy) => {
        copy.writeUIntBE(copy.readUIntBE(8, 3) + 1, 8, 3);
        copy.writeUIntBE(copy.readUIntBE(43, 3) - 1, 43, 3);
        return undefined;
      },
    ],
    ['names another hash', (copy) => void copy.writeUInt8(copy.readUInt8(20) ^ 1, 20)],
    ['has no pieces', (copy) => void copy.writeUInt16BE(0, 6)],
    ['has 257 pieces', (copy) => void copy.writeUInt16BE(257, 6)],
    ['counts one piece less', (copy) => void copy.writeUInt16BE(2, 6)],
    ['is of a later version', (copy) => void copy.writeUInt8(2, 4)],
    ['is of an unknown form', (copy) => void copy.writeUInt8(2, 5)],
    ['says that it has holes', (copy) => void copy.writeUInt8(1, 5)],
    ['is cut in its last piece', (copy) => copy.subarray(0, copy.length - 1)],
    ['is cut to its directory', (copy) => copy.subarray(0, 8 + 3 * 35)],
    ['is cut in its directory', (copy) => copy.subarray(0, 50)],
    ['goes on behind its last piece', (copy) => Buffer.concat([copy, Buffer.alloc(1)])],
    ['is empty', (copy) => copy.subarray(0, 0)],
  ])(
    'a slab whose directory or bytes are not what they should be is refused: it %s',
    async (_, change) => {
      const { store, agent } = await oneAgent();
      const [good] = agent.file('/d/good', [content('good')]).items;
      if (good === undefined) throw new Error('no item');
      const bad = changed(slabOf(agent.small(three)), change);
      const { lineageId } = agent;
      expect(await codeOf(store.intake.putChunks(lineageId, [good, bad]))).toBe('STORE_BAD_ITEM');
      const items = [good, bad].map(({ id, kind, bytes }) => ({ id, kind, size: bytes.length }));
      const body = Buffer.concat([good.bytes, bad.bytes]);
      expect(await codeOf(store.intake.putBodies(lineageId, [{ items, body }]))).toBe(
        'STORE_BAD_ITEM',
      );
      expect(await store.intake.has(lineageId, [good.id, bad.id])).toEqual([false, false]);
    },
  );

  test('P1 no chunk takes the place of a slab by being its directory', async () => {
    const { store, agent, world } = await oneAgent();
    const hostile = await world.agent(store, 'hplc-2');
    const files = agent.small(three);
    const { id, bytes } = slabOf(files);
    const directory: PutItem = { id, kind: 'chunk', bytes: bytes.subarray(0, 8 + 3 * 35) };
    expect(await codeOf(store.intake.putChunks(hostile.lineageId, [directory]))).toBe(
      'STORE_BAD_ITEM',
    );
    await agent.back(store, files);
    expect(await heldBytes(store, id)).toEqual(Buffer.from(bytes));
  });

  test('slabs come among others in one body', async () => {
    const { store, agent } = await oneAgent();
    const put = [
      ...agent.file('/d/one', [content('one')]).items,
      slabOf(agent.small(three)),
      ...agent.file('/d/big', [content('part', 400_000), content('more', 64)]).items,
      slabOf(agent.small({ '/d/x': content('x', 40_000) })),
    ];
    const items = put.map(({ id, kind, bytes }) => ({ id, kind, size: bytes.length }));
    const bodyOf = (from: number, to: number) => ({
      items: items.slice(from, to),
      body: Buffer.concat(put.slice(from, to).map(({ bytes }) => bytes)),
    });
    await store.intake.putBodies(agent.lineageId, [bodyOf(0, 3), bodyOf(3, put.length)]);
    for (const { id, bytes } of put) expect(await heldBytes(store, id)).toEqual(Buffer.from(bytes));
  });
}
