import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { Level } from 'level';
import { describe, expect, test } from 'vitest';
import { Catalog } from './catalog.ts';
import { keys } from './catalog-keys.ts';
import { initCollector, openCollector } from './collector.ts';
import { type Finding, fsckCollector } from './fsck.ts';
import { decodeFooter, decodeIndex, encodeRecordHeader, FOOTER_BYTES, RECORD_HEADER_BYTES } from './record.ts';
import { boundaries, catalogRows, endOnDisk } from './testing/copies.ts';
import { content, type TestAgent, World, without } from './testing/world.ts';

interface Lab {
  readonly world: World;
  readonly dir: string;
  readonly vaultDir: string;
  readonly agent: TestAgent;
}

/** A collector with one vault, one agent, three commits, closed. */
async function lab(packBytes?: number): Promise<Lab> {
  const world = new World('fsck', { blind: true });
  const dir = join(temporaryFolder(), 'collector');
  const ports = packBytes === undefined ? world.ports() : world.ports({ packBytes });
  const store = await initCollector(dir, { name: 'freezer' }, ports);
  const parts = { descriptor: world.kit.descriptor, certificate: world.certificateFor(store.identity), catalogSecretKey: undefined };
  const vault = await store.addVault(parts);
  const agent = await world.agent(vault, 'hplc-1');
  await agent.back(vault, [agent.file('/d/a', [content('a'), content('b')])]);
  await agent.back(vault, [
    agent.file(
      '/d/big',
      Array.from({ length: 40 }, (_, index) => content(`part ${index}`, 200)),
    ),
  ]);
  await agent.back(vault, [agent.gone('/d/a'), agent.file('/d/c', [content('b'), content('c')])]);
  await store.close();
  return { world, dir, vaultDir: join(dir, 'vaults', hex(world.descriptor.vaultId)), agent };
}

async function check({ world, dir }: Lab, repair = false): Promise<{ findings: Finding[]; faults: number }> {
  const findings: Finding[] = [];
  const { faults } = await fsckCollector(dir, { ...world.ports(), repair, onFinding: (finding) => findings.push(finding) });
  return { findings, faults };
}

const codes = (findings: readonly Finding[]) => findings.map((finding) => finding.code);

async function spoil(path: string, offset: number): Promise<void> {
  const file = await nodeFiles.open(path, 'update');
  const byte = new Uint8Array(1);
  await file.read(byte, offset);
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 1), offset);
  await file.close();
}

/** The pack, and where in it the record of this kind number with this ordinal begins. */
async function recordAt(vaultDir: string, kind: number, ordinal = 0): Promise<{ path: string; at: number }> {
  let seen = 0;
  for (const { pack, offset } of await boundaries(nodeFiles, vaultDir)) {
    const path = join(vaultDir, 'packs', `0000000${pack}.pack`);
    const file = await nodeFiles.open(path, 'read');
    const head = new Uint8Array(6);
    await file.read(head, offset);
    await file.close();
    if (Buffer.from(head.subarray(0, 4)).toString() !== 'ALQR' || head[5] !== kind) continue;
    if (seen === ordinal) return { path, at: offset };
    seen += 1;
  }
  throw new Error('no such record');
}

/** As after a crash: nothing says how far the packs were durable. */
function forgetDurable({ vaultDir }: Lab): void {
  rmSync(join(vaultDir, 'catalog'), { recursive: true });
  rmSync(join(vaultDir, 'durable.json'));
}

/** Changes a byte of the row of a chunk in the index of the first pack, and all that proves the index, as its maker might have. */
async function changeIndex({ vaultDir }: Lab, within: number): Promise<void> {
  const path = join(vaultDir, 'packs', '00000001.pack');
  const bytes = readFileSync(path);
  const salt = bytes.readUInt32BE(28);
  const at = decodeFooter(bytes.subarray(-FOOTER_BYTES), 1, salt)?.indexOffset ?? 0;
  const payload = bytes.subarray(at + RECORD_HEADER_BYTES, bytes.length - FOOTER_BYTES);
  const row = 4 + 41 * (decodeIndex(payload)?.findIndex(({ kind }) => kind === 'chunk') ?? 0);
  payload[row + within] = (payload[row + within] ?? 0) ^ 1;
  bytes.set(encodeRecordHeader({ kind: 'index', length: payload.length, syncedTo: at, id: sha256(payload) }, salt), at);
  writeFileSync(path, bytes);
}

