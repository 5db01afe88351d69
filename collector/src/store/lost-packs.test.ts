import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { describe, expect, test } from 'vitest';
import { catalogRows, fileOf, filesIn, recordsIn } from '../../testing/store/copies.ts';
import {
  check,
  codes,
  emptyLab,
  type FsckLab,
  lab,
  openWhole,
  recordAt,
  spoil,
} from '../../testing/store/fsck-lab.ts';
import { content, type WorldFile } from '../../testing/store/world.ts';
import type { UnfitRecord } from './errors.ts';
import type { VaultStore } from './vault-store.ts';

/** Opens the collector, lets `run` do what it does with the vault, and closes it in good order. */
async function withVault<T>(
  { dir, world }: FsckLab,
  run: (vault: VaultStore) => Promise<T>,
  told: UnfitRecord[] = [],
): Promise<T> {
  const ports = world.ports({ packBytes: 4096, onUnfit: (record) => void told.push(record) });
  const store = await openWhole(dir, ports);
  try {
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    return await run(vault);
  } finally {
    await store.close();
  }
}

const pathOf = ({ vaultDir }: FsckLab, pack: number) => fileOf(vaultDir, 'packs', pack);
const idsOf = (file: WorldFile) => file.items.map(({ id }) => id);

async function typesOf(vault: VaultStore, ids: ReturnType<typeof idsOf>): Promise<string[]> {
  const types: string[] = [];
  const found = new Map<string, string>();
  for await (const { type, id } of vault.reading.readItems(ids)) {
    types.push(type);
    found.set(hex(id), type);
  }
  // A run is not proved: what rotted is found by whoever opens it, and asked for again.
  for await (const run of vault.reading.readRuns(ids)) {
    if (run.type !== 'run') for (const id of run.ids) expect(found.get(hex(id))).toBe(run.type);
    else
      for (const { id, offset, length } of run.items)
        if (equalBytes(sha256(run.bytes.subarray(offset, offset + length)), id))
          expect(found.get(hex(id))).toBe('item');
  }
  return types;
}

/** The files of the lab's agent, as it made them. */
const filesOf = ({ agent }: FsckLab) => ({
  a: agent.file('/d/a', [content('a'), content('b')]),
  big: agent.file(
    '/d/big',
    Array.from({ length: 40 }, (_, index) => content(`part ${index}`, 200)),
  ),
});

