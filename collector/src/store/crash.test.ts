import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodePage, type References } from '@aliquot/proto';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  boundaries,
  cachedDisk,
  catalogRows,
  compareFilePlaces,
  copyAfterPowerCut,
  copyCutAt,
  type Ends,
  endsOnDisk,
  type FilePlace,
  fileOf,
  recordsIn,
} from '../../testing/store/copies.ts';
import { spoil } from '../../testing/store/fsck-lab.ts';
import {
  expectKept,
  life,
  type Promised,
  severalAtOnce,
  smallFiles,
} from '../../testing/store/vault-life.ts';
import { content, StoreWorld, seededRandom } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';

/** Every boundary between records, and places inside of them. */
async function cutsIn(dir: string, log: 'history' | 'packs'): Promise<FilePlace[]> {
  const random = seededRandom('cuts');
  const places = await boundaries(nodeDisk, dir, log);
  const inside = places.flatMap((place, index) => {
    const next = places[index + 1];
    if (next?.file !== place.file || index % 4 !== 0) return [];
    const byte = Buffer.from(random.bytes(4)).readUInt32BE(0) % (next.offset - place.offset);
    return [{ file: place.file, offset: place.offset + byte }];
  });
  return [...places, ...inside];
}

/** As much of the history as may have been written when the packs ended there. */
function historyWithin(promised: readonly Promised[], packs: FilePlace): FilePlace {
  const last = promised.findLast(({ at }) => compareFilePlaces(at.packs, packs) <= 0);
  return last?.at.history ?? { file: 0, offset: 0 };
}

/** Everything that any commit in the history refers to is held. */
async function expectWhole(store: StoredVault): Promise<void> {
  for (let leaf = 0; leaf < store.log.treeHead().size; leaf += 1) {
    const { record } = await store.log.leafAt(leaf);
    if (record.type !== 'commit') continue;
    const contents = [...rowsIn(readCommit(record.commit).rows)].map(
      ({ entry }): References => entry.content,
    );
    for (let below = contents.pop(); below !== undefined; below = contents.pop()) {
      for await (const item of store.reading.readItems(below.refs.map(({ id }) => id))) {
        expect(item.type).toBe('item');
        if (item.type === 'item' && item.kind === 'page')
          contents.push(decodePage(item.bytes).content);
      }
    }
  }
}

