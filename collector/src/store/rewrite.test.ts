import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { catalogRows, fileOf, filesIn, recordsIn } from '../../testing/store/copies.ts';
import { spoil } from '../../testing/store/fsck-lab.ts';
import { heldBytes, readOne } from '../../testing/store/read-one.ts';
import { idsOf, type RewriteLab, rewriteLab } from '../../testing/store/rewrite-lab.ts';
import { content } from '../../testing/store/world.ts';
import type { StoredVault } from './stored-vault.ts';
import type { VaultSpace } from './vault-records.ts';

/** Everything that an agent has receipts for is there, byte for byte. */
async function expectOwned(vault: StoredVault, { owned, agent }: RewriteLab): Promise<void> {
  for (const { id, bytes } of owned)
    expect(Buffer.from(await heldBytes(vault, id))).toEqual(Buffer.from(bytes));
  expect(await vault.intake.has(agent.lineageId, idsOf(owned))).not.toContain(false);
}

describe.each(['files', 'objects'] as const)('rewriting of packs as %s', (tenant) => {
  test('I-C24 what nobody owns goes from the disk, and what lineages own is read as before', async () => {
    const place = await rewriteLab(tenant);
    const vault = await place.open();
    const before = await vault.data.space();
    expect(before.deadBytes).toBeGreaterThan(8000);
    const report = await vault.data.rewrite({ all: true });
    expect(report).toMatchObject({ isDone: true, kept: [], unprovedAt: undefined });
    const after = await vault.data.space();
    expect(after.deadBytes).toBe(0);
    expect(before.bytes - after.bytes).toBeGreaterThan(8000);
    await expectOwned(vault, place);
    expect((await readOne(vault, place.orphans[0]?.id ?? fail())).type).toBe('missing');
    expect(await vault.data.rewrite({ all: true })).toMatchObject({ removedPacks: 0 });
  });

  test('I-C2 the catalog behind it is what history and packs come to', async () => {
    const place = await rewriteLab(tenant);
    const vault = await place.open();
    await vault.data.rewrite({ all: true });
    await vault.close();
    const live = await catalogRows(place.dir);
    rmSync(join(place.dir, 'catalog'), { recursive: true });
    const again = await place.open();
    await expectOwned(again, place);
    await again.close();
    expect(await catalogRows(place.dir)).toEqual(live);
  });

  test('I-C24 what was just sent is not dead: a commit that names it is accepted behind it', async () => {
    const place = await rewriteLab(tenant);
    const vault = await place.open();
    const { agent } = place;
    const file = agent.file('/orphan', [content('orphan 3'), content('orphan 4')]);
    // Held already, so nothing is written: only memory knows that an agent relies on it.
    await vault.intake.putChunks(agent.lineageId, file.items);
    await vault.data.rewrite({ all: true });
    const { bytes } = agent.build([file.draft]);
    const outcome = await vault.intake.commit(agent.agentId, bytes, place.world.clock.now);
    expect(outcome.type).toBe('accepted');
    for (const { id } of file.items) await heldBytes(vault, id);
    await expectOwned(vault, place);
  });

  test('I-C25 a reader that holds old places gets its items from the new ones', async () => {
    const place = await rewriteLab(tenant);
    const vault = await place.open();
    const runs = vault.reading.readRuns(idsOf(place.owned))[Symbol.asyncIterator]();
    const items = vault.reading.readItems(idsOf(place.owned))[Symbol.asyncIterator]();
    const got = [(await runs.next()).value, (await items.next()).value];
    await vault.data.rewrite({ all: true });
    for (const reader of [runs, items])
      for (let next = await reader.next(); next.done !== true; next = await reader.next())
        got.push(next.value);
    expect(got.map(({ type }) => type)).not.toContain('damaged');
    expect(got.map(({ type }) => type)).not.toContain('missing');
    expect(vault.figures.stats().damaged).toBe(0);
  });

  test('it ends where it is told, and goes on with the next call', async () => {
    const place = await rewriteLab(tenant);
    const vault = await place.open();
    let asked = 0;
    const isStopped = () => {
      asked += 1;
      return asked > 4;
    };
    expect((await vault.data.rewrite({ all: true, isStopped })).isDone).toBe(false);
    await expectOwned(vault, place);
    for (let calls = 0; ; calls += 1) {
      expect(calls).toBeLessThan(20);
      const { isDone, copiedBytes } = await vault.data.rewrite({ all: true, budgetBytes: 1 });
      expect(copiedBytes).toBeLessThan(4096);
      if (isDone) break;
    }
    expect((await vault.data.space()).deadBytes).toBe(0);
    await expectOwned(vault, place);
  });

  test('I-C24 while a record has rotted that may say who owns what, nothing goes', async () => {
    const place = await rewriteLab(tenant);
    const records = await recordsIn(nodeFiles, place.dir, 'history');
    const uploads = records.find(({ kind }) => kind === 'uploads') ?? fail();
    const path = fileOf(place.dir, 'history', uploads.file);
    for (const byte of [60, 70, 80]) await spoil(path, uploads.offset + byte);
    const vault = await place.open();
    const report = await vault.data.rewrite({ all: true });
    expect(report).toMatchObject({ removedPacks: 0, isDone: false });
    expect(report.unprovedAt).toEqual({ file: uploads.file, offset: uploads.offset });
    expect((await readOne(vault, place.orphans[0]?.id ?? fail())).type).toBe('item');
    await expectOwned(vault, place);
  });
});

