import { copyFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import type { CrashScenario } from '@aliquot/shared/testing/enumerate';
import { initCollector } from '../../src/store/collector.ts';
import type { FindingCode } from '../../src/store/fsck-finding.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { CollectorLife } from './collector-life.ts';
import { fileOf, filesIn, recordsIn } from './copies.ts';
import { spoil } from './fsck-lab.ts';
import { content, StoreWorld, WorldAgent } from './world.ts';

const PACK_BYTES = 4000;
const chunks = (word: string, count: number) =>
  Array.from({ length: count }, (_, index) => content(`${word} ${index}`, 300));
/** What fsck says of a pack that is gone, until everything was sent again. */
const told: readonly FindingCode[] = [
  'pack-missing',
  'item-missing',
  'version-damaged',
  'catalog-not-compared',
];

/** A collector that has taken in what `live` does, closed; and the life that follows. */
async function beginWith(
  root: string,
  seed: string,
  live: (vault: VaultStore, agent: WorldAgent, vaultDir: string) => Promise<void>,
  foundAlways: readonly FindingCode[] = [],
) {
  const world = new StoreWorld(seed, { blind: true });
  const dir = join(root, 'collector');
  const agent = new WorldAgent(world, 'hplc-1');
  const life = new CollectorLife(dir, world, {
    made: true,
    packBytes: PACK_BYTES,
    foundMeanwhile: told,
    foundAlways,
  });
  const ports = world.ports({ packBytes: PACK_BYTES });
  const store = await initCollector(dir, { name: 'freezer' }, ports);
  const certificate = world.certificateFor(store.identity);
  const { descriptor } = world.kit;
  const vault = await store.addVault({ descriptor, certificate, catalogSecretKey: undefined });
  await vault.events.append({
    type: 'agentExpected',
    timeMs: world.clock.now,
    enrolment: agent.enrolment,
  });
  await agent.enrolAt(vault);
  await live(vault, agent, life.vaultDir);
  await store.close();
  return { life, agent };
}

export const collectorLostPack: CrashScenario = {
  name: 'collector-lost-pack',
  about:
    'every file and LevelDB call of a collector that finds one of its packs gone, forgets what lay there, is sent it again and goes on',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const lost = chunks('lost', 12);
    const { life, agent } = await beginWith(root, 'lost pack', async (vault, pc) => {
      await pc.back(vault, [pc.file('/d/lost', lost), pc.file('/d/kept', chunks('kept', 12))]);
    });
    rmSync(fileOf(life.vaultDir, 'packs', 1));
    life.back(agent, 'sends it again', () => [agent.file('/d/lost', lost)]);
    return life.back(agent, 'goes on', () => [agent.file('/d/new', chunks('new', 3))]);
  },
};

/**
 * A chunk rots and is stored again; then the pack of the second copy goes, and the first is mended.
 */
export const collectorTwiceHeld: CrashScenario = {
  name: 'collector-twice-held',
  about:
    'as collector-lost-pack, where what the lost pack held lies in another one, too: nobody has to send it again',
  proves: ['P1', 'P6'],
  begin: async (root) => {
    const twice = chunks('twice', 1);
    const { life, agent } = await beginWith(root, 'twice held', async (vault, pc, vaultDir) => {
      const file = pc.file('/d/twice', twice);
      await pc.back(vault, [file]);
      const [first] = await recordsIn(nodeFiles, vaultDir, 'packs');
      const path = fileOf(vaultDir, 'packs', 1);
      await spoil(path, (first?.offset ?? 0) + 60);
      for (const { id } of file.items)
        for await (const item of vault.reading.readItems([id]))
          if (item.type !== 'damaged') throw new Error('it should have rotted');
      await pc.back(vault, [pc.file('/d/other', chunks('other', 12)), file]);
      await spoil(path, (first?.offset ?? 0) + 60);
    });
    const packs = await recordsIn(nodeFiles, life.vaultDir, 'packs');
    const second = packs.findLast(({ kind }) => kind === 'chunk')?.file ?? 0;
    if (second === 1 || filesIn(life.vaultDir, 'packs').length < 2) throw new Error('one pack');
    rmSync(fileOf(life.vaultDir, 'packs', second));
    life.step('it is there', async (vault) => {
      for (const { id } of agent.file('/d/twice', twice).items)
        for await (const item of vault.reading.readItems([id]))
          if (item.type !== 'item') throw new Error(`P1: it is ${item.type}`);
    });
    return life.back(agent, 'goes on', () => [agent.file('/d/new', chunks('new', 3))]);
  },
};

/** A collector that finds packs in places that are not theirs, and whose agent sends all again. */
function misplaced(
  { name, about }: Pick<CrashScenario, 'name' | 'about'>,
  misplace: (pack: (number: number) => string, root: string) => void,
): CrashScenario {
  return {
    name,
    about,
    proves: ['P1', 'P6'],
    begin: async (root) => {
      const files = (pc: WorldAgent) => [
        pc.file('/d/one', chunks('one', 12)),
        pc.file('/d/two', chunks('two', 12)),
        pc.file('/d/three', chunks('three', 6)),
      ];
      // Named until somebody puts them right, and in nobody's way.
      const { life, agent } = await beginWith(
        root,
        name,
        async (vault, pc) => {
          // One by one, so that they do not stand in one pack.
          for (const file of files(pc)) await pc.back(vault, [file]);
        },
        ['file-foreign'],
      );
      if (filesIn(life.vaultDir, 'packs').length < 3) throw new Error('too few packs');
      misplace((number) => fileOf(life.vaultDir, 'packs', number), root);
      life.back(agent, 'sends it again', () => files(agent));
      return life.back(agent, 'goes on', () => [agent.file('/d/new', chunks('new', 3))]);
    },
  };
}

export const collectorSwappedPacks: CrashScenario = misplaced(
  {
    name: 'collector-swapped-packs',
    about:
      'as collector-lost-pack, where two packs lie in each other’s place: neither is taken for the other, and what lay there is sent again',
  },
  (pack, root) => {
    const aside = join(root, 'aside');
    renameSync(pack(1), aside);
    renameSync(pack(2), pack(1));
    renameSync(aside, pack(2));
  },
);

export const collectorDoubledPack: CrashScenario = misplaced(
  {
    name: 'collector-doubled-pack',
    about:
      'as collector-lost-pack, where a copy of another pack lies in the place of the one that is gone',
  },
  (pack) => copyFileSync(pack(1), pack(2)),
);
