import type { ChunkId } from '@aliquot/proto';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld, type WorldAgent } from '../../../testing/store/world.ts';
import { StoredVault } from '../stored-vault.ts';
import { CoreKeeper } from './core-keeper.ts';
import { Mark } from './mark.ts';
import { diskMedia } from './media.ts';

const paged = (by: WorldAgent, word: string) =>
  by.file(
    `/${word}`,
    Array.from({ length: 40 }, (_, at) => content(`${word} ${at}`, 80)),
  );

/** A vault with commits of two PCs, and a mark of the first one's lineage. */
async function marked(
  after: (backs: (by: number, ...words: string[]) => Promise<void>) => Promise<void>,
) {
  const world = new StoreWorld('mark', { blind: true });
  const dir = temporaryFolder();
  const store = await StoredVault.inFolder(dir, world.identity, world.ports());
  await store.events.append(world.vaultAdded());
  const agents = [await world.agent(store, 'hplc-1'), await world.agent(store, 'ms-2')];
  const sent: ReturnType<typeof paged>[] = [];
  const backs = async (by: number, ...words: string[]): Promise<void> => {
    const agent = agents[by] as WorldAgent;
    world.clock.now += 1000;
    const files = words.map((word) => paged(agent, word));
    if (by === 0) sent.push(...files);
    await agent.back(store, files);
  };
  await backs(0, 'first');
  const before = store.log.treeHead().size;
  await after(backs);
  await store.close();
  const media = diskMedia(dir, world.descriptor.vaultId, world.ports());
  const keeper = await CoreKeeper.open(media, world.descriptor, undefined);
  onTestFinished(() => keeper.close());
  const core = await keeper.ready();
  const parts = { random: world.random, hasher: hereHasher };
  const proved: ChunkId[] = [];
  const mark = new Mark(core, (agents[0] as WorldAgent).lineageId, parts, proved);
  return { mark, before, size: core.log.size, sent, proved };
}

test('I-C22 commits of other lineages are nothing new for a mark', async () => {
  const { mark, before, size } = await marked(async (backs) => {
    for (let at = 0; at < 3; at += 1) await backs(1, `other ${at}`);
  });
  expect(size).toBe(before + 3);
  expect(await mark.walkSome(before, Number.POSITIVE_INFINITY)).toBeUndefined();
  expect(await mark.cameBy(size)).toBe(mark.ground.walked);
});

test('I-C22 what came since a mark is walked a bounded part at a time, and counts as walked only when all below it is', async () => {
  const words = Array.from({ length: 6 }, (_, at) => `file ${at}`);
  const { mark, before, size, sent } = await marked((backs) => backs(0, ...words));
  expect(await mark.walkSome(before, Number.POSITIVE_INFINITY)).toBeUndefined();
  expect(await mark.cameBy(size)).toBe(mark.ground.walked + 1);
  let parts = 0;
  for (; (await mark.walkSome(size, 2)) === 'unfinished'; parts += 1)
    expect(await mark.cameBy(size)).toBeGreaterThan(mark.ground.walked);
  expect(parts).toBeGreaterThanOrEqual(words.length / 2);
  expect(await mark.cameBy(size)).toBe(mark.ground.walked);
  for (const { items } of sent)
    for (const { id, kind } of items) expect(mark.reaches(id, kind === 'page')).toBe(true);
});

test('I-C22 pages that a long commit proves before it is accepted are new, and walked with all that is below them', async () => {
  const { mark, before, sent, proved } = await marked((backs) => backs(0, 'long'));
  expect(await mark.walkSome(before, Number.POSITIVE_INFINITY)).toBeUndefined();
  const items = sent[1]?.items ?? [];
  const reached = () => items.map(({ id, kind }) => mark.reaches(id, kind === 'page'));
  expect(reached()).not.toContain(true);
  // No commit that was accepted by then names them.
  proved.push(...items.flatMap(({ id, kind }) => (kind === 'page' ? [id] : [])));
  expect(await mark.cameBy(before)).toBe(mark.ground.walked + proved.length);
  expect(await mark.walkSome(before, Number.POSITIVE_INFINITY)).toBeUndefined();
  expect(reached()).not.toContain(false);
  expect(await mark.cameBy(before)).toBe(mark.ground.walked);
});