describe('rewriting of packs', () => {
  test('P6 a pack stays in which something that is owned proves nowhere, and is named', async () => {
    const place = await rewriteLab('files');
    const first = await place.open();
    const mixed = mixedIn(await first.data.space());
    await first.close();
    const records = await recordsIn(nodeFiles, place.dir, 'packs');
    const at = records.find(({ file }) => file === mixed) ?? fail();
    const path = fileOf(place.dir, 'packs', at.file);
    for (const byte of [3, 9, 20]) await spoil(path, at.offset + RECORD_HEADER_BYTES + byte);
    const vault = await place.open();
    const { kept, isDone } = await vault.data.rewrite({ all: true });
    expect(isDone).toBe(true);
    expect(kept).toEqual([
      { pack: mixed, why: '1 items in it prove nowhere: aliquot fsck names them' },
    ]);
    const states = await Promise.all(place.owned.map(({ id }) => readOne(vault, id)));
    const lost = place.owned.filter((_, at) => states[at]?.type !== 'item');
    expect(lost).toHaveLength(1);
    expect(vault.figures.stats().damaged).toBe(1);
    // It is sent again, and then nothing keeps the pack.
    await vault.intake.putChunks(place.agent.lineageId, lost);
    await vault.intake.sync();
    expect((await vault.data.rewrite({ all: true })).kept).toEqual([]);
    expect(filesIn(place.dir, 'packs')).not.toContain(mixed);
    await expectOwned(vault, place);
    expect(vault.figures.stats().damaged).toBe(0);
  });

  test('an id in two packs is no fault: the copy that is not read first is dead', async () => {
    const place = await rewriteLab('files');
    const copy = join(temporaryFolder(), 'pack');
    const vault = await place.open();
    const mixed = mixedIn(await vault.data.space());
    cpSync(fileOf(place.dir, 'packs', mixed), copy);
    await vault.data.rewrite({ all: true });
    expect(filesIn(place.dir, 'packs')).not.toContain(mixed);
    await vault.close();
    // As a crash leaves it between the catalog and the removal.
    cpSync(copy, fileOf(place.dir, 'packs', mixed));
    const again = await place.open();
    expect((await again.data.space()).packs).toContainEqual(
      expect.objectContaining({ pack: mixed, liveItems: 0 }),
    );
    expect(await again.data.rewrite()).toMatchObject({ removedPacks: 1, copiedBytes: 0 });
    expect(filesIn(place.dir, 'packs')).not.toContain(mixed);
    await expectOwned(again, place);
  });
});

/** The closed pack in which some of it is dead and some is not. */
function mixedIn({ packs }: VaultSpace): number {
  const mixed = packs.find(({ deadBytes, liveItems }) => deadBytes > 500 && liveItems > 0);
  return mixed?.pack ?? fail();
}

function fail(): never {
  throw new Error('it is not there');
}
