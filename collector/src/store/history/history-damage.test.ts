import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { asVaultId } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import { systemRandom } from '@aliquot/shared/ports';
import { systemError } from '@aliquot/shared/testing/faulty-files';
import { seededSource } from '@aliquot/shared/testing/random';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { TEST_FILE_BYTES } from '../../../testing/store/history-conformance.ts';
import { StoreError } from '../errors.ts';
import type { Finding } from '../fsck-finding.ts';
import { checkHistory } from './check-history.ts';
import { DiskHistory } from './disk-history.ts';
import { type HistoryPlace, type HistoryPoint, historyStart } from './history-log.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
const otherVault = asVaultId(new Uint8Array(16).fill(8));
const ports = { files: nodeFiles, random: systemRandom, fileBytes: TEST_FILE_BYTES };
const random = seededSource('history damage');

function rows(count: number) {
  return Array.from({ length: count }, () => ({
    kind: 'event' as const,
    payload: Buffer.from(random.bytes(300)),
  }));
}

/** Files 1 to 3 of a history, 25 records, the last file open. */
class Folder {
  readonly dir = join(temporaryFolder(), 'history');
  places: HistoryPlace[] = [];
  end: HistoryPoint = historyStart;

  static async make(vault = vaultId): Promise<Folder> {
    const folder = new Folder();
    const history = await DiskHistory.open(folder.dir, vault, ports);
    for (const row of rows(25)) folder.places.push(...(await history.append([row])).places);
    await history.sync();
    folder.end = history.end;
    await history.close();
    expect(folder.end.file).toBe(3);
    return folder;
  }

  path(file: number): string {
    return join(this.dir, `${String(file).padStart(8, '0')}.history`);
  }

  change(file: number, at: number, ...values: readonly number[]): void {
    const bytes = readFileSync(this.path(file));
    for (const [index, value] of values.entries())
      bytes[at + index] = bytes.readUInt8(at + index) ^ value;
    writeFileSync(this.path(file), bytes);
  }

  in(file: number): HistoryPlace[] {
    return this.places.filter((place) => place.file === file);
  }

  async check(durable: HistoryPoint | undefined, live = false) {
    const findings: Finding[] = [];
    const report = await checkHistory(this.dir, {
      ...{ files: nodeFiles, hasher: hereHasher, vaultId, live, durable },
      tell: (finding) => void findings.push(finding),
    });
    const told = findings.map(
      ({ code, severity, where }) => `${code} ${severity} ${/\d{8}/.exec(where)?.[0]}`,
    );
    return { ...report, told };
  }

  async told(durable: HistoryPoint | undefined = this.end): Promise<string[]> {
    return (await this.check(durable)).told;
  }

  /** What an opening and a replay say: how many records there are, or why not. */
  async replayed(durable: HistoryPoint = this.end): Promise<string> {
    let [count, broken] = [0, 0];
    try {
      const history = await DiskHistory.open(this.dir, vaultId, ports, { durable });
      try {
        for await (const { isBroken } of history.replay(historyStart)) {
          count += 1;
          if (isBroken === true) broken += 1;
        }
      } finally {
        await history.close();
      }
      return `${count} records${broken === 0 ? '' : `, ${broken} of them broken`}`;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return `${error.code}: ${error.message}`;
    }
  }
}