describe('a pack that is gone', () => {
  test('P6 I-C14 that nobody needs is told as gone, and fsck is clean of anything but that', async () => {
    const place = await lab(4096);
    const before = filesIn(place.vaultDir, 'packs');
    await withVault(place, async (vault) => {
      // Uploads that no commit refers to, until a pack holds nothing else.
      for (let turn = 0; turn < 4; turn += 1) {
        const { items } = place.agent.file(`/d/unsaid ${turn}`, [content(`unsaid ${turn}`, 3000)]);
        await vault.intake.putChunks(place.agent.lineageId, items);
      }
      await vault.intake.sync();
    });
    const [pack = 0] = filesIn(place.vaultDir, 'packs').filter((one) => one > (before.at(-1) ?? 0));
    rmSync(pathOf(place, pack));
    const { findings } = await check(place);
    expect(findings).toMatchObject([
      { code: 'pack-missing', severity: 'warning', where: pathOf(place, pack) },
    ]);
    const told: UnfitRecord[] = [];
    await withVault(
      place,
      async (vault) => {
        for (const file of Object.values(filesOf(place)))
          expect(new Set(await typesOf(vault, idsOf(file)))).toEqual(new Set(['item']));
        await place.agent.back(vault, [place.agent.file('/d/new', [content('new')])]);
      },
      told,
    );
    expect(told.map(({ where }) => where)).toEqual([pathOf(place, pack)]);
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });

  test('P1 P6 I-C14 that versions need costs its items alone: named, not had, and sound again when they come again', async () => {
    const place = await lab(4096);
    const { a, big } = filesOf(place);
    const kept = filesIn(place.vaultDir, 'packs').length - 1;
    rmSync(pathOf(place, 1)); // with the chunks of "a"
    const found = await check(place);
    expect(new Set(codes(found.findings))).toEqual(
      new Set(['pack-missing', 'item-missing', 'version-damaged']),
    );
    const told: UnfitRecord[] = [];
    await withVault(
      place,
      async (vault) => {
        expect(vault.figures.stats()).toMatchObject({ packs: kept, commits: 3 });
        expect(await typesOf(vault, idsOf(a))).toEqual(['missing', 'missing']);
        expect(await vault.intake.has(place.agent.lineageId, idsOf(a))).toEqual([false, false]);
        const rest = await typesOf(vault, idsOf(big));
        expect(rest).toContain('item');
        await place.agent.back(vault, [a, big]);
        expect(await vault.intake.has(place.agent.lineageId, idsOf(a))).toEqual([true, true]);
        for (const file of [a, big])
          expect(new Set(await typesOf(vault, idsOf(file)))).toEqual(new Set(['item']));
      },
      told,
    );
    expect(told).toMatchObject([{ where: pathOf(place, 1), why: /missing/ }]);
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    // Made again from history and packs, the catalog is the same.
    const live = await catalogRows(place.vaultDir);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await withVault(place, async () => undefined);
    expect(await catalogRows(place.vaultDir)).toEqual(live);
  });

  test('P1 I-C1 below a page that another pack holds is noticed by the next commit', async () => {
    const place = await lab(4096);
    const large = place.agent.file(
      '/d/large',
      Array.from({ length: 90 }, (_, index) => content(`of large ${index}`, 200)),
    );
    const before = filesIn(place.vaultDir, 'packs').at(-1) ?? 0;
    await withVault(place, async (vault) => {
      // The page comes behind all chunks, which fill several packs.
      for (const item of large.items) await vault.intake.putChunks(place.agent.lineageId, [item]);
      await place.agent.back(vault, [large]);
    });
    expect(filesIn(place.vaultDir, 'packs').at(-1)).toBeGreaterThan(before + 3);
    rmSync(pathOf(place, before + 2));
    await withVault(place, async (vault) => {
      const { agentId } = place.agent;
      const again = place.agent.build([large.draft]);
      const answer = await vault.intake.commit(agentId, again.bytes, place.world.clock.now);
      expect(answer).toMatchObject({ type: 'missing' });
      await place.agent.back(vault, [large]);
    });
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });

  test('P1 is noticed when the catalog is gone with it', async () => {
    const place = await lab(4096);
    const { a } = filesOf(place);
    rmSync(pathOf(place, 1));
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await withVault(place, async (vault) => {
      expect(await vault.intake.has(place.agent.lineageId, idsOf(a))).toEqual([false, false]);
      const again = place.agent.build([a.draft]);
      const { agentId } = place.agent;
      expect(await vault.intake.commit(agentId, again.bytes, place.world.clock.now)).toMatchObject({
        type: 'missing',
      });
    });
  });

  test('P1 P6 in part costs what lay in that part', async () => {
    const place = await lab(4096);
    const { a } = filesOf(place);
    const records = await recordsIn(nodeFiles, place.vaultDir, 'packs');
    const second = records.filter(({ file, kind }) => file === 1 && kind === 'chunk')[1];
    truncateSync(pathOf(place, 1), second?.offset ?? 0);
    expect(codes((await check(place)).findings)).toContain('pack-short');
    await withVault(place, async (vault) => {
      expect(await vault.intake.has(place.agent.lineageId, idsOf(a))).toEqual([true, false]);
      expect(await typesOf(vault, idsOf(a))).toEqual(['item', 'missing']);
    });
  });
});

test.each(['packs', 'history'])(
  'P1 P6 a collector whose folder of %s is not there does not start over an empty one',
  async (part) => {
    const place = await lab(4096);
    const aside = join(place.dir, 'aside');
    renameSync(join(place.vaultDir, part), aside);
    await expect(withVault(place, async () => undefined)).rejects.toMatchObject({
      code: 'STORE_FOLDER',
      message: expect.stringMatching(new RegExp(`${part} is missing; is its disk there`)),
    });
    expect(codes((await check(place)).findings)).toContain('folder');
    renameSync(aside, join(place.vaultDir, part));
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  },
);

