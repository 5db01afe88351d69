import { appendFileSync, cpSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { withoutVersions } from '@aliquot/shared/commit/loss';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { catalogIn, catalogRows, endsOnDisk, fileOf } from '../../../testing/store/copies.ts';
import {
  check,
  codes,
  forgetDurable,
  lab,
  openWhole,
  recordAt,
  spoil,
} from '../../../testing/store/fsck-lab.ts';
import { readOne } from '../../../testing/store/read-one.ts';
import { content } from '../../../testing/store/world.ts';
import { keys } from '../catalog/catalog-keys.ts';
import { CatalogChange } from '../catalog/catalog-store.ts';
import type { Finding } from '../fsck-finding.ts';
import { fsckCollector } from './fsck.ts';

describe('fsck of a collector', () => {
  test('finds nothing where a collector that runs removes a pack that it has copied, while it is read', async () => {
    const place = await lab(4096);
    const { agent, world } = place;
    const first = await recordAt(place.vaultDir, 'chunk');
    for (const byte of [60, 70, 80]) await spoil(first.path, first.at + byte);
    const store = await openWhole(place.dir, world.ports({ packBytes: 4096 }));
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    const items = agent.file('/d/a', [content('a'), content('b')]).items;
    // What has rotted is sent again, so its first copy is dead, and so is its place.
    for (const { id } of items) await readOne(vault, id);
    await vault.intake.putChunks(agent.lineageId, items);
    await vault.intake.sync();
    let removed = 0;
    const files = {
      ...nodeDisk,
      open: async (...of: Parameters<typeof nodeDisk.open>) => {
        if (of[0].toString() === first.path && removed === 0)
          removed = (await vault.data.rewrite({ all: true })).removedPacks;
        return nodeDisk.open(...of);
      },
    };
    const findings: Finding[] = [];
    const onFinding = (finding: Finding) => void findings.push(finding);
    await fsckCollector(place.dir, { ...world.ports({ files, packBytes: 4096 }), onFinding });
    expect(removed).toBeGreaterThan(0);
    expect(codes(findings)).toEqual(['catalog-not-compared']);
    await store.close();
  });

  for (const packBytes of [undefined, 4096]) {
    test(`I-C2 finds nothing in a sound folder (packs of ${packBytes ?? 'full'} size)`, async () => {
      const place = await lab(packBytes);
      expect(await check(place)).toEqual({ findings: [], faults: 0 });
    });
  }

  test('I-C2 I-C12 branches held apart, merged and named prove themselves, and a rebuild gives the same catalog', async () => {
    const place = await lab(4096);
    const store = await openWhole(place.dir, place.world.ports());
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    const { agent } = place;
    const copies = [agent.copy(), agent.copy()];
    await agent.back(vault, [agent.file('/d/new', [content('new')])]);
    for (const [turn, copy] of copies.entries()) {
      await copy.back(vault, [copy.file('/d/a', [content(`copy ${turn}`)]), copy.gone('/d/c')]);
      copy.fork();
      await copy.back(vault, [copy.file(`/d/${turn}`, [content(`more ${turn}`)])]);
      const branchId = vault.register
        .agentById(agent.agentId)
        ?.histories.find(({ state }) => state === 'held')?.branchId;
      if (branchId === undefined) throw new Error('nothing is held apart');
      const said =
        turn === 0
          ? ({ decision: 'clone', name: 'hplc-9' } as const)
          : ({ decision: 'restored', name: '' } as const);
      await vault.events.append({
        type: 'forkDecided',
        timeMs: 1,
        agentId: agent.agentId,
        branchId,
        ...said,
      });
      await copy.back(vault, [copy.directory(`/${turn}`)]);
    }
    await vault.sweep.announceGcEpoch(agent.lineageId, place.world.clock.now);
    await vault.events.append({ type: 'problemsAcknowledged', timeMs: 1, agentId: agent.agentId });
    await store.close();
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    const live = await catalogRows(place.vaultDir);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await (await openWhole(place.dir, place.world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(live);
  });

  test('I-C2 I-C5 where the catalog is gone, what was durable stays known', async () => {
    const place = await lab();
    const live = await catalogRows(place.vaultDir);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    const { history } = endsOnDisk(place.vaultDir);
    const file = fileOf(place.vaultDir, 'history', history.file);
    cpSync(file, join(place.dir, 'whole'));
    truncateSync(file, history.offset - 5);
    for (let turn = 0; turn < 2; turn += 1)
      await expect(openWhole(place.dir, place.world.ports())).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
      });
    cpSync(join(place.dir, 'whole'), file);
    await (await openWhole(place.dir, place.world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(live);
  });

  test('a torn tail of the history is no fault, and the next start cuts it', async () => {
    const place = await lab();
    const { history } = endsOnDisk(place.vaultDir);
    forgetDurable(place);
    truncateSync(fileOf(place.vaultDir, 'history', history.file), history.offset - 5);
    const { findings } = await check(place);
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['torn-tail', 'info'],
      ['catalog-broken', 'warning'],
    ]);
    const store = await openWhole(place.dir, place.world.ports());
    expect(store.vaults()[0]?.figures.stats().commits).toBe(2);
    await store.close();
    expect((await check(place)).findings).toEqual([]);
  });

  test('a history that lost its end is refused at start, and accepted only by a repair', async () => {
    const place = await lab();
    const { history } = endsOnDisk(place.vaultDir);
    truncateSync(fileOf(place.vaultDir, 'history', history.file), history.offset - 5);
    await expect(openWhole(place.dir, place.world.ports())).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: /00000001\.history/,
    });
    expect(codes((await check(place)).findings)).toEqual(['history-short']);
    expect(codes((await check(place, true)).findings)).toEqual(['history-short', 'repaired']);
    expect((await check(place)).findings).toEqual([]);
    await (await openWhole(place.dir, place.world.ports())).close();
  });

  test.each([false, true])(
    'I-C5 P1 a broken last record that was durable is no torn tail, and nobody cuts it (repair: %s)',
    async (repair) => {
      const place = await lab();
      const ends = endsOnDisk(place.vaultDir);
      const { path, at } = await recordAt(place.vaultDir, 'commit', 2);
      for (const within of [200, 201]) await spoil(path, at + within);
      expect((await check(place, repair)).findings).toMatchObject([
        { code: 'record-broken', what: 'a commit that was durable is broken' },
      ]);
      expect(endsOnDisk(place.vaultDir)).toEqual(ends);
    },
  );

  test.each(['the only file', 'the newest file'])(
    'P1 a repair does not make an empty store where %s of the history is missing',
    async (which) => {
      const place = await lab(which === 'the only file' ? undefined : 4096);
      const { history } = endsOnDisk(place.vaultDir);
      rmSync(fileOf(place.vaultDir, 'history', history.file));
      for (const repair of [false, true])
        expect(codes((await check(place, repair)).findings)).toEqual(['history-missing']);
      await expect(openWhole(place.dir, place.world.ports())).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
      });
    },
  );

  test('I-C2 a catalog that says something else is found, and built anew by a repair', async () => {
    const place = await lab();
    const before = await catalogRows(place.vaultDir);
    const catalog = await catalogIn(place.vaultDir, 'change');
    const change = new CatalogChange(catalog);
    change.del(keys.leaf(2));
    change.put(keys.item(content('planted', 32)), Buffer.from('00', 'hex'));
    change.commit();
    await catalog.flush();
    await catalog.close();
    const { findings } = await check(place);
    expect(codes(findings)).toEqual(['catalog-differs']);
    expect(findings[0]?.what).toContain('1 rows are missing, 1 too many, 0 differ');
    expect(codes((await check(place, true)).findings)).toEqual(['catalog-differs', 'repaired']);
    expect((await check(place)).findings).toEqual([]);
    expect(await catalogRows(place.vaultDir)).toEqual(before);
  });

  test('a ruined Level is rebuilt at start from the packs', async () => {
    const place = await lab();
    const before = await catalogRows(place.vaultDir);
    const folder = join(place.vaultDir, 'catalog');
    for (const name of readdirSync(folder))
      if (/^(MANIFEST|CURRENT)/.test(name)) truncateSync(join(folder, name), 3);
    expect(codes((await check(place)).findings)).toEqual(['catalog-broken']);
    await (await openWhole(place.dir, place.world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(before);
  });

  test('a folder in use is read, the catalog left out, and repair refused', async () => {
    const place = await lab();
    const store = await openWhole(place.dir, place.world.ports());
    const { findings, faults } = await check(place);
    expect(codes(findings)).toEqual(['catalog-not-compared']);
    expect(faults).toBe(0);
    await expect(check(place, true)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    await store.close();
  });

  test('P6 in a folder in use, damage in the last synced group is damage and no torn tail', async () => {
    const place = await lab();
    const store = await openWhole(place.dir, place.world.ports());
    const chunk = await recordAt(place.vaultDir, 'chunk', 42); // "c", of the last commit
    await spoil(chunk.path, chunk.at + 60);
    const { findings, faults } = await check(place);
    expect(codes(findings)).toEqual(['catalog-not-compared', 'item-damaged', 'version-damaged']);
    expect(faults).toBe(2);
    const commit = await recordAt(place.vaultDir, 'commit', 2);
    for (const within of [200, 201]) await spoil(commit.path, commit.at + within);
    expect((await check(place)).findings).toContainEqual(
      expect.objectContaining({
        code: 'record-broken',
        what: 'a commit that was durable is broken',
      }),
    );
    await store.close();
  });

  test('in a folder in use, a record that is not there whole may be under way: told, and no fault', async () => {
    const place = await lab();
    const store = await openWhole(place.dir, place.world.ports());
    const { history } = endsOnDisk(place.vaultDir);
    appendFileSync(fileOf(place.vaultDir, 'history', history.file), 'half a header');
    const { findings, faults } = await check(place);
    expect(findings[0]).toMatchObject({
      code: 'torn-tail',
      severity: 'info',
      remedy: expect.stringContaining('run fsck again'),
    });
    expect(faults).toBe(0);
    await store.close();
  });

  test.each([false, true])(
    'P1 a damaged chunk of the last group costs no commit when the collector is stopped (repair: %s)',
    async (repair) => {
      const place = await lab();
      const size = endsOnDisk(place.vaultDir);
      const { path, at } = await recordAt(place.vaultDir, 'chunk', 42);
      await spoil(path, at + 60);
      expect(codes((await check(place, repair)).findings)).toEqual([
        'item-damaged',
        'version-damaged',
      ]);
      expect(endsOnDisk(place.vaultDir)).toEqual(size);
    },
  );

  test('a torn tail with sound records in it is a warning, as nobody can tell it from damage', async () => {
    const place = await lab();
    forgetDurable(place);
    // the commit stands behind it
    const { path, at } = await recordAt(place.vaultDir, 'uploads', 2);
    await spoil(path, at + 60);
    const { findings } = await check(place);
    expect(findings[0]).toMatchObject({
      code: 'torn-tail',
      severity: 'warning',
      remedy: expect.stringContaining('receipts may cover'),
    });
  });

  test('P5 I-C2 takes a commit that came back after a rollback without what is lost; a rebuild gives the same catalog', async () => {
    const place = await lab();
    const store = await openWhole(place.dir, place.world.ports());
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    const { agent, world } = place;
    const early = agent.build([
      agent.file('/d/lost', [content('lost')]).draft,
      agent.directory('/d/kept'),
    ]);
    await vault.events.append(
      world.opening(2, vault.log.treeHead(), [
        { logEpoch: 1, size: 99, root: content('lost root', 32) },
      ]),
    );
    expect(
      await vault.intake.commit(
        agent.agentId,
        withoutVersions(early.bytes, [0], agent.signKey),
        world.clock.now,
      ),
    ).toMatchObject({ type: 'accepted' });
    await store.close();
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    const before = await catalogRows(place.vaultDir);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await (await openWhole(place.dir, world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(before);
  });

  test('P5 a folder put back to an older state still proves itself, and its heads tell', async () => {
    const place = await lab();
    const older = join(temporaryFolder(), 'older');
    cpSync(place.dir, older, { recursive: true });
    let store = await openWhole(place.dir, place.world.ports());
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    await place.agent.back(vault, [place.agent.directory('/d/new')]);
    const head = vault.log.treeHead();
    await store.close();
    store = await openWhole(older, place.world.ports());
    expect(await store.vaults()[0]?.log.judgeHead(head)).toBe('ahead');
    await store.close();
    expect((await check({ ...place, dir: older })).findings).toEqual([]);
  });
});
