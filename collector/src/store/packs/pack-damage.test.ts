import {
  chmodSync,
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { asChunkId, asVaultId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import { systemRandom } from '@aliquot/shared/ports';
import { faultyFiles, systemError } from '@aliquot/shared/testing/faulty-files';
import { seededSource } from '@aliquot/shared/testing/random';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { TEST_PACK_BYTES } from '../../../testing/store/pack-conformance.ts';
import { StoreError } from '../errors.ts';
import type { Finding } from '../fsck-finding.ts';
import { checkPacks } from './check-packs.ts';
import { DiskPacks } from './disk-packs.ts';
import type { PackExtent, PackRow, PlacedItem } from './pack-store.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
const otherVault = asVaultId(new Uint8Array(16).fill(8));
const ports = { files: nodeFiles, random: systemRandom, packBytes: TEST_PACK_BYTES };
const random = seededSource('pack damage');

function newItem() {
  const bytes = random.bytes(2500);
  return { id: asChunkId(sha256(bytes)), kind: 'chunk' as const, bytes };
}

/** Packs 1 to 4 of a folder, the last one open. */
class Folder {
  readonly dir = join(temporaryFolder(), 'packs');
  placed: PlacedItem[] = [];
  extents: readonly PackExtent[] = [];

  static async make(vault = vaultId): Promise<Folder> {
    const folder = new Folder();
    const packs = await DiskPacks.open(folder.dir, vault, ports);
    for (let count = 0; count < 20; count += 1) {
      const item = newItem();
      const [place] = await packs.put([item]);
      if (place !== undefined) folder.placed.push({ id: item.id, place });
    }
    await packs.sync();
    folder.extents = packs.packs();
    await packs.close();
    expect(folder.extents.map(({ pack, closed }) => [pack, closed])).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [4, false],
    ]);
    return folder;
  }

  path(pack: number): string {
    return join(this.dir, `${String(pack).padStart(8, '0')}.pack`);
  }

  change(pack: number, at: number, ...values: readonly number[]): void {
    const bytes = readFileSync(this.path(pack));
    for (const [index, value] of values.entries())
      bytes[at + index] = bytes.readUInt8(at + index) ^ value;
    writeFileSync(this.path(pack), bytes);
  }

  /** What stands in one pack, in order. */
  in(pack: number): PlacedItem[] {
    return this.placed.filter(({ place }) => place.pack === pack);
  }

  async check(live = false): Promise<{ findings: Finding[]; damaged: PackRow[]; items: number }> {
    const findings: Finding[] = [];
    const reports = await checkPacks(this.dir, {
      ...{ files: nodeFiles, hasher: hereHasher, vaultId, live },
      ...(live ? {} : { durable: this.extents }),
      tell: (finding) => void findings.push(finding),
    });
    const damaged = reports.flatMap((report) => report.damaged);
    return { findings, damaged, items: reports.reduce((sum, { items }) => sum + items, 0) };
  }

  /** `code severity: file` of each finding. */
  async told(live = false): Promise<string[]> {
    const { findings } = await this.check(live);
    return findings.map(
      ({ code, severity, where }) => `${code} ${severity} ${/\d{8}/.exec(where)?.[0]}`,
    );
  }

  /** The ids that a collector finds through its packs' rows, and whether it can read each. */
  async found(durable: readonly PackExtent[] = this.extents) {
    const packs = await DiskPacks.open(this.dir, vaultId, ports, { durable });
    try {
      const rows: PackRow[] = [];
      for (const { pack } of packs.packs())
        for await (const some of packs.rows(pack)) rows.push(...some);
      let readable = 0;
      for (const { id, place } of rows) if (await isReadable(packs, id, place)) readable += 1;
      return { rows: rows.length, readable };
    } finally {
      await packs.close();
    }
  }
}

async function isReadable(packs: DiskPacks, ...item: Parameters<DiskPacks['read']>) {
  try {
    await packs.read(...item);
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'STORE_DAMAGED') return false;
    throw error;
  }
}

