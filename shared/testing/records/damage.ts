import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { FileError } from '../../src/durable/errors.ts';
import { type FilePort, nodeFiles } from '../../src/durable/file-port.ts';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '../../src/records/codec.ts';
import { recordFileName } from '../../src/records/folder.ts';
import type { FileFormat, RecordFault } from '../../src/records/format.ts';
import { proveFile } from '../../src/records/prove.ts';
import { type LogItem, RecordReader } from '../../src/records/reader.ts';
import { RecordLog } from '../../src/records/record-log.ts';
import { repeatableRandom } from '../bytes.ts';
import { temporaryFolder } from '../temp.ts';

/** A payload of the suite: small, so that every byte of a log can be damaged in turn. */
const PAYLOAD_BYTES = 12;
const OWNER = new Uint8Array(16).fill(7);

interface Sample<K extends string> {
  readonly dir: string;
  /** What was written, in order. */
  readonly written: readonly {
    readonly file: number;
    readonly offset: number;
    readonly end: number;
    readonly kind: K;
    readonly text: string;
  }[];
}

/**
 * What every kind of record file must survive, or name: each byte flipped, each length cut, torn
 * tails, and files that are foreign, renamed, doubled, of a later release, or may not be written.
 */
export function recordDamageSuite<K extends string>(
  format: FileFormat<K>,
  codeOf: Readonly<Record<RecordFault, string>>,
): void {
  const kinds = (Object.keys(format.kinds) as K[]).filter(
    (kind) => format.kinds[kind].maxBytes >= PAYLOAD_BYTES,
  );
  const folder = (dir: string, owner = OWNER) => ({ port: nodeFiles, dir, format, owner });
  const open = (dir: string, port: FilePort = nodeFiles, owner = OWNER) =>
    RecordLog.open({
      ...{ ...folder(dir, owner), port },
      ...{ random: repeatableRandom(dir), targetBytes: 1 << 20 },
    });
  const pathOf = (dir: string, number: number) => join(dir, recordFileName(format, number));

  /** Two files of three records; in the newest each is synced, or all of them at the end. */
  async function sample(dir = temporaryFolder(), eachSynced = true, owner = OWNER) {
    const log = await open(dir, nodeFiles, owner);
    const written: Sample<K>['written'][number][] = [];
    for (const file of [1, 2]) {
      for (const at of [0, 1, 2]) {
        const kind = kinds[at % kinds.length] as K;
        const text = `payload ${owner[0]} ${file}${at}`.slice(0, PAYLOAD_BYTES);
        const { offset } = await log.append(kind, Buffer.from(text));
        written.push({ file, offset, end: offset + RECORD_HEADER_BYTES + text.length, kind, text });
        if (eachSynced) await log.sync();
      }
      if (file === 1) await log.rotate();
    }
    await log.sync();
    await log.close();
    return { dir, written };
  }

  async function scanned(dir: string): Promise<LogItem<K>[]> {
    const reader = await RecordReader.open(folder(dir));
    const items: LogItem<K>[] = [];
    try {
      for await (const item of reader.scan()) items.push(item);
    } finally {
      await reader.close();
    }
    return items;
  }

  const given = (items: readonly LogItem<K>[]) =>
    items.flatMap((item) =>
      item.type === 'record'
        ? [`${item.header.kind} ${Buffer.from(item.payload ?? []).toString()}`]
        : [],
    );
  const said = (written: Sample<K>['written']) =>
    written.map(({ kind, text }) => `${kind} ${text}`);

  /** The error that the room makes of a fault. */
  const fault = (kind: RecordFault) => expect.objectContaining({ code: codeOf[kind] });

  async function refused(dir: string, kind: RecordFault, says: RegExp): Promise<void> {
    const error: unknown = await scanned(dir).then(
      () => 'nothing was wrong',
      (thrown: unknown) => thrown,
    );
    expect(error).toEqual(fault(kind));
    expect((error as Error).message).toMatch(says);
  }

  describe(`damage to a ${format.name}`, () => {
    test('is none in what was written: it comes back as it was', async () => {
      const { dir, written } = await sample();
      expect(given(await scanned(dir))).toEqual(said(written));
    });

    test('of any one byte costs at most the record whose payload it is, and is named with its place', async () => {
      const { dir, written } = await sample();
      for (const file of [1, 2]) {
        const path = pathOf(dir, file);
        const bytes = readFileSync(path);
        for (let at = 0; at < bytes.length; at += 1) {
          const bent = Buffer.from(bytes);
          bent.writeUInt8(bent.readUInt8(at) ^ (1 << (at % 8)), at);
          writeFileSync(path, bent);
          const items = await scanned(dir);
          const hit = written.find(
            (record) =>
              record.file === file && record.offset + RECORD_HEADER_BYTES <= at && at < record.end,
          );
          // The last record of the newest file is cut with the tail: nothing behind it says that it
          // was durable.
          expect(given(items)).toEqual(said(written.filter((record) => record !== hit)));
          const named = items.filter((item) => item.type !== 'record' || item.isMended);
          expect(named).toHaveLength(1);
          expect(named[0]?.file).toBe(file);
          expect(named[0]?.offset).toBeLessThanOrEqual(at);
        }
        writeFileSync(path, bytes);
      }
    });

    test('of the newest file, cut at any length, leaves what stands before the cut, and the log goes on there', async () => {
      const made = await sample();
      const path = pathOf(made.dir, 2);
      const bytes = readFileSync(path);
      for (let length = 0; length < bytes.length; length += 1) {
        writeFileSync(path, bytes.subarray(0, length));
        const log = await open(made.dir);
        const seen: string[] = [];
        await log.resume((item) => seen.push(item.type));
        const left = made.written.filter(({ file, end }) => file === 1 || end <= length);
        expect(seen).toEqual(left.filter(({ file }) => file === 2).map(() => 'record'));
        const kind = kinds[0] as K;
        await log.append(kind, Buffer.from('after'));
        await log.sync();
        await log.close();
        expect(given(await scanned(made.dir))).toEqual([...said(left), `${kind} after`]);
      }
    });

    test('of an older file, cut at any length, is named unless it fell between two records, and costs no other file', async () => {
      const { dir, written } = await sample();
      const path = pathOf(dir, 1);
      const bytes = readFileSync(path);
      for (let length = 0; length < bytes.length; length += 1) {
        writeFileSync(path, bytes.subarray(0, length));
        const items = await scanned(dir);
        const left = written.filter(({ file, end }) => file === 2 || end <= length);
        expect(given(items)).toEqual(said(left));
        const isBetween =
          length === FILE_HEADER_BYTES ||
          written.some(({ file, end }) => file === 1 && end === length);
        expect(items.filter(({ type }) => type === 'damage')).toHaveLength(isBetween ? 0 : 1);
        expect(items.some((item) => item.type === 'damage' && item.isTorn)).toBe(false);
      }
    });

    test('with its whole header zeroed costs nothing: the other file says what it was', async () => {
      for (const number of [1, 2]) {
        const { dir, written } = await sample();
        const bytes = readFileSync(pathOf(dir, number));
        writeFileSync(pathOf(dir, number), bytes.fill(0, 0, FILE_HEADER_BYTES));
        const items = await scanned(dir);
        expect(given(items)).toEqual(said(written));
        expect(items.find(({ type }) => type === 'damage')).toMatchObject({
          ...{ file: number, offset: 0, end: FILE_HEADER_BYTES, isTorn: false },
        });
      }
    });

    test('in front of records that were synced behind it is never a torn tail', async () => {
      const { dir, written } = await sample();
      const path = pathOf(dir, 2);
      const bytes = readFileSync(path);
      const [first, second] = written.filter(({ file }) => file === 2);
      // So much is gone that nothing of the record can be known any more.
      bytes.fill(0, first?.offset, first?.end);
      writeFileSync(path, bytes);
      const items = await scanned(dir);
      expect(given(items)).toEqual(said(written.filter((record) => record !== first)));
      expect(items.filter(({ type }) => type === 'damage')).toMatchObject([
        { offset: first?.offset, end: second?.offset, isTorn: false },
      ]);
    });

    test('in front of records that no sync covered is a torn tail, unless such records are kept', async () => {
      const { dir, written } = await sample(temporaryFolder(), false);
      const path = pathOf(dir, 2);
      const bytes = readFileSync(path);
      const [first, second, third] = written.filter(({ file }) => file === 2);
      bytes.fill(0, second?.offset, second?.end);
      writeFileSync(path, bytes);
      const items = await scanned(dir);
      const isKept = format.keepsUnsynced === true;
      const gone = isKept ? [second] : [second, third];
      expect(given(items)).toEqual(said(written.filter((record) => !gone.includes(record))));
      expect(items.find(({ type }) => type === 'damage')).toMatchObject({
        ...{ offset: second?.offset, isTorn: !isKept },
      });
      // But not when somebody knows that it was durable.
      const reader = await RecordReader.open(folder(dir));
      const known: LogItem<K>[] = [];
      for await (const item of reader.scanFile(2, { durableTo: third?.end ?? 0 })) known.push(item);
      await reader.close();
      expect(given(known)).toEqual(said([first, third].flatMap((record) => record ?? [])));
      expect(known.some((item) => item.type === 'damage' && item.isTorn)).toBe(false);
    });

    test('by records of another file, left behind on the disk, takes none of them for its own', async () => {
      const { dir, written } = await sample();
      const stale = readFileSync(pathOf(dir, 1)).subarray(FILE_HEADER_BYTES);
      const path = pathOf(dir, 2);
      writeFileSync(path, Buffer.concat([readFileSync(path), stale]));
      const items = await scanned(dir);
      expect(given(items)).toEqual(said(written));
      expect(items.at(-1)).toMatchObject({ type: 'damage', isTorn: true });
    });

    test('by a file of another owner is refused by name, in either place, and the rest can be read', async () => {
      for (const number of [1, 2]) {
        const { dir, written } = await sample();
        const other = await sample(temporaryFolder(), true, new Uint8Array(16).fill(8));
        copyFileSync(pathOf(other.dir, number), pathOf(dir, number));
        await refused(dir, 'foreign', /belongs to another folder; put it back where it came from/);
        const reader = await RecordReader.open(folder(dir));
        const rest: LogItem<K>[] = [];
        for await (const item of reader.scanFile(3 - number)) rest.push(item);
        await reader.close();
        expect(given(rest)).toEqual(said(written.filter(({ file }) => file !== number)));
        // Nothing is written into it either.
        const log = await open(dir);
        if (number === 2)
          await expect(log.append(kinds[0] as K, Buffer.from('x'))).rejects.toEqual(
            fault('foreign'),
          );
        await log.close();
      }
    });

    test('by a file that was renamed or doubled is refused by name', async () => {
      const { dir } = await sample();
      const doubled = temporaryFolder();
      cpSync(dir, doubled, { recursive: true });
      copyFileSync(pathOf(doubled, 1), pathOf(doubled, 3));
      await refused(doubled, 'foreign', /00000003\..* holds .* 1: it was renamed or doubled/);
      copyFileSync(pathOf(dir, 1), pathOf(dir, 2));
      await refused(dir, 'foreign', /00000002\..* holds .* 1: it was renamed or doubled/);
    });

    test('is not what a later release wrote: that is refused by name, and never cut', async () => {
      const { dir, written } = await sample();
      const path = pathOf(dir, 2);
      const bytes = readFileSync(path);
      const last = written.at(-1)?.offset ?? 0;
      const start = bytes.readUInt32BE(FILE_HEADER_BYTES - 4);
      const record = Buffer.from(bytes);
      record.writeUInt8(2, last + 4);
      record.writeUInt32BE(crc32(record.subarray(last, last + 48), start), last + 48);
      writeFileSync(path, record);
      expect((await scanned(dir)).at(-1)).toMatchObject({
        ...{ type: 'unknown', offset: last, why: 'record version 2' },
      });
      const log = await open(dir);
      await expect(log.resume(() => undefined)).rejects.toEqual(fault('later'));
      await log.close();
      expect(readFileSync(path)).toEqual(record);
      bytes.writeUInt8(2, 7);
      bytes.writeUInt32BE(crc32(bytes.subarray(0, FILE_HEADER_BYTES - 4)), FILE_HEADER_BYTES - 4);
      writeFileSync(path, bytes);
      await refused(dir, 'later', /was written by another release \(version 2\)/);
    });

    test('is not that it may not be written: it is read as ever, and the first write names it', async () => {
      const { dir, written } = await sample();
      const readOnly: FilePort = Object.create(nodeFiles, {
        open: {
          value: (...args: Parameters<FilePort['open']>) => {
            if (args[1] === 'read') return nodeFiles.open(...args);
            return Promise.reject(
              Object.assign(new Error('EACCES'), { code: 'EACCES', syscall: 'open' }),
            );
          },
        },
      });
      const log = await open(dir, readOnly);
      const items: LogItem<K>[] = [];
      for await (const item of log.scan()) items.push(item);
      expect(given(items)).toEqual(said(written));
      const error: unknown = await log
        .append(kinds[0] as K, Buffer.from('x'))
        .catch((thrown) => thrown);
      expect(error).toBeInstanceOf(FileError);
      expect(error).toMatchObject({ code: 'FILE_DENIED' });
      expect((error as Error).message).toContain(pathOf(dir, 2));
      await log.close();
      expect(given(await scanned(dir))).toEqual(said(written));
    });

    test('is classed for fsck: a header, what is mended, a payload, a torn tail, or what is being written', async () => {
      const { dir, written } = await sample();
      const newest = written.filter(({ file }) => file === 2);
      const path = pathOf(dir, 2);
      const bytes = readFileSync(path);
      const [first, second, third] = newest;
      bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
      const mended = (first?.offset ?? 0) + 9;
      bytes.writeUInt8(bytes.readUInt8(mended) ^ 1, mended);
      const payload = (second?.end ?? 0) - 1;
      bytes.writeUInt8(bytes.readUInt8(payload) ^ 1, payload);
      writeFileSync(path, Buffer.concat([bytes, Buffer.from('half a rec')]));
      const reader = await RecordReader.open(folder(dir));
      const found: string[] = [];
      for await (const item of proveFile(reader, 2)) {
        const type = item.type === 'record' && item.isMended ? 'mended' : item.type;
        found.push(`${type} at ${item.offset}`);
      }
      expect(found).toEqual([
        'header at 0',
        `mended at ${first?.offset}`,
        `damage at ${second?.offset}`,
        `record at ${third?.offset}`,
        `torn at ${third?.end}`,
      ]);
      // What a living process is writing is no torn tail.
      const live: string[] = [];
      for await (const { type } of proveFile(reader, 2, { isLive: true })) live.push(type);
      expect(live).toEqual(['header', 'record', 'damage', 'record', 'under way']);
      await reader.close();
    });
  });
}
