import {
  type CommitBlock,
  type CommitHeader,
  decodeBlock,
  decodeSignedCommit,
  type VersionBlock,
} from '@aliquot/proto';
import { rootOfHashes } from '@aliquot/shared/log/hashing';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { signedAnew } from '../../testing/spoiled.ts';
import { content, StoreWorld } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';
import type { CommitOutcome } from './vault-records.ts';

/** A vault, and an agent that has uploaded a slab and a chunk. */
async function begin() {
  const world = new StoreWorld();
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  const files = [
    ...agent.small({ '/s/a': content('a', 50), '/s/b': content('b', 60), '/s/c': content('c', 7) }),
    agent.file('/d', [content('chunk')]),
  ];
  for (const { items } of files) await store.intake.putChunks(agent.lineageId, items);
  const drafts = [...files.map(({ draft }) => draft), agent.directory('/e'), agent.gone('/f')];
  return { world, store, agent, drafts };
}

type Place = Awaited<ReturnType<typeof begin>>;

/** Whose blocks are changed, and what its header says, all of it signed by the agent itself. */
async function changed(
  { store, agent, drafts, world }: Place,
  change: (blocks: readonly CommitBlock[]) => readonly CommitBlock[],
  says: Partial<CommitHeader> = {},
): Promise<CommitOutcome> {
  const built = agent.build(drafts);
  const commit = decodeSignedCommit(built.bytes);
  const made = signedAnew({ ...commit, blocks: change(commit.blocks) }, agent.signKey, says);
  const outcome = await store.intake.commit(agent.agentId, made.bytes, world.clock.now);
  if (outcome.type === 'accepted') agent.advance({ ...built, ...made }, outcome.head);
  return outcome;
}

/** One byte string changed where a view of the block says. */
function patched(
  one: CommitBlock,
  patch: (bytes: Buffer, block: VersionBlock, at: (view: Uint8Array) => number) => void,
): CommitBlock {
  const block = decodeBlock(one.block);
  const bytes = Buffer.from(one.block);
  patch(bytes, block, (view) => view.byteOffset - block.bytes.byteOffset);
  return { ...one, block: bytes };
}

const first =
  (patch: Parameters<typeof patched>[1]) =>
  (blocks: readonly CommitBlock[]): readonly CommitBlock[] =>
    blocks.map((one, at) => (at === 0 ? patched(one, patch) : one));

const refused = { type: 'refused', code: expect.stringMatching(/^(bad-commit|limit)$/) };

describe('P6 a block that an agent has made wrong on purpose is refused, and the next commit is taken', () => {
  test.each<[string, Parameters<typeof patched>[1]]>([
    [
      'two rows of one file',
      (bytes, { ids }, at) => bytes.copyWithin(at(ids) + 16, at(ids), at(ids) + 16),
    ],
    [
      'columns swapped',
      (bytes, { ids, kinds }, at) => {
        const row = Buffer.from(bytes.subarray(at(kinds), at(kinds) + kinds.length));
        bytes.copyWithin(at(kinds), at(ids), at(ids) + kinds.length);
        bytes.set(row, at(ids));
      },
    ],
    ['65,535 rows', (bytes) => bytes.writeUInt16BE(0xffff, 6)],
    ['no rows', (bytes) => bytes.writeUInt16BE(0, 6)],
    ['one row less than its columns', (bytes) => bytes.writeUInt16BE(bytes.readUInt16BE(6) - 1, 6)],
    ['a clear part of 4 GiB', (bytes) => bytes.writeUInt32BE(0xffff_ffff, 8)],
    ['a list of 4 GiB', (bytes) => bytes.writeUInt32BE(0xffff_ffff, 12)],
    ['a form that is purged', (bytes) => bytes.writeUInt8(1, 5)],
    ['a later version', (bytes) => bytes.writeUInt8(2, 4)],
    ['an unknown kind of row', (bytes, { kinds }, at) => bytes.writeUInt8(6, at(kinds))],
  ])('with %s', async (_, patch) => {
    const place = await begin();
    expect(
      await changed(
        place,
        first((...of) => void patch(...of)),
      ),
    ).toMatchObject(refused);
    expect((await changed(place, (blocks) => blocks)).type).toBe('accepted');
  });

  test('with a piece that its slab does not have', async () => {
    const place = await begin();
    const [draft] = place.drafts;
    if (draft === undefined) throw new Error('no draft');
    const outside = { ...draft, content: { ...draft.content, piece: 4 } };
    expect(await changed({ ...place, drafts: [outside] }, (blocks) => blocks)).toEqual({
      ...refused,
      message: 'piece 4 of a slab of 3 is referred to',
    });
  });

  test('with a hash that is not that of its rows, after which no row of it could be purged', async () => {
    const place = await begin();
    const wrong = { rowsHash: content('other rows', 32) };
    expect(await changed(place, (blocks) => blocks, wrong)).toMatchObject(refused);
    expect((await changed(place, (blocks) => blocks)).type).toBe('accepted');
  });

  test('with roots that are not those of the header, blocks in another order, one doubled or left out', async () => {
    const place = await begin();
    const { agent, drafts, world, store } = place;
    // Two states of a file stand in two blocks.
    const two = { ...place, drafts: [...drafts, ...drafts] };
    const reversed = (blocks: readonly CommitBlock[]) => blocks.toReversed();
    for (const change of [
      (blocks: readonly CommitBlock[]) => blocks.map((one) => ({ ...one, root: content('r', 32) })),
      reversed,
      (blocks: readonly CommitBlock[]) => [...blocks, ...blocks],
      (blocks: readonly CommitBlock[]) => blocks.slice(1),
    ])
      expect(await changed(two, change)).toMatchObject(refused);
    // As they were signed, but sent otherwise.
    const { bytes } = agent.build(two.drafts);
    const commit = decodeSignedCommit(bytes);
    expect(commit.blocks.length).toBeGreaterThan(1);
    const roots = reversed(commit.blocks).map(({ root }) => root);
    expect(
      await changed(two, reversed, { entriesRoot: rootOfHashes(roots), entryCount: 3 }),
    ).toMatchObject(refused);
    const outcome = await store.intake.commit(agent.agentId, bytes, world.clock.now);
    expect(outcome.type).toBe('accepted');
  });

  test('with any byte of its clear part changed: nothing of it makes the collector fail', async () => {
    const place = await begin();
    const length = decodeBlock(
      decodeSignedCommit(place.agent.build(place.drafts).bytes).blocks[0]?.block ??
        new Uint8Array(0),
    ).clear.length;
    const types = new Map<string, number>();
    for (let at = 0; at < length; at += 1) {
      const outcome = await changed(
        place,
        first((bytes) => void bytes.writeUInt8(bytes.readUInt8(at) ^ 0x21, at)),
      );
      types.set(outcome.type, (types.get(outcome.type) ?? 0) + 1);
    }
    // Ids that nobody uploaded are missing; another class, size or time is the agent's own word.
    expect([...types.keys()].sort()).toEqual(['accepted', 'missing', 'refused']);
    expect((await changed(place, (blocks) => blocks)).type).toBe('accepted');
  });
});