async function messageOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
    return 'fine';
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe('packs that are not as they were left', () => {
  test('sound ones have nothing to tell', async () => {
    const folder = await Folder.make();
    expect(await folder.check()).toEqual({ findings: [], damaged: [], items: 20 });
    expect(await folder.check(true)).toEqual({ findings: [], damaged: [], items: 20 });
    expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
  });

  test('a pack of another vault is named, and read as damaged, never as ours', async () => {
    const folder = await Folder.make();
    const other = await Folder.make(otherVault);
    for (const pack of [2, 4]) {
      copyFileSync(other.path(pack), folder.path(pack));
      const message = /0000000\d\.pack belongs to another folder; put it back where it came from/;
      expect(await messageOf(folder.found())).toMatch(message);
      expect(await folder.told()).toContain(`file-foreign error 0000000${pack}`);
    }
  });

  test('a folder whose packs are all another vault’s is refused', async () => {
    const folder = await Folder.make(otherVault);
    expect(await messageOf(folder.found([]))).toMatch(/^STORE_CORRUPT: .*another folder/);
  });

  test('a pack that was renamed or doubled is named with its number', async () => {
    const renamed = await Folder.make();
    renameSync(renamed.path(2), renamed.path(9));
    expect(await messageOf(renamed.found())).toMatch(/00000009\.pack holds pack 2/);
    expect(await renamed.told()).toEqual([
      'pack-missing warning 00000002',
      'file-foreign error 00000009',
    ]);
    renameSync(renamed.path(9), renamed.path(2));
    expect(await renamed.told()).toEqual([]);

    const doubled = await Folder.make();
    copyFileSync(doubled.path(2), doubled.path(9));
    expect(await messageOf(doubled.found())).toMatch(
      /give it back its name, or take the double away/,
    );
    expect(await doubled.told()).toEqual(['file-foreign error 00000009']);
  });

  test('two packs in each other’s place are both named, and nothing of them is taken for the other', async () => {
    const folder = await Folder.make();
    renameSync(folder.path(1), folder.path(9));
    renameSync(folder.path(2), folder.path(1));
    renameSync(folder.path(9), folder.path(2));
    const told = await folder.told();
    expect(told).toEqual(['file-foreign error 00000001', 'file-foreign error 00000002']);
    const packs = await DiskPacks.open(folder.dir, vaultId, ports, { durable: folder.extents });
    for (const { id, place } of folder.placed)
      expect(await isReadable(packs, id, place)).toBe(place.pack > 2);
    await packs.close();
  });

  test('a pack of another day lacks what came since, and is named as too short', async () => {
    const folder = await Folder.make();
    copyFileSync(folder.path(4), `${folder.path(4)}.kept`);
    const packs = await DiskPacks.open(folder.dir, vaultId, ports, { durable: folder.extents });
    const item = newItem();
    const [place] = await packs.put([item]);
    await packs.sync();
    folder.extents = packs.packs();
    await packs.close();
    renameSync(`${folder.path(4)}.kept`, folder.path(4));
    expect(await folder.told()).toEqual(['pack-short error 00000004']);
    const again = await DiskPacks.open(folder.dir, vaultId, ports, { durable: folder.extents });
    if (place !== undefined) expect(await isReadable(again, item.id, place)).toBe(false);
    for (const one of folder.placed) expect(await isReadable(again, one.id, one.place)).toBe(true);
    await again.close();
  });

  test('a closed pack that was cut gives what is left, by its records', async () => {
    const folder = await Folder.make();
    const last = folder.in(2).at(-1)?.place;
    truncateSync(folder.path(2), (last?.offset ?? 0) + 100);
    expect(await folder.told()).toEqual(['pack-short error 00000002']);
    expect(await folder.found()).toEqual({ rows: 19, readable: 19 });
    folder.extents = [];
    expect(await folder.told()).toEqual([
      'pack-index error 00000002',
      'record-broken error 00000002',
    ]);
  });

  test('the open pack that was cut between two records is named where the catalog knows of more', async () => {
    const folder = await Folder.make();
    const last = folder.in(4).at(-1)?.place;
    truncateSync(folder.path(4), last?.offset ?? 0);
    expect(await folder.told()).toEqual(['pack-short error 00000004']);
    expect(await folder.found()).toEqual({ rows: 19, readable: 19 });
  });

  test('a torn tail is cut at the next start, and told until then', async () => {
    const folder = await Folder.make();
    const { size } = await nodeFiles.stat(folder.path(4));
    const bytes = readFileSync(folder.path(4));
    const { offset = 0 } = folder.in(4).at(0)?.place ?? {};
    writeFileSync(folder.path(4), Buffer.concat([bytes, bytes.subarray(offset, offset + 1000)]));
    expect(await folder.told()).toEqual(['torn-tail info 00000004']);
    expect(await folder.told(true)).toEqual(['torn-tail info 00000004']);
    expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
    expect((await nodeFiles.stat(folder.path(4))).size).toBe(size);
    expect(await folder.told()).toEqual([]);
  });

  test('a pack whose closing was torn is open again, and is closed later', async () => {
    for (const cut of [1, 59, 60, 61, 100, 300]) {
      const folder = await Folder.make();
      const { length } = readFileSync(folder.path(3));
      rmSync(folder.path(4));
      truncateSync(folder.path(3), length - cut);
      const last = folder.in(3).at(-1)?.place;
      const end = (last?.offset ?? 0) + 52 + (last?.length ?? 0);
      // What the catalog knew before the pack was closed.
      folder.extents = folder.extents
        .slice(0, 3)
        .map((one) => (one.pack === 3 ? { ...one, syncedBytes: end } : one));
      const packs = await DiskPacks.open(folder.dir, vaultId, ports, { durable: folder.extents });
      expect(packs.packs()[2]).toEqual({ pack: 3, bytes: end, syncedBytes: end, closed: false });
      await packs.put([newItem()]);
      await packs.sync();
      folder.extents = packs.packs();
      await packs.close();
      expect(readFileSync(folder.path(3)).length).toBe(length);
      expect(await folder.told()).toEqual([]);
    }
  });

  test('a record whose bytes rotted is damaged, and costs no other item', async () => {
    for (const pack of [2, 4]) {
      const folder = await Folder.make();
      const [, bad] = folder.in(pack);
      const { offset = 0 } = bad?.place ?? {};
      folder.change(pack, offset + 52 + 300, 1, 2, 3);
      const { findings, damaged, items } = await folder.check();
      expect([findings, items]).toEqual([[], 20]);
      expect(damaged.map(({ place }) => place)).toEqual([bad?.place]);
      expect(await folder.found()).toEqual({ rows: 20, readable: 19 });
      expect((await folder.check(true)).damaged.map(({ place }) => place)).toEqual([bad?.place]);
    }
  });

  test('one rotten byte of a header is mended, of a record’s and of a file’s', async () => {
    for (const at of [0, 3, 9, 20, 34, 39]) {
      const folder = await Folder.make();
      folder.change(2, at, 0x10);
      expect(await folder.told()).toEqual(['header-damaged warning 00000002']);
      expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
    }
    const folder = await Folder.make();
    const { offset = 0 } = folder.in(2)[1]?.place ?? {};
    folder.change(2, offset + 10, 0x10);
    expect(await folder.told()).toEqual(['header-damaged warning 00000002']);
    expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
  });

  test('a header that is gone is known from the other packs, and nothing more is put behind it', async () => {
    const folder = await Folder.make();
    folder.change(4, 0, ...new Array(40).fill(0x5a));
    expect(await folder.told()).toEqual(['header-damaged warning 00000004']);
    expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
    const packs = await DiskPacks.open(folder.dir, vaultId, ports, { durable: folder.extents });
    const [place] = await packs.put([newItem()]);
    expect(place?.pack).toBe(5);
    await packs.close();
  });

  test('rotten headers of records in a closed pack cost what the index names there', async () => {
    const folder = await Folder.make();
    const [, bad] = folder.in(2);
    const { offset = 0 } = bad?.place ?? {};
    folder.change(2, offset, ...new Array(52).fill(0x5a));
    const { findings, damaged, items } = await folder.check();
    expect([findings, items]).toEqual([[], 20]);
    expect(damaged.map(({ place }) => place)).toEqual([bad?.place]);
    expect(await folder.found()).toEqual({ rows: 20, readable: 19 });
  });

  test('in the open pack they are named, cost nothing else, and nothing more is put there', async () => {
    const folder = await Folder.make();
    const [, bad] = folder.in(4);
    const { offset = 0 } = bad?.place ?? {};
    folder.change(4, offset, ...new Array(52).fill(0x5a));
    expect(await folder.told()).toEqual(['record-broken error 00000004']);
    expect(await folder.told(true)).toEqual(['record-broken error 00000004']);
    expect(await folder.found()).toEqual({ rows: 19, readable: 19 });
    const packs = await DiskPacks.open(folder.dir, vaultId, ports, { durable: folder.extents });
    const [place] = await packs.put([newItem()]);
    expect(place?.pack).toBe(5);
    await packs.close();
  });

  test('a damaged index or end costs nothing: the records tell', async () => {
    const folder = await Folder.make();
    const { length } = readFileSync(folder.path(2));
    folder.change(2, length - 3, 1);
    folder.change(3, length - 200, 1, 2);
    expect(await folder.told()).toEqual(['pack-index error 00000002', 'pack-index error 00000003']);
    expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
  });

  test('a pack that nobody may write to is refused by name, when it is the newest', async () => {
    const folder = await Folder.make();
    chmodSync(folder.path(4), 0o400);
    const files = {
      ...nodeFiles,
      open: async (...args: Parameters<typeof nodeFiles.open>) => {
        // The tests may run as root, who may write anyway.
        if (args[1] !== 'read' && String(args[0]) === folder.path(4))
          throw systemError('EACCES', 'open', folder.path(4));
        return nodeFiles.open(...args);
      },
    };
    const opening = DiskPacks.open(folder.dir, vaultId, { ...ports, files });
    expect(await messageOf(opening)).toMatch(/^STORE_FAILED: .*00000004\.pack/);
    expect(await folder.found()).toEqual({ rows: 20, readable: 20 });
  });

  test('I-C6 a disk that fails at any flush of a pack leaves it growing, or closed with its index and its end', async () => {
    const flushes: number[] = [];
    for (let failing = -1; failing < flushes.length; failing += 1) {
      const folder = new Folder();
      const broken = faultyFiles(nodeFiles, ({ index, operation, path }) => {
        if (operation !== 'datasync' && operation !== 'sync') return undefined;
        if (!path.endsWith('00000001.pack')) return undefined;
        if (failing < 0) flushes.push(index);
        return index === flushes[failing] && failing >= 0 ? { fail: 'EIO' } : undefined;
      });
      const packs = await DiskPacks.open(folder.dir, vaultId, { ...ports, files: broken });
      const put = async () => {
        for (let count = 0; count < 12; count += 1) await packs.put([newItem()]);
      };
      expect(await messageOf(put())).toMatch(failing < 0 ? 'fine' : 'STORE_FAILED');
      folder.extents = packs.packs();
      await packs.close();
      const opening = { durable: folder.extents, discard: true };
      const again = await DiskPacks.open(folder.dir, vaultId, ports, opening);
      await again.put([newItem()]);
      await again.sync();
      folder.extents = again.packs();
      await again.close();
      expect(await folder.told()).toEqual([]);
    }
    expect(flushes.length).toBeGreaterThan(2);
  });
});
