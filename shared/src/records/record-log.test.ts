import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { sha256 } from '../crypto/primitives.ts';
import { nodeFiles } from '../durable/file-port.ts';
import { systemRandom } from '../ports.ts';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from './codec.ts';
import type { FileFormat, NewRecord } from './format.ts';
import { RecordReader } from './reader.ts';
import { RecordLog, type RecordLogOptions } from './record-log.ts';

class TestError extends AliquotError {}
type Kind = 'small' | 'large';
const format: FileFormat<Kind> = {
  name: 'test log',
  magic: 'ALQTEST',
  suffix: '.rec',
  kinds: { small: { code: 1, maxBytes: 1000 }, large: { code: 2, maxBytes: 4 * 1024 * 1024 } },
  error: (fault, says) => new TestError(`TEST_${fault}`, says),
};

function options(dir: string, more: Partial<RecordLogOptions<Kind>> = {}): RecordLogOptions<Kind> {
  return { port: nodeFiles, dir, format, random: systemRandom, targetBytes: 8192, ...more };
}

function record(text: string): NewRecord<Kind> {
  return { kind: 'small', payload: Buffer.from(text) };
}

async function texts(log: RecordReader<Kind>): Promise<string[]> {
  const found: string[] = [];
  for await (const item of log.scan())
    found.push(
      item.type === 'record'
        ? Buffer.from(item.payload ?? []).toString()
        : `${item.type} at ${item.offset}`,
    );
  return found;
}

test('what was appended is read back at its place, after a restart too', async () => {
  const dir = join(temporaryFolder(), 'log');
  const log = await RecordLog.open(options(dir));
  const first = await log.append('small', Buffer.from('one'));
  const places = await log.appendAll([record('two'), record('three')]);
  await log.sync();
  expect(first).toEqual({ file: 1, offset: FILE_HEADER_BYTES });
  expect(Buffer.from((await log.read(places[1] ?? first, 5)).payload).toString()).toBe('three');
  await log.close();
  const again = await RecordLog.open(options(dir));
  const seen: string[] = [];
  await again.resume((item) => seen.push(item.type));
  expect(seen).toEqual(['record', 'record', 'record']);
  await again.append('small', Buffer.from('four'));
  await again.sync();
  expect(await texts(again)).toEqual(['one', 'two', 'three', 'four']);
  expect(Buffer.from((await again.read(first)).payload).toString()).toBe('one');
  await again.close();
});

test('the place that is promised is the place that is given, also in the next file', async () => {
  const log = await RecordLog.open(options(temporaryFolder(), { targetBytes: 200 }));
  for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) {
    const promised = await log.placesOf([text.length, text.length]);
    expect(await log.appendAll([record(text), record(text)])).toEqual(promised);
  }
  await log.sync();
  expect(log.files().length).toBeGreaterThan(4);
  expect(await texts(log)).toEqual([...'aabbccddeeff']);
  await log.close();
});

test('small records that are gathered are one write, and large ones stand behind them', async () => {
  const dir = temporaryFolder();
  const log = await RecordLog.open(options(dir, { gatherBytes: 500 }));
  for (let count = 0; count < 20; count += 1) await log.append('small', Buffer.from(`s${count}`));
  const large = await log.append('large', Buffer.alloc(600, 7));
  await log.append('small', Buffer.from('last'));
  expect(readFileSync(join(dir, '00000001.rec')).length).toBeLessThan(log.end().offset);
  await log.sync();
  expect(readFileSync(join(dir, '00000001.rec')).length).toBe(log.end().offset);
  expect((await log.read(large)).header).toMatchObject({ kind: 'large', length: 600 });
  expect(await texts(log)).toHaveLength(22);
  await log.close();
});

test('a file that is full is closed with what its owner says, and a record says what was durable', async () => {
  const log = await RecordLog.open(
    options(temporaryFolder(), { closing: (file) => [record(`end of ${file}`)] }),
  );
  await log.append('small', Buffer.from('one'));
  await log.sync();
  const second = await log.append('small', Buffer.from('two'));
  await log.rotate();
  expect(await log.append('small', Buffer.from('three'))).toEqual({ file: 2, offset: 40 });
  await log.sync();
  expect(await texts(log)).toEqual(['one', 'two', 'end of 1', 'three']);
  expect((await log.readHeader(second))?.syncedTo).toBe(second.offset);
  await log.close();
});