describe('a folder of packs that is there and empty, as of a disk that is not mounted', () => {
  const unmount = ({ vaultDir, dir }: FsckLab): (() => void) => {
    const [packs, aside] = [join(vaultDir, 'packs'), join(dir, 'unmounted')];
    renameSync(packs, aside);
    mkdirSync(packs);
    return () => {
      rmSync(packs, { recursive: true });
      renameSync(aside, packs);
    };
  };

  test.each([
    ['', []],
    [', also when the catalog is gone', ['catalog', 'durable.json']],
  ] as const)(
    'P6 keeps the collector from starting, in one line with the way out, and begins nothing there%s',
    async (_, gone) => {
      const place = await lab(4096);
      for (const name of gone) rmSync(join(place.vaultDir, name), { recursive: true });
      const mount = unmount(place);
      for (let turn = 0; turn < 2; turn += 1)
        await expect(withVault(place, async () => undefined)).rejects.toMatchObject({
          code: 'STORE_PACKS_GONE',
          message: expect.stringMatching(/packs is there and empty.*--packs-lost/),
        });
      for (const repair of [false, true])
        expect(codes((await check(place, repair)).findings)).toContain('packs-gone');
      expect(readdirSync(join(place.vaultDir, 'packs'))).toEqual([]);
      mount();
      await withVault(place, async (vault) => {
        expect(await typesOf(vault, idsOf(filesOf(place).a))).toEqual(['item', 'item']);
      });
      expect(await check(place)).toEqual({ findings: [], faults: 0 });
    },
  );

  test('P1 P6 begins without them when a person says that they are lost, and agents are asked again', async () => {
    for (const gone of [[], ['catalog', 'durable.json']]) {
      const place = await lab(4096);
      for (const name of gone) rmSync(join(place.vaultDir, name), { recursive: true });
      unmount(place);
      const { findings } = await check(place, true, true);
      expect(codes(findings)).toEqual(expect.arrayContaining(['packs-gone', 'repaired']));
      const { a } = filesOf(place);
      await withVault(place, async (vault) => {
        expect(await vault.intake.has(place.agent.lineageId, idsOf(a))).toEqual([false, false]);
        await place.agent.back(vault, [a]);
        expect(await typesOf(vault, idsOf(a))).toEqual(['item', 'item']);
      });
      await withVault(place, async (vault) => {
        expect(await typesOf(vault, idsOf(a))).toEqual(['item', 'item']);
      });
      expect(codes((await check(place)).findings)).not.toContain('packs-gone');
    }
  });

  test('is nothing to tell of while nothing was ever stored', async () => {
    const place = await emptyLab();
    rmSync(join(place.vaultDir, 'packs'), { recursive: true });
    mkdirSync(join(place.vaultDir, 'packs'));
    await withVault(place, async () => undefined);
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });
});