describe('a crash of the collector', () => {
  test('I-C1 I-C2 P1 at every record boundary, and inside records, leaves every receipt honoured', async () => {
    const world = new StoreWorld('crash');
    const dir = temporaryFolder();
    const store = await StoredVault.inFolder(dir, world.identity, world.ports(smallFiles));
    const promised = await life(store, world, dir);
    await store.close();
    const copies = temporaryFolder();
    const ends = endsOnDisk(dir);
    const [inHistory, inPacks] = [await cutsIn(dir, 'history'), await cutsIn(dir, 'packs')];
    expect(ends.packs.file).toBeGreaterThan(3);
    expect(ends.history.file).toBeGreaterThan(2);
    // Data is durable before what relies on it is in the history: so history never reaches further.
    const cuts: Ends[] = [
      ...inHistory.map((history) => ({ history, packs: ends.packs })),
      ...inPacks.map((packs) => ({ history: historyWithin(promised, packs), packs })),
    ];
    await severalAtOnce([...cuts.entries()], async ([turn, cut]) => {
      const copy = join(copies, `${turn}`);
      copyCutAt(dir, copy, cut);
      const reopened = await StoredVault.inFolder(copy, world.identity, world.ports(smallFiles));
      await expectKept(
        reopened,
        world,
        promised.filter(({ at }) => compareFilePlaces(at.history, cut.history) <= 0),
      );
      await reopened.close();
      rmSync(copy, { recursive: true });
    });
  });

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C2 a catalog that caught up equals one that was built anew',
    async () => {
      const world = new StoreWorld('catch up');
      const dir = temporaryFolder();
      const early = temporaryFolder();
      let store = await StoredVault.inFolder(dir, world.identity, world.ports(smallFiles));
      let count = 0;
      await life(store, world, dir, async () => {
        count += 1;
        if (count !== 4) return;
        await store.flush();
        cpSync(join(dir, 'catalog'), join(early, 'catalog'), { recursive: true });
      });
      await store.close();
      const live = await catalogRows(dir);
      for (const catalog of [join(early, 'catalog'), undefined]) {
        const copy = temporaryFolder();
        copyCutAt(dir, copy, endsOnDisk(dir), catalog === undefined ? {} : { catalog });
        store = await StoredVault.inFolder(copy, world.identity, world.ports());
        await store.close();
        expect(await catalogRows(copy)).toEqual(live);
      }
    },
  );

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C1 I-C3 P1 a power cut that loses and tears what was not synced leaves every receipt honoured',
    async () => {
      const world = new StoreWorld('power');
      const dir = temporaryFolder();
      const disk = cachedDisk(nodeDisk);
      const random = seededRandom('survivors');
      const store = await StoredVault.inFolder(
        dir,
        world.identity,
        world.ports({ ...smallFiles, files: disk.files }),
      );
      onTestFinished(() => store.close());
      const promised: Promised[] = [];
      const copies = temporaryFolder();
      await life(store, world, dir, async (one) => {
        promised.push(one);
        // Uploads that nobody was promised anything about, in every state of getting to the disk.
        await store.intake.putChunks(
          one.agent.lineageId,
          one.agent.file('/d/next', [
            content(`next ${promised.length}`),
            content(`after ${promised.length}`),
          ]).items,
        );
        for (const keep of [0, 1, 2]) {
          const copy = join(copies, `${promised.length}-${keep}`);
          copyAfterPowerCut(
            dir,
            copy,
            disk,
            () => keep === 2 || (keep === 1 && (random.bytes(1)[0] ?? 0) > 60),
          );
          const reopened = await StoredVault.inFolder(
            copy,
            world.identity,
            world.ports(smallFiles),
          );
          await expectKept(reopened, world, promised);
          await reopened.close();
          rmSync(copy, { recursive: true });
        }
      });
    },
    120_000,
  );

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C1 P1 a commit that relies on what another agent has just sent in place of what was lost waits until that is durable',
    async () => {
      const world = new StoreWorld('returned');
      const dir = temporaryFolder();
      const disk = cachedDisk(nodeDisk);
      const ports = world.ports({ files: disk.files });
      const store = await StoredVault.inFolder(dir, world.identity, ports);
      onTestFinished(() => store.close());
      await store.events.append(world.vaultAdded());
      const one = await world.agent(store, 'hplc-1');
      const other = await world.agent(store, 'ms-2');
      const file = one.file('/d/a', [content('a')]);
      const ids = file.items.map(({ id }) => id);
      await one.back(store, [file]);
      const [first] = await recordsIn(nodeDisk, dir, 'packs');
      await spoil(fileOf(dir, 'packs', 1), (first?.offset ?? 0) + 60);
      for await (const item of store.reading.readItems(ids)) expect(item.type).toBe('damaged');
      await other.back(store, [other.gone('/d/b')]);
      await store.intake.putChunks(other.lineageId, file.items);
      expect(await store.intake.has(one.lineageId, ids)).toEqual([true]);
      const again = one.build([one.file('/d/again', [content('a')]).draft]);
      const answer = await store.intake.commit(one.agentId, again.bytes, world.clock.now);
      expect(answer.type).toBe('accepted');
      const copy = temporaryFolder();
      copyAfterPowerCut(dir, copy, disk, () => false);
      const reopened = await StoredVault.inFolder(copy, world.identity, world.ports());
      for await (const item of reopened.reading.readItems(ids)) expect(item.type).toBe('item');
      await reopened.close();
    },
  );

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C1 P1 at every write and flush, a power cut that takes what is not synced of data, of history, or of both, leaves no history that relies on lost data',
    async () => {
      const world = new StoreWorld('between');
      const dir = temporaryFolder();
      const copies = temporaryFolder();
      const promised: Promised[] = [];
      const cut: { readonly copy: string; readonly promised: number }[] = [];
      let steps = 0;
      const disk = cachedDisk(nodeDisk, async (path) => {
        if (!/\.(pack|history)$/.test(path)) return;
        steps += 1;
        if (steps % 3 !== 0) return;
        for (const survivor of ['none', 'history', 'packs']) {
          const copy = join(copies, `${steps}-${survivor}`);
          copyAfterPowerCut(dir, copy, disk, (log) => log === survivor, { catalog: false });
          cut.push({ copy, promised: promised.length });
        }
      });
      const ports = world.ports({ ...smallFiles, files: disk.files });
      const store = await StoredVault.inFolder(dir, world.identity, ports);
      await life(store, world, dir, (one) => void promised.push(one));
      await store.close();
      expect(cut.length).toBeGreaterThan(90);
      await severalAtOnce(cut, async ({ copy, promised: told }) => {
        const reopened = await StoredVault.inFolder(copy, world.identity, world.ports(smallFiles));
        await expectKept(reopened, world, promised.slice(0, told));
        await expectWhole(reopened);
        await reopened.close();
        rmSync(copy, { recursive: true });
      });
    },
    120_000,
  );

  test('I-C5 a broken record below what was synced later is never cut', async () => {
    const world = new StoreWorld('rot');
    const dir = temporaryFolder();
    const store = await StoredVault.inFolder(dir, world.identity, world.ports());
    const promised = await life(store, world, dir);
    await store.close();
    const copy = temporaryFolder();
    copyCutAt(dir, copy, endsOnDisk(dir));
    const { at } = promised[1] as Promised;
    const file = await nodeDisk.open(fileOf(copy, 'history', at.history.file), 'update');
    await file.write(Buffer.from('rot'), at.history.offset - 200); // in the second commit
    await file.close();
    const ends = endsOnDisk(copy);
    const told: string[] = [];
    const ports = world.ports({ onUnfit: ({ where }) => void told.push(where) });
    const opened = StoredVault.inFolder(copy, world.identity, ports);
    const where = await opened.then(
      async (vault) => (await vault.close().then(() => told))[0],
      (error: { readonly message: string }) => error.message,
    );
    expect(where).toMatch(/00000001\.history.*byte \d+/);
    expect(endsOnDisk(copy).history).toEqual(ends.history);
  });
});
