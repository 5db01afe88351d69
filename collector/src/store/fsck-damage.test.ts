import { readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSignedCommit, type Signed } from '@aliquot/proto';
import { lostCommit, withoutVersions } from '@aliquot/shared/commit/loss';
import { readCommit } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { describe, expect, test } from 'vitest';
import { catalogRows, endsOnDisk, fileOf, filesIn } from '../../testing/store/copies.ts';
import {
  check,
  codes,
  emptyLab,
  type FsckLab,
  forgetDurable,
  lab,
  openWhole,
  recordAt,
  sizes,
  spoil,
} from '../../testing/store/fsck-lab.ts';
import { heldBytes, readOne } from '../../testing/store/read-one.ts';
import { content } from '../../testing/store/world.ts';
import type { UnfitRecord } from './errors.ts';
import type { LostCommit } from './vault-records.ts';

const kinds = ['chunk', 'page', 'uploads', 'commit', 'event', 'references', 'chunk'] as const;

/** The commits of the lab's agent with their receipts, in order. */
async function leavesOf({ dir, world }: FsckLab) {
  const store = await openWhole(dir, world.ports());
  const [vault] = store.vaults();
  const size = vault?.log.treeHead().size ?? 0;
  const found: { readonly commit: Uint8Array; readonly receipt: Signed }[] = [];
  for (let leaf = 0; leaf < size; leaf += 1) {
    const record = (await vault?.log.leafAt(leaf))?.record;
    if (record?.type === 'commit') found.push(record);
  }
  await store.close();
  return found;
}