describe('a pack that is not what its name says', () => {
  test('P6 of another vault is named once at each start, and keeps nothing else from being served', async () => {
    const place = await lab(4096);
    const other = await lab(4096);
    const path = pathOf(place, 1);
    const sound = readFileSync(path);
    copyFileSync(pathOf(other, 2), path);
    for (let start = 0; start < 3; start += 1) {
      const told: UnfitRecord[] = [];
      await withVault(place, async () => undefined, told);
      expect(told).toMatchObject([{ type: 'pack', where: path }]);
    }
    writeFileSync(path, sound);
    const told: UnfitRecord[] = [];
    await withVault(place, async () => undefined, told);
    expect(told).toEqual([]);
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });

  test('P6 I-C14 doubled as the newest is named with the way out, and nothing is written behind it', async () => {
    const place = await lab(4096);
    const copy = pathOf(place, (filesIn(place.vaultDir, 'packs').at(-1) ?? 0) + 3);
    copyFileSync(pathOf(place, 1), copy);
    expect((await check(place)).findings).toMatchObject([
      { code: 'file-foreign', where: expect.stringContaining(copy) },
    ]);
    await expect(withVault(place, async () => undefined)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/holds pack 1: .*take the double away/),
    });
    rmSync(copy);
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });

  test('P1 P6 I-C14 two in each other’s place are named, nothing of them is taken for the other, and put back all is well', async () => {
    const place = await lab(4096);
    const swap = () => {
      const aside = join(place.dir, 'aside');
      renameSync(pathOf(place, 1), aside);
      renameSync(pathOf(place, 2), pathOf(place, 1));
      renameSync(aside, pathOf(place, 2));
    };
    const live = await catalogRows(place.vaultDir);
    swap();
    expect(codes((await check(place)).findings)).toContain('file-foreign');
    const { a } = filesOf(place);
    for (let start = 0; start < 2; start += 1) {
      const told: UnfitRecord[] = [];
      await withVault(
        place,
        async (vault) => {
          // Nobody has to read it first: the start has looked, and the agent is asked for it again.
          expect(await vault.intake.has(place.agent.lineageId, idsOf(a))).toEqual([false, false]);
          expect(await typesOf(vault, idsOf(a))).not.toContain('item');
        },
        told,
      );
      expect(told.map(({ where }) => where).toSorted()).toEqual(
        [pathOf(place, 1), pathOf(place, 2)].toSorted(),
      );
    }
    swap();
    await withVault(place, async (vault) => {
      expect(await typesOf(vault, idsOf(filesOf(place).a))).toEqual(['item', 'item']);
    });
    expect(await catalogRows(place.vaultDir)).toEqual(live);
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });
});

describe('an item that lies in two packs', () => {
  /** Chunk "a" rots, is asked for again and stored again; then the first copy is mended. */
  async function doubled(): Promise<FsckLab & { readonly first: number; readonly second: number }> {
    const place = await lab(4096);
    const { path, at } = await recordAt(place.vaultDir, 'chunk', 0);
    await spoil(path, at + 60);
    const { a } = filesOf(place);
    await withVault(place, async (vault) => {
      expect(await typesOf(vault, idsOf(a).slice(0, 1))).toEqual(['damaged']);
      await place.agent.back(vault, [a]);
    });
    await spoil(path, at + 60);
    const second = filesIn(place.vaultDir, 'packs').at(-1) ?? 0;
    expect(statSync(pathOf(place, second)).size).toBeGreaterThan(0);
    return { ...place, first: 1, second };
  }

  test.each(['first', 'second'] as const)(
    'P1 I-C14 is served from the other when the %s pack is gone',
    async (which) => {
      const place = await doubled();
      const { a } = filesOf(place);
      expect(await check(place)).toEqual({ findings: [], faults: 0 });
      rmSync(pathOf(place, place[which]));
      const { findings } = await check(place);
      expect(findings[0]).toMatchObject({ code: 'pack-missing' });
      await withVault(place, async (vault) => {
        const [one] = idsOf(a);
        if (one === undefined) throw new Error('no chunk');
        expect(await typesOf(vault, [one])).toEqual(['item']);
        expect(await vault.intake.has(place.agent.lineageId, [one])).toEqual([true]);
      });
    },
  );

  test.each(['first', 'second'] as const)(
    'P1 P6 is served from the other when the copy in the %s rots, and fsck warns',
    async (which) => {
      const place = await doubled();
      const { a } = filesOf(place);
      const [one] = idsOf(a);
      if (one === undefined) throw new Error('no chunk');
      const records = await recordsIn(nodeFiles, place.vaultDir, 'packs');
      const { file, offset } =
        (which === 'first' ? records[0] : records.findLast(({ kind }) => kind === 'chunk')) ?? {};
      await spoil(pathOf(place, file ?? 0), (offset ?? 0) + 60);
      const { findings } = await check(place);
      expect(findings).toMatchObject([{ code: 'item-damaged', severity: 'warning' }]);
      await withVault(place, async (vault) =>
        expect(await typesOf(vault, [one])).toEqual(['item']),
      );
    },
  );
});
