import { asVaultId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeFooter,
  decodeIndex,
  decodePackHeader,
  decodeRecordHeader,
  encodeFooter,
  encodePackHeader,
  encodeRecordHeader,
  PackIndex,
  type RecordHeader,
} from './record.ts';

const SALT = 0x01020304;
const vaultId = asVaultId(Uint8Array.from({ length: 16 }, (_, index) => index));
const expected = { path: 'packs/00000001.pack', number: 1, vaultId };
const event: RecordHeader = {
  kind: 'event',
  length: 3,
  syncedTo: 36,
  id: sha256(Buffer.from('abc')),
};

describe('pack bytes (FORMAT.md, "Pack")', () => {
  test('are those of the worked example', () => {
    const header = encodePackHeader({ number: 1, vaultId, salt: SALT });
    expect(header.toString('hex')).toBe(
      '414c515041434b0100000001000102030405060708090a0b0c0d0e0f010203044cf6cb6d',
    );
    expect(decodePackHeader(header, expected)).toEqual({ number: 1, vaultId, salt: SALT });
    const record = encodeRecordHeader(event, SALT);
    expect(record.toString('hex')).toBe(
      '414c5152010500000000000300000024ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad9e3cd467',
    );
    expect(decodeRecordHeader(record, SALT)).toEqual({ type: 'header', header: event });
  });

  test('with any bit changed are no record, header or footer', () => {
    const record = encodeRecordHeader(event, SALT);
    const header = encodePackHeader({ number: 1, vaultId, salt: SALT });
    const footer = encodeFooter({ indexOffset: 4000, records: 7 }, 1, SALT);
    fc.assert(
      fc.property(fc.nat(), (at) => {
        const spoil = (bytes: Buffer) => {
          const copy = Buffer.from(bytes);
          const bit = at % (copy.length * 8);
          copy[bit >> 3] = copy.readUInt8(bit >> 3) ^ (1 << (bit & 7));
          return copy;
        };
        expect(decodeRecordHeader(spoil(record), SALT)).toEqual({ type: 'bad' });
        expect(decodePackHeader(spoil(header), expected)).toBeUndefined();
        expect(decodeFooter(spoil(footer), 1, SALT)).toBeUndefined();
      }),
    );
  });

  test('I-C5 of another pack, as a hostile chunk might hold them, are no record here', () => {
    expect(decodeRecordHeader(encodeRecordHeader(event, SALT), SALT + 1)).toEqual({ type: 'bad' });
  });

  test('of another vault, number or version are refused by name', () => {
    const header = encodePackHeader({ number: 1, vaultId, salt: SALT });
    expect(() => decodePackHeader(header, { ...expected, number: 2 })).toThrow('holds pack 1');
    expect(() =>
      decodePackHeader(header, { ...expected, vaultId: asVaultId(new Uint8Array(16)) }),
    ).toThrow('another vault');
  });

  test('longer than the limit of their kind are not written', () => {
    expect(() =>
      encodeRecordHeader({ ...event, kind: 'page', length: 128 * 1024 + 1 }, SALT),
    ).toThrow('larger than');
  });

  test('an index gives back its rows, and nothing when it is cut', () => {
    const index = new PackIndex();
    for (let at = 0; at < 600; at += 1) index.add({ ...event, length: at }, 36 + at * 100);
    const payload = index.payload();
    expect(decodeIndex(payload)).toHaveLength(600);
    expect(decodeIndex(payload)?.[599]).toEqual({
      kind: 'event',
      offset: 36 + 59_900,
      length: 599,
      id: event.id,
    });
    expect(decodeIndex(payload.subarray(0, -1))).toBeUndefined();
  });
});
