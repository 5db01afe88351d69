import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asVaultId, decodeSlab, pieceOf } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { describe, expect, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { check, codes, type FsckLab, lab, recordAt } from '../../testing/store/fsck-lab.ts';
import { readOne } from '../../testing/store/read-one.ts';
import { without } from '../../testing/store/slab-conformance.ts';
import { content, type WorldFile } from '../../testing/store/world.ts';
import { openCollector } from './collector.ts';
import { DiskPacks } from './packs/disk-packs.ts';
import type { PutItem } from './vault-records.ts';
import type { VaultStore } from './vault-store.ts';

const small = {
  '/s/a': content('s', 80),
  '/s/b': content('t', 900),
  '/s/c': content('u', 9),
  '/s/d': content('v', 300),
};

interface SlabLab extends FsckLab {
  readonly slab: PutItem;
  readonly files: readonly WorldFile[];
  /** Where its record is. */
  readonly record: { readonly path: string; readonly at: number };
}

/** The lab with one slab of four files. */
async function slabLab(packBytes?: number): Promise<SlabLab> {
  const place = await lab(packBytes);
  const files = place.agent.small(small);
  await opened(place, async (vault) => void (await place.agent.back(vault, files)));
  const slab = files[0]?.items[0];
  if (slab === undefined) throw new Error('no slab');
  return { ...place, slab, files, record: await recordAt(place.vaultDir, 'slab') };
}

async function opened<T>(place: FsckLab, run: (vault: VaultStore) => Promise<T>): Promise<T> {
  const store = await openCollector(place.dir, place.world.ports());
  try {
    const vault = store.vault(place.world.descriptor.vaultId);
    if (vault === undefined) throw new Error('no vault');
    return await run(vault);
  } finally {
    await store.close();
  }
}

/** Where a piece begins in its slab, from 1 on. */
const startOf = ({ bytes }: PutItem, piece: number): number =>
  decodeSlab(bytes).places[piece - 1] ?? -1;

function rot({ record: { path, at } }: SlabLab, ...within: readonly number[]): void {
  const bytes = readFileSync(path);
  for (const byte of within) {
    const place = at + RECORD_HEADER_BYTES + byte;
    bytes[place] = bytes.readUInt8(place) ^ 1;
  }
  writeFileSync(path, bytes);
}

/** Which pieces of the slab a reader gets. */
async function piecesRead(place: Omit<SlabLab, 'record'>): Promise<boolean[] | string> {
  return opened(place, async (vault) => {
    const item = await readOne(vault, place.slab.id);
    if (item.type !== 'item') return item.type;
    const slab = decodeSlab(item.bytes);
    return [0, 1, 2, 3].map((at) => pieceOf(slab, at).sealed !== undefined);
  });
}

describe('P2 P6 I-C15 a slab', () => {
  test.each([1, 2, 3, 4])(
    'of which piece %i rotted gives the others, and fsck names the one and its version',
    async (piece) => {
      const place = await slabLab();
      rot(place, startOf(place.slab, piece) + 1);
      const { findings } = await check(place);
      expect(codes(findings)).toEqual(['piece-damaged', 'version-damaged']);
      expect(findings[0]?.what).toContain(`piece ${piece} of slab ${hex(place.slab.id)}`);
      const path = Object.keys(small)[piece - 1] ?? '';
      expect(findings[1]?.where).toContain(hex(place.agent.fileId(path)));
      expect(await piecesRead(place)).toEqual([1, 2, 3, 4].map((at) => at !== piece));
      // It counts as damaged: its agent sends it again, and it is whole.
      await opened(place, async (vault) => {
        const { agent, slab } = place;
        expect(await vault.intake.has(agent.lineageId, [slab.id])).toEqual([false]);
        await vault.intake.putChunks(agent.lineageId, [slab]);
        await vault.intake.sync();
        expect(await vault.intake.has(agent.lineageId, [slab.id])).toEqual([true]);
      });
      expect(await piecesRead(place)).toEqual([true, true, true, true]);
      expect((await check(place)).findings).toMatchObject([
        { code: 'piece-damaged', severity: 'warning' },
      ]);
    },
  );

  test('of which two pieces rotted is named for each, and of which nothing is left, as a whole', async () => {
    const place = await slabLab();
    rot(place, startOf(place.slab, 1), startOf(place.slab, 4));
    expect(codes((await check(place)).findings).toSorted()).toEqual([
      ...['piece-damaged', 'piece-damaged', 'version-damaged', 'version-damaged'],
    ]);
    rot(place, 30);
    expect(codes((await check(place)).findings).toSorted()).toEqual([
      ...['item-damaged', 'version-damaged', 'version-damaged'],
      ...['version-damaged', 'version-damaged'],
    ]);
    expect(await piecesRead(place)).toBe('damaged');
  });

  test('whose pack is gone is named with its versions, asked for again, and there again', async () => {
    const place = await slabLab(4096);
    const { agent, slab, record } = place;
    rmSync(record.path);
    const found = codes((await check(place)).findings);
    expect(new Set(found)).toEqual(new Set(['pack-missing', 'item-missing', 'version-damaged']));
    expect(await piecesRead(place)).toBe('missing');
    await opened(place, async (vault) => {
      expect(await vault.intake.has(agent.lineageId, [slab.id])).toEqual([false]);
      const again = agent.build(place.files.map(({ draft }) => draft));
      expect(await vault.intake.commit(agent.agentId, again.bytes, place.world.clock.now)).toEqual({
        type: 'missing',
        ids: [slab.id],
      });
      await agent.back(vault, place.files);
    });
    expect(await piecesRead(place)).toEqual([true, true, true, true]);
  });

  test('that lies there with holes is read with them, a version of a hole is named, and a commit that needs it asks for the slab', async () => {
    const place = await lab();
    const files = place.agent.small(small);
    const [a, b, c, d] = files as [WorldFile, WorldFile, WorldFile, WorldFile];
    const slab = a.items[0];
    if (slab === undefined) throw new Error('no slab');
    const { agent, world } = place;
    await opened(place, async (vault) => void (await agent.back(vault, [a, b])));
    const built = agent.build([c.draft]);
    // As a collection will leave it: the pack that it wrote holds what is still live.
    const dir = join(place.vaultDir, 'packs');
    const vaultId = asVaultId(world.descriptor.vaultId);
    const packs = await DiskPacks.open(dir, vaultId, { files: nodeFiles, random: world.random });
    await packs.put([without(slab, 2, 3)]);
    await packs.remove(1);
    await packs.put([without(slab, 2, 3)]);
    await packs.sync();
    await packs.close();
    const lab4 = { ...place, slab, files };
    expect(await piecesRead(lab4)).toEqual([true, false, false, true]);
    const told = (await check(place)).findings.filter(({ code }) => code !== 'pack-missing');
    expect(told.filter(({ code }) => code === 'piece-missing')).toMatchObject([
      { severity: 'error', what: expect.stringContaining(`1 pieces of slabs`) },
    ]);
    await opened(place, async (vault) => {
      const outcome = await vault.intake.commit(agent.agentId, built.bytes, world.clock.now);
      expect(outcome).toEqual({ type: 'missing', ids: [slab.id] });
      await vault.intake.putChunks(agent.lineageId, [slab]);
      await agent.back(vault, [c, d]);
      expect(vault.figures.stats()).toMatchObject({ slabs: 1 });
    });
    expect(await piecesRead(lab4)).toEqual([true, true, true, true]);
    expect(codes((await check(place)).findings)).not.toContain('piece-missing');
    const live = await catalogRows(place.vaultDir);
    expect(live.length).toBeGreaterThan(0);
  });

  test('I-C1 that lies there with holes and comes again from one agent is synced before the commit of another relies on it', async () => {
    const place = await lab();
    const { world, agent } = place;
    const files = agent.small(small);
    const slab = files[0]?.items[0];
    if (slab === undefined) throw new Error('no slab');
    const other = await opened(place, async (vault) => {
      await agent.back(vault, files);
      const second = await world.agent(vault, 'gc-7');
      await second.back(vault, second.small(small).slice(0, 1));
      return second;
    });
    const dir = join(place.vaultDir, 'packs');
    const vaultId = asVaultId(world.descriptor.vaultId);
    const packs = await DiskPacks.open(dir, vaultId, { files: nodeFiles, random: world.random });
    const live: PutItem[] = [];
    for (const { pack } of packs.packs())
      for await (const rows of packs.rows(pack))
        for (const { id, place: at } of rows) live.push({ id, ...(await packs.read(id, at)) });
    const before = packs.packs().map(({ pack }) => pack);
    await packs.remove(before.at(-1) ?? 0);
    await packs.put(live.map((item) => (item.kind === 'slab' ? without(slab, 2, 3) : item)));
    for (const pack of before.slice(0, -1)) await packs.remove(pack);
    await packs.sync();
    await packs.close();

    const counting = faultyFiles(nodeDisk, () => undefined);
    const store = await openCollector(place.dir, world.ports({ files: counting }));
    try {
      const vault = store.vault(world.descriptor.vaultId);
      if (vault === undefined) throw new Error('no vault');
      const flushed = async (run: () => Promise<unknown>) => {
        const from = counting.steps.length;
        await run();
        return counting.steps
          .slice(from)
          .flatMap(({ operation, path }) => (/sync/.test(operation) ? [path] : []));
      };
      const built = other.build(other.small(small).map(({ draft }) => draft));
      const commit = () => vault.intake.commit(other.agentId, built.bytes, world.clock.now);
      expect(await commit()).toEqual({ type: 'missing', ids: [slab.id] });
      expect(await flushed(() => vault.intake.putChunks(agent.lineageId, [slab]))).toEqual([]);
      const paths = await flushed(async () =>
        expect(await commit()).toMatchObject({ type: 'accepted' }),
      );
      expect(paths).toMatchObject(
        [/\.pack$/, /\.history$/].map((end) => expect.stringMatching(end)),
      );
    } finally {
      await store.close();
    }
  });
});
