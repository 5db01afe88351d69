import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asChunkId, asVaultId } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemRandom } from '@aliquot/shared/ports';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { vectors } from '@aliquot/shared/testing/vectors';
import { describe, expect, test } from 'vitest';
import { StoreError } from '../errors.ts';
import { DiskPacks } from './disk-packs.ts';
import { decodeEnd, decodeIndex, encodeEnd, IndexRows, PackIndex } from './pack-format.ts';

interface WrongPack {
  readonly name: string;
  readonly bytes: string;
  readonly refused?: string;
  readonly found?: readonly string[];
  readonly readable?: number;
}

interface PackVectors {
  readonly vault: string;
  readonly salt: string;
  readonly items: readonly {
    readonly kind: 'chunk' | 'page' | 'slab';
    readonly bytes: string;
    readonly id: string;
  }[];
  readonly bytes: string;
  readonly wrong: readonly WrongPack[];
}

const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const vaultId = asVaultId(unhex(vectors<PackVectors>('pack-1').vault));

/** What a collector makes of a folder whose first pack is these bytes. */
async function takenFor(bytes: string): Promise<Pick<WrongPack, 'refused' | 'found' | 'readable'>> {
  const dir = join(temporaryFolder(), 'packs');
  mkdirSync(dir);
  writeFileSync(join(dir, '00000001.pack'), unhex(bytes));
  const found: string[] = [];
  let readable = 0;
  try {
    const packs = await DiskPacks.open(dir, vaultId, { files: nodeFiles, random: systemRandom });
    try {
      for await (const rows of packs.rows(1))
        for (const { id, place } of rows) {
          found.push(hex(id));
          await packs.read(id, place).then(
            () => (readable += 1),
            () => undefined,
          );
        }
    } finally {
      await packs.close();
    }
  } catch (error) {
    if (error instanceof StoreError) return { refused: error.code };
    throw error;
  }
  return { found, readable };
}

describe.each([
  ['a pack', vectors<PackVectors>('pack-1')],
  ['a pack of slabs', vectors<PackVectors>('pack-slab-1')],
])('%s', (_name, given) => {
  test('is written byte for byte as FORMAT.md says', async () => {
    const dir = join(temporaryFolder(), 'packs');
    // So small that the items fill it: then what is put next closes it.
    const packBytes = given.items.reduce((sum, { bytes }) => sum + 52 + bytes.length / 2, 40);
    const random = { bytes: () => unhex(given.salt) };
    const ports = { files: nodeFiles, random, packBytes };
    const packs = await DiskPacks.open(dir, vaultId, ports);
    const items = given.items.map(({ kind, id, bytes }) => {
      return { kind, id: asChunkId(unhex(id)), bytes: unhex(bytes) };
    });
    await packs.put([items[0] as (typeof items)[number]]);
    await packs.put([items[1] as (typeof items)[number]]);
    await packs.put(items);
    await packs.close();
    expect(hex(readFileSync(join(dir, '00000001.pack')))).toBe(given.bytes);
    expect(await takenFor(given.bytes)).toEqual({
      found: given.items.map(({ id }) => id),
      readable: 2,
    });
  });

  test.each(given.wrong)('that $name', async ({ bytes, refused, found, readable }) => {
    const expected = refused === undefined ? { found, readable } : { refused };
    expect(await takenFor(bytes)).toEqual(expected);
  });
});

describe('the index of a pack', () => {
  const index = new PackIndex();
  const id = new Uint8Array(32).fill(3);
  const whole = { pieces: 0, hasHoles: false };
  index.add({ kind: 'chunk', offset: 40, length: 10, id, ...whole });
  index.add({ kind: 'page', offset: 102, length: 20, id, ...whole });
  const payload = Buffer.from(index.payload());
  const end = { indexOffset: 174, items: 2 };

  test('gives back its rows, and from an offset on', () => {
    const rows = decodeIndex(payload, end);
    expect(rows?.row(1)).toEqual({ kind: 'page', offset: 102, length: 20, id, ...whole });
    expect([0, 40, 41, 102, 103].map((offset) => rows?.indexOf(offset))).toEqual([0, 0, 1, 1, 2]);
  });

  test('with a byte changed where numbers stand, cut or longer is none', () => {
    for (const at of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 45, 46, 47, 48, 49, 53]) {
      const copy = Buffer.from(payload);
      copy[at] = copy.readUInt8(at) ^ 0x80;
      expect(decodeIndex(copy, end)).toBeUndefined();
    }
    for (let length = 0; length < payload.length; length += 1)
      expect(IndexRows.of(payload.subarray(0, length))).toBeUndefined();
    expect(IndexRows.of(Buffer.concat([payload, Buffer.alloc(1)]))).toBeUndefined();
    expect(decodeIndex(payload, { ...end, items: 1 })).toBeUndefined();
    expect(decodeIndex(payload, { ...end, indexOffset: 175 })).toBeUndefined();
  });

  test('says of slabs how many pieces they have, and whether they lack some', () => {
    const slabs = new PackIndex();
    const rows = [
      { kind: 'slab', offset: 40, length: 0x20_0000, id, pieces: 1, hasHoles: false },
      { kind: 'slab', offset: 40 + 52 + 0x20_0000, length: 9, id, pieces: 256, hasHoles: true },
    ] as const;
    for (const row of rows) slabs.add(row);
    const indexOffset = 40 + 52 + 0x20_0000 + 52 + 9;
    const found = decodeIndex(Buffer.from(slabs.payload()), { indexOffset, items: 2 });
    expect([0, 1].map((at) => found?.row(at))).toEqual(rows);
  });

  test('grows past its first rows', () => {
    const large = new PackIndex();
    for (let count = 0; count < 1000; count += 1)
      large.add({ kind: 'chunk', offset: 40 + count * 53, length: 1, id, ...whole });
    const rows = decodeIndex(large.payload(), { indexOffset: 40 + 53_000, items: 1000 });
    expect(rows?.row(999)).toEqual({
      kind: 'chunk',
      offset: 40 + 999 * 53,
      length: 1,
      id,
      ...whole,
    });
  });
});

describe('the end of a pack', () => {
  test('is taken only where the pack is as long as it says', () => {
    const bytes = encodeEnd({ indexOffset: 174, items: 2 });
    const size = 174 + 52 + 4 + 2 * 41 + 60;
    expect(decodeEnd(bytes, size)).toEqual({ indexOffset: 174, items: 2 });
    expect(decodeEnd(bytes, size + 1)).toBeUndefined();
    expect(decodeEnd(bytes.subarray(1), size)).toBeUndefined();
  });
});