/** Packs that are never closed, and such of which all but the last are. */
const SIZES: readonly (readonly [string, number | undefined])[] = [
  ['full size', undefined],
  ['4096 bytes', 4096],
];

describe('fsck of a collector', () => {
  for (const packBytes of [undefined, 4096]) {
    test(`I-C2 finds nothing in a sound folder (packs of ${packBytes ?? 'full'} size)`, async () => {
      const place = await lab(packBytes);
      expect(await check(place)).toEqual({ findings: [], faults: 0 });
    });
  }

  test('I-C2 I-C12 histories held apart, merged and named prove themselves, and a rebuild gives the same catalog', async () => {
    const place = await lab(4096);
    const store = await openCollector(place.dir, place.world.ports());
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    const { agent } = place;
    const copies = [agent.copy(), agent.copy()];
    await agent.back(vault, [agent.file('/d/new', [content('new')])]);
    for (const [turn, copy] of copies.entries()) {
      await copy.back(vault, [copy.file('/d/a', [content(`copy ${turn}`)]), copy.gone('/d/c')]);
      copy.fork();
      await copy.back(vault, [copy.file(`/d/${turn}`, [content(`more ${turn}`)])]);
      const historyId = vault.agentById(agent.agentId)?.histories.find(({ state }) => state === 'held')?.historyId;
      if (historyId === undefined) throw new Error('nothing is held apart');
      const said = turn === 0 ? ({ decision: 'clone', name: 'hplc-9' } as const) : ({ decision: 'restored', name: '' } as const);
      await vault.appendEvent({ type: 'forkDecided', timeMs: 1, agentId: agent.agentId, historyId, ...said });
      await copy.back(vault, [copy.directory(`/${turn}`)]);
    }
    await vault.announceGcEpoch(place.world.clock.now);
    await vault.appendEvent({ type: 'problemsAcknowledged', timeMs: 1, agentId: agent.agentId });
    await store.close();
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    const live = await catalogRows(place.vaultDir);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await (await openCollector(place.dir, place.world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(live);
  });

  test('I-C2 I-C5 a catalog of an earlier release is built anew at start, and what was durable stays known', async () => {
    const place = await lab();
    const live = await catalogRows(place.vaultDir);
    const folder = join(place.vaultDir, 'catalog');
    rmSync(join(place.vaultDir, 'durable.json'));
    const level = new Level<Buffer, Buffer>(folder, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    await level.put(keys.version, Buffer.from([0, 0, 0, 1]));
    await level.del(keys.durable); // not written by earlier releases
    await level.close();
    const end = endOnDisk(place.vaultDir);
    const pack = join(place.vaultDir, 'packs', '00000001.pack');
    cpSync(pack, join(place.dir, 'whole.pack'));
    truncateSync(pack, end.offset - 5);
    await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    cpSync(join(place.dir, 'whole.pack'), pack);
    await (await openCollector(place.dir, place.world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(live);
  });

  test.each(SIZES)('P6 names a damaged chunk and every version that needs it, and deletes nothing (packs of %s)', async (_, packBytes) => {
    const place = await lab(packBytes);
    const { path, at } = await recordAt(place.vaultDir, 1, 1);
    await spoil(path, at + 60); // chunk "b": in two files
    const size = endOnDisk(place.vaultDir);
    const { findings, faults } = await check(place, true);
    expect(codes(findings)).toEqual(['item-damaged', 'version-damaged', 'version-damaged']);
    expect(faults).toBe(3);
    expect(findings[1]?.where).toContain(`agent hplc-1, file ${hex(place.agent.fileId('/d/a'))}`);
    expect(endOnDisk(place.vaultDir)).toEqual(size);
  });

  test('I-C5 P1 damage in the last group is not cut as a torn tail when the catalog is broken too', async () => {
    const place = await lab();
    const end = endOnDisk(place.vaultDir);
    for (const breakCatalog of [
      () => truncateSync(join(place.vaultDir, 'catalog', 'CURRENT'), 3),
      () => rmSync(join(place.vaultDir, 'catalog'), { recursive: true }),
    ]) {
      breakCatalog();
      await spoil(join(place.vaultDir, 'packs', '00000001.pack'), end.offset - 5);
      expect(codes((await check(place, true)).findings)).toContain('record-broken');
      await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
      expect(endOnDisk(place.vaultDir)).toEqual(end);
      await spoil(join(place.vaultDir, 'packs', '00000001.pack'), end.offset - 5); // mends it
    }
    await (await openCollector(place.dir, place.world.ports())).close();
    expect((await check(place)).findings).toEqual([]);
  });

  test.each(SIZES)(
    'P1 P6 a rotten byte in any header is read around: at start, in a rebuild, in a read and in fsck (packs of %s)',
    async (_, packBytes) => {
      const place = await lab(packBytes);
      const live = await catalogRows(place.vaultDir);
      // Every part of a header, and every kind of record: magic, kind, length, what was synced, id, checksum.
      for (const [turn, within] of [0, 5, 10, 13, 20, 47, 50].entries()) {
        const kind = [1, 2, 3, 4, 5, 4, 1][turn] ?? 1;
        const { path, at } = await recordAt(place.vaultDir, kind);
        await spoil(path, at + within);
        if (turn % 2 === 0) rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
        const store = await openCollector(place.dir, place.world.ports());
        const [vault] = store.vaults();
        if (vault === undefined) throw new Error('no vault');
        const records = [];
        for await (const record of vault.state(place.agent.lineageId, undefined)) records.push(record);
        expect(records.length).toBeGreaterThan(0);
        const ids = place.agent.file('/d/a', [content('a')]).items.map((item) => item.id);
        for await (const item of vault.readItems(ids)) expect(item.type).toBe('item');
        for await (const run of vault.readRuns(ids)) expect(run.type).toBe('run');
        await store.close();
        expect(await catalogRows(place.vaultDir)).toEqual(live);
        expect((await check(place)).findings).toMatchObject([
          { code: 'header-damaged', severity: 'warning', where: expect.stringContaining(`byte ${at}`) },
        ]);
        await spoil(path, at + within); // mends it
      }
      expect((await check(place)).findings).toEqual([]);
    },
  );

  test.each(SIZES)('P6 names the versions behind a damaged page (packs of %s)', async (_, packBytes) => {
    const place = await lab(packBytes);
    const { path, at } = await recordAt(place.vaultDir, 2);
    await spoil(path, at + 60);
    expect(codes((await check(place)).findings)).toEqual(['catalog-not-compared', 'item-damaged', 'version-damaged']);
  });

  test('a damaged chunk is asked for again, stored anew, and then only a warning', async () => {
    const place = await lab();
    const { path, at } = await recordAt(place.vaultDir, 1);
    await spoil(path, at + 60);
    const store = await openCollector(place.dir, place.world.ports());
    const [vault] = store.vaults();
    const file = place.agent.file('/d/again', [content('a')]);
    const ids = file.items.map((item) => item.id);
    if (vault === undefined || ids[0] === undefined) throw new Error('no vault');
    await expect(vault.readItem(ids[0])).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(await vault.has(place.agent.lineageId, ids)).toEqual([false]);
    await place.agent.back(vault, [file]);
    expect((await vault.readItem(ids[0]))?.bytes.length).toBeGreaterThan(0);
    expect(vault.stats().damaged).toBe(0);
    await store.close();
    const { findings } = await check(place);
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([['item-damaged', 'warning']]);
  });

  test.each(SIZES)('P5 a changed commit is a broken record, at start and in fsck (packs of %s)', async (_, packBytes) => {
    const place = await lab(packBytes);
    const { path, at } = await recordAt(place.vaultDir, 4);
    await spoil(path, at + 100);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    expect(codes((await check(place)).findings)).toContain('record-broken');
    await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  });

  test('I-C2 an index that names another chunk is told, and a repair builds the catalog from the records', async () => {
    const place = await lab(4096);
    await changeIndex(place, 9 + 31); // the last byte of an id
    expect(codes((await check(place)).findings)).toEqual(['pack-index']);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await (await openCollector(place.dir, place.world.ports())).close(); // a start believes an index that is whole
    expect(codes((await check(place)).findings)).toEqual(['pack-index', 'catalog-differs']);
    expect(codes((await check(place, true)).findings)).toEqual(['pack-index', 'catalog-differs', 'repaired']);
    expect(codes((await check(place)).findings)).toEqual(['pack-index']);
  });

  test('I-C2 an index whose records do not lie end to end is told, and no start believes it', async () => {
    const place = await lab(4096);
    await changeIndex(place, 4); // the last byte of an offset
    expect(codes((await check(place)).findings)).toEqual(['pack-index']);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await (await openCollector(place.dir, place.world.ports())).close();
    expect(codes((await check(place)).findings)).toEqual(['pack-index']);
  });

  test('a missing pack is named', async () => {
    const place = await lab(4096);
    rmSync(join(place.vaultDir, 'packs', '00000002.pack'));
    const { findings } = await check(place);
    expect(findings).toMatchObject([{ code: 'pack-missing', what: expect.stringContaining('00000002.pack') }]);
  });

  test('a torn tail is no fault, and the next start cuts it', async () => {
    const place = await lab();
    const { offset } = endOnDisk(place.vaultDir);
    forgetDurable(place);
    truncateSync(join(place.vaultDir, 'packs', '00000001.pack'), offset - 5);
    const { findings } = await check(place);
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['torn-tail', 'info'],
      ['catalog-broken', 'warning'],
    ]);
    const store = await openCollector(place.dir, place.world.ports());
    expect(store.vaults()[0]?.stats().commits).toBe(2);
    await store.close();
    expect((await check(place)).findings).toEqual([]);
  });

  test('packs that lost their end are refused at start, and accepted only by a repair', async () => {
    const place = await lab();
    truncateSync(join(place.vaultDir, 'packs', '00000001.pack'), endOnDisk(place.vaultDir).offset - 5);
    await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({ code: 'STORE_CORRUPT', message: /lost its end/ });
    expect(codes((await check(place)).findings)).toEqual(['pack-short']);
    expect(codes((await check(place, true)).findings)).toEqual(['pack-short', 'repaired']);
    expect((await check(place)).findings).toEqual([]);
    await (await openCollector(place.dir, place.world.ports())).close();
  });

  test.each([false, true])(
    'I-C5 P1 a broken last record that was durable is no torn tail, and nobody cuts it (repair: %s)',
    async (repair) => {
      const place = await lab();
      const size = endOnDisk(place.vaultDir);
      await spoil(join(place.vaultDir, 'packs', '00000001.pack'), (await recordAt(place.vaultDir, 4, 2)).at + 200);
      expect((await check(place, repair)).findings).toMatchObject([{ code: 'record-broken', what: 'a commit that was durable is broken' }]);
      expect(endOnDisk(place.vaultDir)).toEqual(size);
      await (await openCollector(place.dir, place.world.ports())).close();
      expect(endOnDisk(place.vaultDir)).toEqual(size);
    },
  );

  test.each(['the only pack', 'the last pack'])('P1 a repair does not make an empty store where %s is missing', async (which) => {
    const place = await lab(which === 'the only pack' ? undefined : 4096);
    const last = String(endOnDisk(place.vaultDir).pack).padStart(8, '0');
    rmSync(join(place.vaultDir, 'packs', `${last}.pack`));
    for (const repair of [false, true]) expect(codes((await check(place, repair)).findings)).toEqual(['pack-missing']);
    await expect(openCollector(place.dir, place.world.ports())).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  });

  test('I-C2 a catalog that says something else is found, and built anew by a repair', async () => {
    const place = await lab();
    const before = await catalogRows(place.vaultDir);
    const catalog = await Catalog.open(nodeFiles, join(place.vaultDir, 'catalog'));
    const change = catalog.begin();
    change.del(keys.leaf(2));
    change.put(keys.item(content('planted', 32)), Buffer.from('00', 'hex'));
    change.commit(catalog.checkpoint ?? { pack: 1, offset: 0 });
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
    for (const name of readdirSync(folder)) if (/^(MANIFEST|CURRENT)/.test(name)) truncateSync(join(folder, name), 3);
    expect(codes((await check(place)).findings)).toEqual(['catalog-broken']);
    await (await openCollector(place.dir, place.world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(before);
  });

  test('a folder in use is read, the catalog left out, and repair refused', async () => {
    const place = await lab();
    const store = await openCollector(place.dir, place.world.ports());
    const { findings, faults } = await check(place);
    expect(codes(findings)).toEqual(['catalog-not-compared']);
    expect(faults).toBe(0);
    await expect(check(place, true)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    await store.close();
  });

  test('P6 in a folder in use, damage in the last synced group is damage and no torn tail', async () => {
    const place = await lab();
    const pack = join(place.vaultDir, 'packs', '00000001.pack');
    const store = await openCollector(place.dir, place.world.ports());
    await spoil(pack, (await recordAt(place.vaultDir, 1, 42)).at + 60); // chunk "c", of the last commit
    const { findings, faults } = await check(place);
    expect(codes(findings)).toEqual(['catalog-not-compared', 'item-damaged', 'version-damaged']);
    expect(faults).toBe(2);
    await spoil(pack, (await recordAt(place.vaultDir, 4, 2)).at + 200);
    expect((await check(place)).findings).toContainEqual(
      expect.objectContaining({ code: 'record-broken', what: 'a commit that was written whole is broken' }),
    );
    await store.close();
  });

  test('in a folder in use, a record that is not there whole may be under way: told, and no fault', async () => {
    const place = await lab();
    const store = await openCollector(place.dir, place.world.ports());
    truncateSync(join(place.vaultDir, 'packs', '00000001.pack'), endOnDisk(place.vaultDir).offset - 5);
    const { findings, faults } = await check(place);
    expect(findings[0]).toMatchObject({ code: 'torn-tail', severity: 'info', remedy: expect.stringContaining('run fsck again') });
    expect(faults).toBe(0);
    await store.close();
  });

  test.each([false, true])(
    'P1 a damaged chunk of the last group costs no commit when the collector is stopped (repair: %s)',
    async (repair) => {
      const place = await lab();
      const size = endOnDisk(place.vaultDir);
      await spoil(join(place.vaultDir, 'packs', '00000001.pack'), (await recordAt(place.vaultDir, 1, 42)).at + 60);
      expect(codes((await check(place, repair)).findings)).toEqual(['item-damaged', 'version-damaged']);
      expect(endOnDisk(place.vaultDir)).toEqual(size);
    },
  );

  test('a torn tail with sound records in it is a warning, as nobody can tell it from damage', async () => {
    const place = await lab();
    forgetDurable(place);
    await spoil(join(place.vaultDir, 'packs', '00000001.pack'), (await recordAt(place.vaultDir, 1, 42)).at + 60);
    const { findings } = await check(place);
    expect(findings[0]).toMatchObject({ code: 'torn-tail', severity: 'warning', remedy: expect.stringContaining('receipts may cover') });
  });

  test('P5 I-C2 takes a commit that came back after a rollback without what is lost; a rebuild gives the same catalog', async () => {
    const place = await lab();
    const store = await openCollector(place.dir, place.world.ports());
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    const { agent, world } = place;
    const early = agent.build([agent.file('/d/lost', [content('lost')]).draft, agent.directory('/d/kept')]);
    await vault.appendEvent(world.opening(2, vault.treeHead(), [{ logEpoch: 1, size: 99, root: content('lost root', 32) }]));
    expect(await vault.commit(agent.agentId, without(early.bytes, 0), world.clock.now)).toMatchObject({ type: 'accepted' });
    await store.close();
    expect(await check(place)).toEqual({ findings: [], faults: 0 });
    const before = await catalogRows(place.vaultDir);
    rmSync(join(place.vaultDir, 'catalog'), { recursive: true });
    await (await openCollector(place.dir, world.ports())).close();
    expect(await catalogRows(place.vaultDir)).toEqual(before);
  });

  test('P5 a folder put back to an older state still proves itself, and its heads tell', async () => {
    const place = await lab();
    const older = join(temporaryFolder(), 'older');
    cpSync(place.dir, older, { recursive: true });
    let store = await openCollector(place.dir, place.world.ports());
    const [vault] = store.vaults();
    if (vault === undefined) throw new Error('no vault');
    await place.agent.back(vault, [place.agent.directory('/d/new')]);
    const head = vault.treeHead();
    await store.close();
    store = await openCollector(older, place.world.ports());
    expect(await store.vaults()[0]?.judgeHead(head)).toBe('ahead');
    await store.close();
    expect((await check({ ...place, dir: older })).findings).toEqual([]);
  });
});
