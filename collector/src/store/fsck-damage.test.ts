import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { describe, expect, test } from 'vitest';
import { catalogRows, endsOnDisk, fileOf, filesIn } from '../../testing/store/copies.ts';
import {
  check,
  codes,
  forgetDurable,
  lab,
  recordAt,
  sizes,
  spoil,
} from '../../testing/store/fsck-lab.ts';
import { heldBytes, readOne } from '../../testing/store/read-one.ts';
import { content } from '../../testing/store/world.ts';
import { openCollector } from './collector.ts';

const kinds = ['chunk', 'page', 'uploads', 'commit', 'event', 'references', 'chunk'] as const;

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
      await spoil(file, ends.history.offset - 5);
      expect(codes((await check(place, true)).findings)).toContain('record-broken');
      await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
      });
      expect(endsOnDisk(place.vaultDir)).toEqual(ends);
      await spoil(file, ends.history.offset - 5); // mends it
    }
    await (await openCollector(place.dir, place.world.ports())).close();
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
        const store = await openCollector(place.dir, place.world.ports());
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
    const store = await openCollector(place.dir, place.world.ports());
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
    'P5 a changed commit is a broken record, at start and in fsck (packs of %s)',
    async (_, packBytes) => {
      const place = await lab(packBytes);
      const { path, at } = await recordAt(place.vaultDir, 'commit');
      await spoil(path, at + 100);
      rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
      expect(codes((await check(place)).findings)).toContain('record-broken');
      await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
      });
    },
  );

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
      const store = await openCollector(place.dir, place.world.ports());
      await store.close();
    }
  });
});
