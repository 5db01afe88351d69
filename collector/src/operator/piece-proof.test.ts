import type { ChunkId, Ref } from '@aliquot/proto';
import { buildContent } from '@aliquot/shared/content/pages';
import { refOf, type SealedItem, sealChunk } from '@aliquot/shared/content/seal';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import type { RestoreItem } from '@aliquot/shared/restore/placing';
import { expect, test } from 'vitest';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { PieceProof } from './piece-proof.ts';

const world = new StoreWorld('pieces');
const { vaultId } = world.descriptor;

/** Items, and how often each was asked for. */
class Shelf {
  readonly items = new Map<string, Uint8Array>();
  readonly asked = new Map<string, number>();

  add(...items: readonly SealedItem[]): void {
    for (const { id, sealed } of items) this.items.set(mapKey(id), sealed);
  }

  readonly source = {
    fetchItems: async function* (this: Shelf, ids: readonly ChunkId[]) {
      for (const id of ids) {
        this.asked.set(mapKey(id), (this.asked.get(mapKey(id)) ?? 0) + 1);
        const bytes = this.items.get(mapKey(id));
        if (bytes !== undefined) yield { id, bytes };
      }
    }.bind(this),
    fetchAgain: async () => undefined,
  };
}

/** A file that names a few chunks a hundredfold, with pages. */
function fileOf(shelf: Shelf, path: string, texts: readonly string[], times: number) {
  const chunks = texts.map((text) => sealChunk(world.keys, content(text, 300)));
  const refs = Array.from({ length: times }, () => chunks).flat();
  const built = buildContent(
    world.keys,
    refs.map((chunk) => ({ ref: refOf(chunk), key: chunk.key })),
  );
  shelf.add(...chunks, ...built.pages);
  const item = {
    entry: { kind: 'file', size: 300 * refs.length, content: built.content },
    list: { path: new Uint8Array(Buffer.from(path)) },
    read: { sha256: new Uint8Array(32), keys: built.keys },
  } as unknown as RestoreItem;
  return { item, chunks };
}

test('P2 each page and chunk is fetched once, however often files name it', async () => {
  const shelf = new Shelf();
  const proof = new PieceProof(vaultId, shelf.source);
  const one = fileOf(shelf, '/d/one', ['a', 'b', 'c'], 700);
  const two = fileOf(shelf, '/d/two', ['b', 'c', 'd'], 900);
  for (const { item } of [one, two, one]) expect(await proof.prove(item)).toBeUndefined();
  expect([...shelf.asked.values()].every((times) => times === 1)).toBe(true);
  expect(shelf.asked.size).toBe(shelf.items.size);
});

test('P2 what is not delivered, damaged, or named with another key or size is told each time', async () => {
  const shelf = new Shelf();
  const proof = new PieceProof(vaultId, shelf.source);
  const { item, chunks } = fileOf(shelf, '/d/one', ['a', 'b', 'c'], 200);
  expect(await proof.prove(item)).toBeUndefined();
  const change = (refs: (refs: readonly Ref[]) => Ref[], keys = item.read?.keys ?? []) =>
    ({
      ...item,
      entry: {
        ...item.entry,
        content: { ...item.entry.content, refs: refs(item.entry.content.refs) },
      },
      read: { sha256: new Uint8Array(32), keys: [...keys] },
    }) as RestoreItem;
  const wrongKey = change(
    (refs) => [...refs],
    item.read?.keys.map(() => content('key', 32)),
  );
  const wrongSize = change((refs) => refs.map((ref) => ({ ...ref, plainSize: ref.plainSize + 1 })));
  const fewKeys = change((refs) => [...refs], []);
  for (const bad of [wrongKey, wrongSize, fewKeys])
    for (const _ of [1, 2]) expect((await proof.prove(bad))?.code).toBe('RESTORE_DAMAGED');

  const [a, b] = chunks;
  if (a === undefined || b === undefined) throw new Error('no chunk');
  const fresh = new PieceProof(vaultId, shelf.source);
  shelf.items.delete(mapKey(a.id));
  for (const _ of [1, 2])
    expect(await fresh.prove(item)).toMatchObject({
      code: 'RESTORE_MISSING_CHUNK',
      message: expect.stringMatching(/^\/d\/one: [0-9a-f]{16} was not delivered/),
    });
  shelf.add(a);
  shelf.items.set(mapKey(b.id), content('other', b.sealed.length));
  expect((await fresh.prove(item))?.code).toBe('RESTORE_DAMAGED');
});