test('numbers that were used are not used again', async () => {
  const dir = temporaryFolder();
  const log = await RecordLog.open(options(dir));
  await log.append('small', Buffer.from('one'));
  await log.rotate();
  await log.append('small', Buffer.from('two'));
  await log.sync();
  await log.drop(1);
  await log.close();
  const again = await RecordLog.open(options(dir, { usedNumbers: 7 }));
  expect((await again.append('small', Buffer.from('three'))).file).toBe(8);
  await again.sync();
  expect(await texts(again)).toEqual(['two', 'three']);
  await again.close();
});

test('a record that is too large is refused before anything is written', async () => {
  const log = await RecordLog.open(options(temporaryFolder()));
  await expect(log.append('small', Buffer.alloc(1001))).rejects.toMatchObject({
    code: 'TEST_tooLarge',
  });
  await log.append('small', Buffer.from('one'));
  await log.sync();
  expect(await texts(log)).toEqual(['one']);
  await log.close();
});

test('two logs have other salts, and a file of the one is foreign to the other', async () => {
  const dirs = [temporaryFolder(), temporaryFolder()];
  for (const dir of dirs) {
    const log = await RecordLog.open(
      options(dir, { owner: sha256(Buffer.from(dir)).subarray(16) }),
    );
    for (const text of ['one', 'two']) {
      await log.append('small', Buffer.from(text));
      await log.sync();
      await log.rotate();
    }
    await log.close();
  }
  const [mine = '', theirs = ''] = dirs.map((dir) => join(dir, '00000002.rec'));
  const bytes = readFileSync(mine);
  expect(bytes.subarray(FILE_HEADER_BYTES + RECORD_HEADER_BYTES - 4).toString('hex')).not.toBe(
    readFileSync(theirs)
      .subarray(FILE_HEADER_BYTES + RECORD_HEADER_BYTES - 4)
      .toString('hex'),
  );
  writeFileSync(mine, readFileSync(theirs));
  const log = await RecordReader.open(options(dirs[0] ?? ''));
  await expect(texts(log)).rejects.toMatchObject({ code: 'TEST_foreign' });
  await log.close();
});

test('a kind with a plan of its own is proved by it: read alone, ahead, in a scan, behind a rotten header', async () => {
  // The digest covers the first two bytes; the third is their sum's hash in one byte.
  const planned: FileFormat<Kind> = {
    ...format,
    kinds: {
      ...format.kinds,
      large: {
        ...format.kinds.large,
        plan: (payload) =>
          payload.length !== 35
            ? undefined
            : {
                spans: [
                  { offset: 0, length: 2 },
                  { offset: 2, length: 1 },
                ],
                holds: (bytes, digest, hashes) =>
                  Buffer.compare(hashes.subarray(0, 32), digest) === 0 &&
                  Buffer.compare(hashes.subarray(32), bytes.subarray(3)) === 0,
              },
      },
    },
  };
  const dir = join(temporaryFolder(), 'log');
  const log = await RecordLog.open(options(dir, { format: planned }));
  const payload = Buffer.concat([Buffer.from('abc'), sha256(Buffer.from('c'))]);
  const digest = sha256(Buffer.from('ab'));
  const records = [record('one'), { kind: 'large', payload, digest } as const, record('two')];
  const [, place] = await log.appendAll(records);
  if (place === undefined) throw new Error('no place');
  await log.sync();
  await log.close();
  const path = join(dir, '00000001.rec');
  const bytes = readFileSync(path);
  const found = async (): Promise<string[]> => {
    const reader = await RecordReader.open({ port: nodeFiles, dir, format: planned });
    const types: string[] = [];
    for await (const { type } of reader.scanFile(1, { durableTo: bytes.length })) types.push(type);
    for (const length of [undefined, 35])
      types.push(await reader.read(place, length).then(({ header }) => header.kind, String));
    await reader.close();
    return types;
  };
  const sound = ['record', 'record', 'record', 'large', 'large'];
  expect(await found()).toEqual(sound);
  const change = async (at: number): Promise<string[]> => {
    const changed = Buffer.from(bytes);
    changed[at] = changed.readUInt8(at) ^ 1;
    writeFileSync(path, changed);
    return found();
  };
  expect(await change(place.offset + 9)).toEqual(sound);
  for (const at of [0, 2, 3, 34])
    expect((await change(place.offset + RECORD_HEADER_BYTES + at)).join()).toMatch(
      /^record,damage,record,.*damaged.*damaged/,
    );
});