describe('fsck of a damaged vault', () => {
  test.each(sizes)(
    'P6 names a damaged chunk and every version that needs it, and deletes nothing (packs of %s)',
    async (_, packBytes) => {
      const place = await lab(packBytes);
      const { path, at } = await recordAt(place.vaultDir, 'chunk', 1);
      await spoil(path, at + 60); // chunk "b": in two files
      const size = endsOnDisk(place.vaultDir);
      const { findings, faults } = await check(place, true);
      expect(codes(findings)).toEqual(['item-damaged', 'version-damaged', 'version-damaged']);
      expect(faults).toBe(3);
      expect(findings[1]?.where).toContain(`agent hplc-1, file ${hex(place.agent.fileId('/d/a'))}`);
      expect(endsOnDisk(place.vaultDir)).toEqual(size);
    },
  );

  test('I-C5 P1 damage in the last group is not cut as a torn tail when the catalog is broken too', async () => {
    const place = await lab();
    const ends = endsOnDisk(place.vaultDir);
    const file = fileOf(place.vaultDir, 'history', ends.history.file);
    for (const breakCatalog of [
      () => truncateSync(join(place.vaultDir, 'catalog', 'CURRENT'), 3),
      () => rmSync(join(place.vaultDir, 'catalog'), { recursive: true }),
    ]) {
      breakCatalog();
      // Two bits: one alone is mended. They are of the receipt, which is all that would be left.
      for (const back of [5, 150]) await spoil(file, ends.history.offset - back);
      expect(codes((await check(place, true)).findings)).toContain('record-broken');
      await expect(openWhole(place.dir, place.world.ports())).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
      });
      expect(endsOnDisk(place.vaultDir)).toEqual(ends);
      for (const back of [5, 150]) await spoil(file, ends.history.offset - back); // mends it
    }
    await (await openWhole(place.dir, place.world.ports())).close();
    expect((await check(place)).findings).toEqual([]);
  });

  test.each(sizes)(
    'P1 P6 a rotten byte in any header is read around: at start, in a rebuild, in a read and in fsck (packs of %s)',
    async (_, packBytes) => {
      const place = await lab(packBytes);
      const live = await catalogRows(place.vaultDir);
      // Every part of a header, and every kind of record: magic, kind, length, what was synced, id,
      // checksum.
      for (const [turn, within] of [0, 5, 10, 13, 20, 47, 50].entries()) {
        const kind = kinds[turn] ?? 'chunk';
        const { path, at } = await recordAt(place.vaultDir, kind);
        await spoil(path, at + within);
        if (turn % 2 === 0) rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
        const store = await openWhole(place.dir, place.world.ports());
        const [vault] = store.vaults();
        if (vault === undefined) throw new Error('no vault');
        const records = [];
        for await (const record of vault.reading.state(place.agent.lineageId, undefined))
          records.push(record);
        expect(records.length).toBeGreaterThan(0);
        const ids = place.agent.file('/d/a', [content('a')]).items.map((item) => item.id);
        for await (const item of vault.reading.readItems(ids)) expect(item.type).toBe('item');
        for await (const run of vault.reading.readRuns(ids)) expect(run.type).toBe('run');
        await store.close();
        expect(await catalogRows(place.vaultDir)).toEqual(live);
        expect((await check(place)).findings).toMatchObject([
          {
            code: 'header-damaged',
            severity: 'warning',
            where: expect.stringContaining(`byte ${at}`),
          },
        ]);
        await spoil(path, at + within); // mends it
      }
      expect((await check(place)).findings).toEqual([]);
    },
  );

  test.each(sizes)(
    'P6 names the versions behind a damaged page (packs of %s)',
    async (_, packBytes) => {
      const place = await lab(packBytes);
      const { path, at } = await recordAt(place.vaultDir, 'page');
      await spoil(path, at + 60);
      expect(codes((await check(place)).findings)).toEqual(['item-damaged', 'version-damaged']);
    },
  );

  test('a damaged chunk is asked for again, stored anew, and then only a warning', async () => {
    const place = await lab();
    const { path, at } = await recordAt(place.vaultDir, 'chunk');
    await spoil(path, at + 60);
    const store = await openWhole(place.dir, place.world.ports());
    const [vault] = store.vaults();
    const file = place.agent.file('/d/again', [content('a')]);
    const ids = file.items.map((item) => item.id);
    if (vault === undefined || ids[0] === undefined) throw new Error('no vault');
    expect(await readOne(vault, ids[0])).toMatchObject({ type: 'damaged' });
    expect(await vault.intake.has(place.agent.lineageId, ids)).toEqual([false]);
    await place.agent.back(vault, [file]);
    expect((await heldBytes(vault, ids[0])).length).toBeGreaterThan(0);
    expect(vault.figures.stats().damaged).toBe(0);
    await store.close();
    const { findings } = await check(place);
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['item-damaged', 'warning'],
    ]);
  });

  test.each(sizes)(
    'P1 P5 P6 a broken commit costs its own versions, is named, and comes again from its agent (packs of %s)',
    async (_, packBytes) => {
      for (const isCatalogGone of [false, true]) {
        const place = await lab(packBytes);
        const sent = await leavesOf(place);
        const { path, at } = await recordAt(place.vaultDir, 'commit', 1);
        const sound = readFileSync(path);
        await spoil(path, at + 100);
        // One bit is mended.
        expect((await check(place)).findings).toMatchObject([
          { code: 'header-damaged', severity: 'warning' },
        ]);
        await spoil(path, at + 101);
        if (isCatalogGone) rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
        expect(codes((await check(place)).findings)).toContain('record-broken');
        const told: UnfitRecord[] = [];
        const onUnfit = (record: UnfitRecord) => void told.push(record);
        const store = await openWhole(place.dir, place.world.ports({ onUnfit }));
        const [vault] = store.vaults();
        if (vault === undefined) throw new Error('no vault');
        expect(told.map(({ type }) => type)).toEqual(isCatalogGone ? ['record'] : []);
        const { agentId, lineageId, chainId } = place.agent;
        const listed = async () => {
          const lost: LostCommit[] = [];
          const sequences: number[] = [];
          const records = vault.reading.everyVersion(lineageId, (one) => void lost.push(one));
          for await (const { commit } of records)
            sequences.push(readCommit(commit).header.sequence);
          return { sequences: sequences.sort(), lost: lost.map(({ sequence }) => sequence) };
        };
        expect(await listed()).toEqual({ sequences: [1, 3], lost: [2] });
        const unheard = async () => {
          for await (const _ of vault.reading.everyVersion(lineageId));
        };
        await expect(unheard()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
        // Its agent is told that the chain ends before it, and sends from there again.
        expect((await vault.intake.chainHead(agentId, chainId))?.sequence).toBe(1);
        for (const { commit, receipt } of sent.slice(1))
          expect(await vault.intake.commit(agentId, commit, place.world.clock.now)).toMatchObject({
            ...{ type: 'accepted', repeated: true, receipt },
          });
        expect((await vault.intake.chainHead(agentId, chainId))?.sequence).toBe(3);
        expect(await listed()).toEqual({ sequences: [1, 2, 3], lost: [] });
        await store.close();
        const [mended, before] = [readFileSync(path), sound];
        // But for how much was durable when it was written, with its checksum.
        expect(mended.subarray(at + 52)).toEqual(before.subarray(at + 52));
        expect(await check(place)).toEqual({ findings: [], faults: 0 });
      }
    },
  );

  test('P5 P6 a broken commit gets the receipt that it got, whatever its agent says of it since', async () => {
    const place = await lab();
    const { agent, world } = place;
    const third = (await leavesOf(place))[2];
    if (third === undefined) throw new Error('no third commit');
    const { path, at } = await recordAt(place.vaultDir, 'commit', 2);
    const sound = readFileSync(path);
    for (const [bytes, isWhole] of [
      [lostCommit(decodeSignedCommit(third.commit), agent.signKey), false],
      [withoutVersions(third.commit, [1], agent.signKey), true],
    ] as const) {
      for (const within of [100, 101]) await spoil(path, at + within);
      const store = await openWhole(place.dir, world.ports());
      const vault = store.vaults()[0];
      expect(await vault?.intake.commit(agent.agentId, bytes, world.clock.now)).toMatchObject({
        ...{ type: 'accepted', repeated: true, receipt: third.receipt, lacking: [] },
      });
      await store.close();
      // What its agent has of it is written again, as it was.
      const now = readFileSync(path);
      expect(now.subarray(at + 52).equals(sound.subarray(at + 52))).toBe(isWhole);
      if (!isWhole) for (const within of [100, 101]) await spoil(path, at + within); // mends it
    }
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });

  test('P5 P6 of a broken commit that came with a loss nothing else is signed', async () => {
    const place = await emptyLab();
    const { agent, world } = place;
    const file = agent.file('/d/kept', [content('kept')]);
    const { bytes } = agent.build([agent.directory('/d'), agent.directory('/e'), file.draft]);
    const without = (...slots: number[]) => withoutVersions(bytes, slots, agent.signKey);
    const submit = async (commit: Uint8Array) => {
      const store = await openWhole(place.dir, world.ports());
      const vault = store.vaults()[0];
      try {
        await vault?.intake.putChunks(agent.lineageId, file.items);
        return await vault?.intake.commit(agent.agentId, commit, world.clock.now);
      } finally {
        await store.close();
      }
    };
    const outcome = await submit(without(0));
    expect(outcome).toMatchObject({ type: 'accepted', lacking: [0] });
    const { path, at } = await recordAt(place.vaultDir, 'commit');
    for (const within of [100, 101]) await spoil(path, at + within);
    for (const other of [bytes, without(0, 1)])
      await expect(submit(other)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(await submit(without(0))).toEqual({ ...outcome, repeated: true, addedBytes: 0 });
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
  });

  test('P6 I-C6 a history file that a crash took before its header was whole is a torn tail, and nothing else is wrong', async () => {
    const place = await lab(4096);
    const newest = filesIn(place.vaultDir, 'history').at(-1) ?? 0;
    expect(newest).toBeGreaterThan(1);
    for (const [file, rest] of [
      [newest, 20],
      [1, 20],
    ] as const) {
      for (const number of filesIn(place.vaultDir, 'history'))
        if (number > file) rmSync(fileOf(place.vaultDir, 'history', number));
      truncateSync(fileOf(place.vaultDir, 'history', file), rest);
      forgetDurable(place);
      const { findings } = await check(place);
      expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
      const store = await openWhole(place.dir, place.world.ports());
      await store.close();
    }
  });
});
