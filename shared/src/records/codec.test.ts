import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../crypto/primitives.ts';
import {
  decodeFileHeader,
  encodeFileHeader,
  nearFileHeader,
  nextMagic,
  RECORD_HEADER_BYTES,
  RecordCodec,
} from './codec.ts';
import type { FileFormat } from './format.ts';

/** The chain log of FORMAT.md's worked example, as far as that needs it. */
const format: FileFormat<'gcEpoch' | 'receipt'> = {
  name: 'chain log',
  magic: 'ALQCHAN',
  suffix: '.log',
  kinds: { gcEpoch: { code: 22, maxBytes: 9 }, receipt: { code: 17, maxBytes: 100 } },
  error: (fault, says) => Object.assign(new Error(says), { fault }),
};
const header = {
  number: 1,
  owner: Uint8Array.from({ length: 16 }, (_, at) => at),
  salt: 0x1020304,
};
const codec = new RecordCodec(format, header);
const payload = Buffer.from('010000000000000005', 'hex');
const sound = { kind: 'gcEpoch', length: 9, syncedTo: 40, digest: sha256(payload) } as const;

function encoded(of: RecordCodec<'gcEpoch' | 'receipt'> = codec): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
  of.encodeInto(bytes, 0, sound);
  return bytes;
}

/** The same bytes with one of them changed, at every place. */
function* bent(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1) {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at);
    yield copy;
  }
}

describe("a file's header", () => {
  const bytes = encodeFileHeader(format, header);

  test('has the bytes of the worked example in FORMAT.md, and comes back', () => {
    expect(bytes.toString('hex')).toBe(
      '414c514348414e01' + '0000000000000001' + '000102030405060708090a0b0c0d0e0f01020304a732d332',
    );
    expect(decodeFileHeader(bytes, format)).toEqual({ type: 'header', header });
  });

  test('with any byte changed is refused, and found out again', () => {
    for (const copy of bent(bytes)) {
      expect(decodeFileHeader(copy, format).type).toBe('bad');
      expect(nearFileHeader(copy, format, 1)).toEqual(header);
    }
    expect(nearFileHeader(Buffer.alloc(40), format, 1)).toBeUndefined();
  });

  test('cut anywhere, of another kind, or of a later version is told from a sound one', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(decodeFileHeader(bytes.subarray(0, length), format).type).toBe('bad');
    expect(decodeFileHeader(bytes, { ...format, magic: 'ALQSEGM' }).type).toBe('bad');
    const later = Buffer.from(bytes);
    later.writeUInt8(2, 7);
    later.writeUInt32BE(crc32(later.subarray(0, 36)), 36);
    expect(decodeFileHeader(later, format)).toEqual({ type: 'later', version: 2 });
  });
});

describe("a record's header", () => {
  const bytes = encoded();

  test('has the bytes of the worked example in FORMAT.md, and comes back', () => {
    expect(bytes.toString('hex')).toBe(
      '414c5152011600000000000900000028' +
        '463c874a601f0572578fc1a0a07af1726b0285eadceb0d283db38001c07733f3' +
        'f9062553',
    );
    expect(codec.decode(bytes)).toEqual({ type: 'header', header: sound });
    expect(codec.proves(sound, payload)).toBe(true);
    expect(codec.proves(sound, payload.subarray(1))).toBe(false);
  });

  test('with any byte changed is refused, and found among what it may have been', () => {
    for (const copy of bent(bytes)) {
      expect(codec.decode(copy).type).toBe('bad');
      expect([...codec.near(copy)]).toContainEqual(sound);
    }
  });

  test('cut anywhere, or of a file with another number, owner or salt, is none', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(codec.decode(bytes.subarray(0, length)).type).toBe('bad');
    for (const change of [{ number: 2 }, { owner: new Uint8Array(16) }, { salt: 5 }]) {
      const other = new RecordCodec(format, { ...header, ...change });
      expect(other.decode(bytes).type).toBe('bad');
      expect(other.decode(encoded(other))).toEqual({ type: 'header', header: sound });
    }
  });

  test('of a later release is told from a broken one, and a length is looked at before it is used', () => {
    const larger = { ...format, kinds: { ...format.kinds, gcEpoch: { code: 22, maxBytes: 8 } } };
    expect(new RecordCodec(larger, header).decode(bytes)).toMatchObject({
      type: 'unknown',
      why: 'a gcEpoch of 9 bytes',
    });
    const fewer = { ...format, kinds: { receipt: format.kinds.receipt } };
    expect(new RecordCodec<string>(fewer, header).decode(bytes)).toMatchObject({
      type: 'unknown',
      why: 'record kind 22',
    });
    expect(() => codec.encodeInto(Buffer.alloc(52), 0, { ...sound, length: 10 })).toThrow(
      'a gcEpoch of 10 bytes is larger than the 9 that a chain log takes',
    );
  });

  test('is found behind garbage', () => {
    const garbage = Buffer.concat([Buffer.from('ALQRALQR'), bytes]);
    expect(nextMagic(garbage, 0)).toBe(0);
    expect(nextMagic(garbage, 5)).toBe(8);
    expect(codec.decode(garbage, 8)).toEqual({ type: 'header', header: sound });
    expect(codec.decode(garbage, 4).type).toBe('bad');
  });
});