describe('a history that is not as it was left', () => {
  test('a sound one has nothing to tell', async () => {
    const folder = await Folder.make();
    const { told, records, end, broken, endLost } = await folder.check(folder.end);
    expect({ told, records, end, broken, endLost }).toEqual({
      told: [],
      records: 25,
      end: folder.end,
      broken: false,
      endLost: false,
    });
    expect((await folder.check(undefined, true)).told).toEqual([]);
    expect(await folder.replayed()).toBe('25 records');
  });

  test('a file that is missing stops the start, whichever it is', async () => {
    for (const file of [1, 2, 3]) {
      const folder = await Folder.make();
      rmSync(folder.path(file));
      expect(await folder.replayed()).toMatch(
        new RegExp(`^STORE_CORRUPT: .*0000000${file}.history is missing; put it back`),
      );
      expect(await folder.told()).toContain(`history-missing error 0000000${file}`);
      expect((await folder.check(folder.end)).broken).toBe(true);
    }
  });

  test('a file of another vault is named', async () => {
    const other = await Folder.make(otherVault);
    for (const file of [1, 2, 3]) {
      const folder = await Folder.make();
      copyFileSync(other.path(file), folder.path(file));
      expect(await folder.replayed()).toMatch(
        new RegExp(`^STORE_CORRUPT: .*0000000${file}.history belongs to another folder`),
      );
      expect(await folder.told()).toContain(`file-foreign error 0000000${file}`);
    }
    expect(await other.replayed()).toMatch(/^STORE_CORRUPT: .*another folder/);
  });

  test('a file that was renamed or doubled is named with its number', async () => {
    const renamed = await Folder.make();
    renameSync(renamed.path(3), renamed.path(4));
    // What stands there tells more than the gap that it left.
    expect(await renamed.replayed()).toMatch(
      /^STORE_CORRUPT: .*00000004.history holds history file 3: .*give it back its name/,
    );
    const doubled = await Folder.make();
    copyFileSync(doubled.path(2), doubled.path(4));
    expect(await doubled.replayed()).toMatch(
      /^STORE_CORRUPT: .*00000004.history holds history file 2: .*take the double away/,
    );
    expect(await doubled.told()).toEqual(['file-foreign error 00000004']);
    const swapped = await Folder.make();
    renameSync(swapped.path(1), swapped.path(9));
    renameSync(swapped.path(2), swapped.path(1));
    renameSync(swapped.path(9), swapped.path(2));
    expect(await swapped.replayed()).toMatch(/^STORE_CORRUPT: .*holds history file/);
  });

  test('a file of another day has lost its end, be it the newest or not', async () => {
    const folder = await Folder.make();
    const newest = folder.in(3).at(-1);
    truncateSync(folder.path(3), newest?.offset ?? 0);
    expect(await folder.replayed()).toMatch(/^STORE_CORRUPT: .*00000003.*has lost its end/);
    const { told, endLost, broken } = await folder.check(folder.end);
    expect({ told, endLost, broken }).toEqual({
      told: ['history-short error 00000003'],
      endLost: true,
      broken: false,
    });
    // What nothing knows of cannot be missed here: the agents know their receipts.
    expect(await folder.replayed(historyStart)).toBe('24 records');

    const older = await Folder.make();
    const last = older.in(2).at(-1);
    truncateSync(older.path(2), last?.offset ?? 0);
    expect(await older.replayed()).toMatch(/^STORE_CORRUPT: .*00000002.*has lost its end/);
    expect(await older.told()).toEqual(['history-end error 00000002']);
  });

  test('a cut in the middle of a durable record is told as a lost end', async () => {
    const folder = await Folder.make();
    truncateSync(folder.path(3), folder.end.offset - 10);
    expect(await folder.replayed()).toMatch(/^STORE_CORRUPT: .*has lost its end/);
    const { told, endLost, broken } = await folder.check(folder.end);
    expect({ told, endLost, broken }).toEqual({
      told: ['history-short error 00000003'],
      endLost: true,
      broken: false,
    });
  });

  test('a torn tail is cut at the next start, and told until then', async () => {
    const folder = await Folder.make();
    const bytes = readFileSync(folder.path(3));
    for (const extra of [1, 40, 52, 100, 300]) {
      const { offset = 0 } = folder.in(3)[0] ?? {};
      writeFileSync(folder.path(3), Buffer.concat([bytes, bytes.subarray(offset, offset + extra)]));
      const { told, end, broken } = await folder.check(folder.end);
      expect({ told, end, broken }).toEqual({
        told: ['torn-tail info 00000003'],
        end: folder.end,
        broken: false,
      });
      expect(await folder.replayed()).toBe('25 records');
      expect(readFileSync(folder.path(3))).toEqual(bytes);
    }
  });

  test('a torn ending leaves the file open, and it is ended later', async () => {
    for (const cut of [1, 20, 56]) {
      const folder = await Folder.make();
      rmSync(folder.path(3));
      const { length } = readFileSync(folder.path(2));
      truncateSync(folder.path(2), length - cut);
      const count = folder.in(1).length + folder.in(2).length;
      const last = folder.in(2).at(-1);
      const durable = { file: 2, offset: (last?.offset ?? 0) + 52 + (last?.length ?? 0) };
      const history = await DiskHistory.open(folder.dir, vaultId, ports, { durable });
      expect(history.end).toEqual(durable);
      const { places } = await history.append(rows(1));
      expect(places[0]?.file).toBe(3);
      await history.sync();
      const { end } = history;
      await history.close();
      expect(await folder.told(end)).toEqual([]);
      expect(await folder.replayed(end)).toBe(`${count + 1} records`);
    }
  });

  test('rot is mended in one byte of a header, and named everywhere else', async () => {
    for (const file of [1, 3]) {
      const mended = await Folder.make();
      const { offset = 0 } = mended.in(file)[1] ?? {};
      mended.change(file, offset + 9, 4);
      mended.change(file, 20, 4);
      expect(await mended.told()).toEqual([
        `header-damaged warning 0000000${file}`,
        `header-damaged warning 0000000${file}`,
      ]);
      for (const [at, ...values] of [
        [offset + 9, 4, 4],
        [offset + 60, 3],
      ] as [number, ...number[]][]) {
        const folder = await Folder.make();
        folder.change(file, at, ...values);
        // Where the header says what stood there, what stands behind is replayed.
        const refused = `^STORE_CORRUPT: .*0000000${file}.history: at byte ${offset}: .*broken`;
        expect(await folder.replayed()).toMatch(
          at === offset + 60 ? '25 records, 1 of them broken' : new RegExp(refused),
        );
        const { told, broken } = await folder.check(folder.end);
        expect({ told, broken }).toEqual({
          told: [`record-broken error 0000000${file}`],
          broken: true,
        });
      }
    }
  });

  test('a header that is gone is known from the other files', async () => {
    const folder = await Folder.make();
    folder.change(2, 0, ...new Array(40).fill(0x5a));
    expect(await folder.told()).toEqual(['header-damaged warning 00000002']);
    const { broken, records } = await folder.check(folder.end);
    expect({ broken, records }).toEqual({ broken: false, records: 25 });
    expect(await folder.replayed()).toBe('25 records');
  });

  test('a header that nothing tells stops the start', async () => {
    const folder = await Folder.make();
    for (const file of [1, 2, 3]) folder.change(file, 0, ...new Array(40).fill(0x5a));
    expect(await folder.replayed()).toMatch(/^STORE_CORRUPT: .*the header of the history file/);
    expect(await folder.told()).toEqual(
      [1, 2, 3].map((file) => `file-foreign error 0000000${file}`),
    );
  });

  test('a history that nobody may write to is refused by name', async () => {
    const folder = await Folder.make();
    const files = {
      ...nodeFiles,
      open: async (...args: Parameters<typeof nodeFiles.open>) => {
        // The tests may run as root, who may write anyway.
        if (args[1] !== 'read') throw systemError('EROFS', 'open', String(args[0]));
        return nodeFiles.open(...args);
      },
    };
    await expect(DiskHistory.open(folder.dir, vaultId, { ...ports, files })).rejects.toThrow(
      /00000003\.history/,
    );
    expect(await folder.replayed()).toBe('25 records');
  });
});
