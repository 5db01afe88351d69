import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { aliquot } from '../../../testing/cli.ts';
import { catalogRows, recordsIn } from '../../../testing/store/copies.ts';
import { check, codes, openWhole, spoil } from '../../../testing/store/fsck-lab.ts';
import { content, StoreWorld, type WorldAgent } from '../../../testing/store/world.ts';
import { initCollector } from '../collector.ts';
import { diskMedia } from '../vault/media.ts';

const HISTORY_FILE_BYTES = 5000;
const ROUNDS = 8;
const LEFT = 3;

/** The folder of a collector before and after closed files of its history were written anew. */
class Rewritten {
  readonly world = new StoreWorld('half', { blind: true });
  readonly vault = join('vaults', hex(this.world.descriptor.vaultId));
  readonly root = mkdtempSync(join(tmpdir(), 'aliquot-half-'));
  readonly before = join(this.root, 'before');
  readonly after = join(this.root, 'after');
  agent!: WorldAgent;
  rows!: string[];

  get ports() {
    return this.world.ports({ historyFileBytes: HISTORY_FILE_BYTES });
  }

  async make(): Promise<void> {
    const store = await initCollector(this.after, { name: 'freezer' }, this.ports);
    const vault = await store.addVault({
      descriptor: this.world.kit.descriptor,
      certificate: this.world.certificateFor(store.identity),
      catalogSecretKey: undefined,
    });
    this.agent = await this.world.agent(vault, 'hplc-1');
    const leaves = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      this.world.clock.now += 60_000;
      const file = this.agent.file('/d/a', [content(`round ${round}`), content('in all')]);
      const { leafIndex } = await this.agent.back(vault, [file]);
      leaves.push({ leafIndex, slots: Uint8Array.of(1) });
    }
    const dropped = leaves.slice(0, ROUNDS - LEFT);
    await vault.sweep.drop({ run: 1, branchId: this.agent.lineageId, leaves: dropped });
    await store.close();
    cpSync(this.after, this.before, { recursive: true });
    const again = await openWhole(this.after, this.ports);
    const [now] = again.vaults();
    const report = await now?.data.rewrite({ all: true });
    expect(report?.history.rewrittenFiles).toBeGreaterThan(1);
    await again.close();
    this.rows = await catalogRows(join(this.after, this.vault));
  }
}

const made = new Rewritten();
beforeAll(() => made.make());
afterAll(() => rmSync(made.root, { recursive: true }));

const at = { world: made.world, dir: '' };
const inVault = (...parts: string[]) => join(at.dir, made.vault, ...parts);
const FORMER = '00000001.history';
const NEWER = '00000001-1.history';

beforeEach(() => {
  at.dir = join(temporaryFolder(), 'collector');
  cpSync(made.after, at.dir, { recursive: true });
});

/** A part of the folder as it was before, beside or in place of what is there. */
function putBack(...parts: string[]): void {
  cpSync(join(made.before, made.vault, ...parts), inVault(...parts), { recursive: true });
}

function putCatalogBack(): void {
  rmSync(inVault('catalog'), { recursive: true });
  for (const part of ['catalog', 'durable.json']) putBack(part);
}

function allFormer(): string[] {
  return readdirSync(join(made.before, made.vault, 'history')).filter((name) =>
    existsSync(inVault('history', name.replace('.history', '-1.history'))),
  );
}

async function versions(): Promise<number> {
  const store = await openWhole(at.dir, made.ports);
  const [vault] = store.vaults();
  let found = 0;
  const { lineageId } = made.agent;
  const asked = vault?.reading.versions(lineageId, made.agent.fileId('/d/a')) ?? [];
  for await (const { live } of asked) found += live.length;
  await store.close();
  return found;
}

/** One finding, which --repair ends; then nothing is found, and the catalog is what it was. */
async function expectMended(where: string): Promise<void> {
  const half = { code: 'history-half-rewritten', severity: 'info', where };
  const first = await check(at);
  expect(first).toEqual({ findings: [expect.objectContaining(half)], faults: 0 });
  // Looking changes nothing.
  expect(await check(at)).toEqual(first);
  expect(codes((await check(at, true)).findings)).toEqual(['history-half-rewritten']);
  expect(await check(at)).toEqual({ findings: [], faults: 0 });
  expect(await catalogRows(inVault())).toEqual(made.rows);
  expect(await versions()).toBe(LEFT);
}

