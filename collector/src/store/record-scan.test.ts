import { sha256 } from '@aliquot/shared/crypto/primitives';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { HashPool } from '../hashing/hash-pool.ts';
import type { PackSource } from './pack-source.ts';
import {
  encodeRecordHeader,
  PACK_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type RecordKind,
} from './record.ts';
import { type Scanned, type ScanOptions, scanRecords } from './record-scan.ts';

const SALT = 7;
const everything = () => true;
const pool = new HashPool(1);
afterAll(() => pool.close());

interface Made {
  readonly bytes: Buffer;
  readonly records: readonly {
    readonly header: RecordHeader;
    readonly payload: Buffer;
    readonly offset: number;
    readonly end: number;
  }[];
}

/**
 * A pack without header, index and footer; payloads are repeated bytes, so that large ones cost
 * nothing to make.
 */
function packOf(
  list: readonly { readonly kind: Exclude<RecordKind, 'index'>; readonly length: number }[],
): Made {
  const parts: Buffer[] = [Buffer.alloc(PACK_HEADER_BYTES)];
  let offset = PACK_HEADER_BYTES;
  const records = list.map(({ kind, length }, at) => {
    const payload = Buffer.alloc(length, at + 1);
    const header = { kind, length, syncedTo: 0, id: new Uint8Array(sha256(payload)) };
    parts.push(encodeRecordHeader(header, SALT), payload);
    const record = { header, payload, offset, end: offset + RECORD_HEADER_BYTES + length };
    offset = record.end;
    return record;
  });
  return { bytes: Buffer.concat(parts), records };
}

/**
 * A pack whose file may be shorter than it was when it was opened, and which counts the reads that
 * are under way.
 */
class Source implements PackSource {
  readonly path = '00000001.pack';
  readonly number = 1;
  readonly size: number;
  readonly #bytes: Buffer;
  reading = 0;
  bytesRead = 0;

  constructor(bytes: Buffer, size = bytes.length) {
    this.#bytes = bytes;
    this.size = size;
  }

  async read(position: number, length: number): Promise<Buffer> {
    this.reading += 1;
    await new Promise((resolve) => setImmediate(resolve));
    this.reading -= 1;
    this.bytesRead += length;
    return Buffer.from(this.#bytes.subarray(position, position + length));
  }
}

async function scanned(source: PackSource, options: ScanOptions): Promise<Scanned[]> {
  const found: Scanned[] = [];
  for await (const item of scanRecords(source, SALT, options)) found.push(item);
  return found;
}

function expected(
  { records }: Made,
  isWanted: (kind: RecordKind) => boolean = everything,
): Scanned[] {
  return records.map(({ header, payload, offset, end }) => ({
    type: 'record',
    header,
    offset,
    end,
    payload:
      isWanted(header.kind) && header.kind !== 'chunk' && header.kind !== 'page'
        ? payload
        : undefined,
    sound: true,
    mended: false,
  }));
}

const length = fc.oneof(
  { weight: 12, arbitrary: fc.nat(300) },
  { weight: 4, arbitrary: fc.integer({ min: 60_000, max: 140_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 2 * 1024 * 1024 - 200, max: 2 * 1024 * 1024 + 200 }) },
  { weight: 1, arbitrary: fc.integer({ min: 3_000_000, max: 4_100_000 }) },
);
const small = fc.record({
  kind: fc.constantFrom('event' as const, 'uploads' as const),
  length: fc.nat(300),
});
const data = fc.record({ kind: fc.constantFrom('chunk' as const, 'page' as const), length });
const list = fc.array(fc.oneof({ weight: 1, arbitrary: small }, { weight: 3, arbitrary: data }), {
  maxLength: 25,
});

describe('records of a pack', () => {
  test('are found in order, each whole and proved, however they lie in what is read at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        list,
        fc.nat(),
        fc.boolean(),
        fc.boolean(),
        async (made, first, skipping, inThreads) => {
          const pack = packOf(
            made.map((one) =>
              one.kind === 'page' ? { ...one, length: Math.min(one.length, 60_000) } : one,
            ),
          );
          const wanted = (kind: RecordKind): boolean => !skipping || kind !== 'chunk';
          const from =
            pack.records[first % Math.max(1, pack.records.length)]?.offset ?? PACK_HEADER_BYTES;
          const options = { from, wanted, ...(inThreads ? { hasher: pool } : {}) };
          const all = expected(pack, wanted).filter(({ offset }) => offset >= from);
          expect(await scanned(new Source(pack.bytes), options)).toEqual(all);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('that are skipped are not read', async () => {
    const pack = packOf(
      Array.from({ length: 20 }, () => ({ kind: 'chunk' as const, length: 1_000_000 })),
    );
    const source = new Source(pack.bytes);
    expect(await scanned(source, { wanted: () => false })).toHaveLength(20);
    expect(source.bytesRead).toBeLessThan(20 * 70_000);
  });

  test('end where the pack was cut, at whatever byte, before it was opened or since', async () => {
    const pack = packOf([
      { kind: 'event', length: 40 },
      { kind: 'chunk', length: 100 },
      { kind: 'chunk', length: 0 },
      { kind: 'event', length: 10 },
    ]);
    for (let cut = PACK_HEADER_BYTES; cut < pack.bytes.length; cut += 1) {
      const whole = expected(pack).filter((item) => item.type === 'record' && item.end <= cut);
      const end = pack.records.findLast((record) => record.end <= cut)?.end ?? PACK_HEADER_BYTES;
      const bad: Scanned = { type: 'bad', offset: end, why: 'incomplete' };
      const bytes = pack.bytes.subarray(0, cut);
      expect(await scanned(new Source(bytes), { wanted: everything })).toEqual(
        end === cut ? whole : [...whole, bad],
      );
      expect(await scanned(new Source(bytes, pack.bytes.length), { wanted: everything })).toEqual([
        ...whole,
        bad,
      ]);
    }
  });

  test('are told when they rotted, and those behind are found all the same', async () => {
    const pack = packOf([
      { kind: 'chunk', length: 50 },
      { kind: 'chunk', length: 2_500_000 },
      { kind: 'event', length: 30 },
    ]);
    for (const [index, record] of pack.records.entries()) {
      const payload = Buffer.from(pack.bytes);
      payload[record.end - 1] = 255;
      const found = await scanned(new Source(payload), { wanted: everything, hasher: pool });
      expect(found.map((item) => item.type === 'record' && item.sound)).toEqual(
        [0, 1, 2].map((at) => at !== index),
      );

      const header = Buffer.from(pack.bytes);
      header[record.offset + 20] = (header[record.offset + 20] ?? 0) ^ 4;
      const mended = await scanned(new Source(header), { wanted: everything });
      expect(mended.map((item) => item.type === 'record' && [item.sound, item.mended])).toEqual(
        [0, 1, 2].map((at) => [true, at === index]),
      );
    }
  });

  test('may be left in the middle: no read is under way any more', async () => {
    const source = new Source(
      packOf(Array.from({ length: 30 }, () => ({ kind: 'chunk' as const, length: 300_000 }))).bytes,
    );
    for await (const item of scanRecords(source, SALT, { wanted: everything, hasher: pool })) {
      if (item.offset > 2_000_000) break;
    }
    expect(source.reading).toBe(0);
  });
});