describe('I-C29 fsck of a history that was being written anew', () => {
  test('finds nothing where the work was ended', async () => {
    expect(await check(at)).toEqual({ findings: [], faults: 0 });
  });

  test('names a file that was never put in force, and a repair removes it', async () => {
    const left = inVault('history', '00000002-7.history.new');
    writeFileSync(left, 'a part');
    await expectMended(left);
    expect(existsSync(left)).toBe(false);
  });

  test('names a former file beside the one in force, when the catalog knows that one', async () => {
    putBack('history', FORMER);
    await expectMended(inVault('history', FORMER));
    expect(existsSync(inVault('history', FORMER))).toBe(false);
  });

  test('names a former file beside the one in force, when the catalog has the former places', async () => {
    for (const name of allFormer()) putBack('history', name);
    putCatalogBack();
    await expectMended(inVault('history', FORMER));
    expect(readdirSync(inVault('history')).sort()).toEqual(
      readdirSync(join(made.after, made.vault, 'history')).sort(),
    );
  });

  test('says so where only the catalog is left behind, and a repair has it follow', async () => {
    putCatalogBack();
    await expectMended(inVault('history'));
  });

  test('takes a former file, put back by hand where the new one is gone, for the one in force', async () => {
    rmSync(inVault('history', NEWER));
    putBack('history', FORMER);
    const first = await check(at);
    expect([codes(first.findings), first.faults]).toEqual([['history-half-rewritten'], 0]);
    await check(at, true);
    expect(await check(at)).toEqual({ findings: [], faults: 0 });
    expect(await versions()).toBe(LEFT);
  });

  test('misses a new file that was deleted by hand, and changes nothing meanwhile', async () => {
    rmSync(inVault('history', NEWER));
    for (const repair of [false, true]) {
      const { findings, faults } = await check(at, repair);
      expect(codes(findings)).toContain('history-missing');
      expect(faults).toBeGreaterThan(0);
    }
    // With it, all is as it was.
    cpSync(join(made.after, made.vault, 'history', NEWER), inVault('history', NEWER));
    expect(await check(at)).toEqual({ findings: [], faults: 0 });
  });

  test('keeps a former file where the one in force has rotted, and names it as the way out', async () => {
    putBack('history', FORMER);
    const records = await recordsIn(nodeFiles, inVault(), 'history');
    const thinned = records.find(({ kind, file }) => kind === 'thinned' && file === 1);
    const offset = thinned?.offset ?? expect.fail('nothing was thinned');
    for (const byte of [200, 210, 220]) await spoil(inVault('history', NEWER), offset + byte);
    for (const repair of [false, true]) {
      const { findings } = await check(at, repair);
      expect(codes(findings)).toEqual(['record-broken', 'history-half-rewritten']);
      expect(findings[1]).toMatchObject({
        severity: 'warning',
        where: inVault('history', FORMER),
        remedy: expect.stringContaining(NEWER),
      });
    }
    // A start goes on, and leaves the only whole one of the two.
    expect(await versions()).toBe(LEFT);
    expect(existsSync(inVault('history', FORMER))).toBe(true);
    renameSync(inVault('history', NEWER), join(at.dir, 'rotten'));
    await check(at, true);
    expect(await check(at)).toEqual({ findings: [], faults: 0 });
    expect(await versions()).toBe(LEFT);
  });

  test('says so through the command, which ends it', async () => {
    putBack('history', FORMER);
    const said = await aliquot(['fsck', '--data', at.dir]);
    expect([said.code, said.stdout]).toEqual([0, expect.stringContaining(FORMER)]);
    const mended = await aliquot(['fsck', '--data', at.dir, '--repair']);
    expect([mended.code, existsSync(inVault('history', FORMER))]).toEqual([0, false]);
    const after = await aliquot(['fsck', '--data', at.dir]);
    expect([after.code, after.stdout]).toEqual([0, expect.not.stringContaining(FORMER)]);
  });

  test('and what names a record names the file in force', async () => {
    const media = diskMedia(inVault(), made.world.descriptor.vaultId, made.ports);
    const history = await media.openHistory({});
    const where = media.nameOf({ file: 1, offset: 52 });
    await history.close();
    expect(where).toBe(`${inVault('history', NEWER)}, byte 52`);
  });
});
