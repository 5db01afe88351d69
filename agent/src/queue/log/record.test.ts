import { describe, expect, test } from 'vitest';
import { sample } from '../../../testing/queue/support.ts';
import {
  decodeKnown,
  decodeLostRecord,
  decodePathRecord,
  decodeProblem,
  decodeSignedRecord,
  decodeVersion,
  encodeKnown,
  encodePathRecord,
} from './payloads.ts';
import {
  checkFileHeader,
  encodeFileHeader,
  encodeRecord,
  findRecordHeader,
  MAX_PAYLOAD_BYTES,
  parseRecordHeader,
  payloadMatches,
  RECORD_HEADER_BYTES,
} from './record.ts';

const payload = encodePathRecord(Buffer.from('/d'));
const record = Buffer.from(encodeRecord('forget', payload));

describe('records', () => {
  test('are the bytes of the worked example in FORMAT.md', () => {
    expect(Buffer.from(encodeFileHeader('segment', 1)).toString('hex')).toBe(
      '414c51530100000000000000' + '00000001',
    );
    expect(record.subarray(0, 12).toString('hex')).toBe('414c51720105000000000007');
    expect(record.subarray(RECORD_HEADER_BYTES).toString('hex')).toBe('01000000022f64');
    expect(record).toHaveLength(55);
  });

  test('come back as they were, and any flipped bit is noticed', () => {
    const header = parseRecordHeader(record, 'segment');
    expect(header).toMatchObject({ kind: 'forget', length: 7 });
    expect(header && payloadMatches(header, record.subarray(RECORD_HEADER_BYTES))).toBe(true);
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const bent = Buffer.from(record);
      bent.writeUInt8((bent[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      const read = parseRecordHeader(bent, 'segment');
      expect(read !== undefined && payloadMatches(read, bent.subarray(RECORD_HEADER_BYTES))).toBe(
        false,
      );
    }
  });

  test('are refused before anything is allocated when cut, of the other log, or too long', () => {
    for (let length = 0; length < RECORD_HEADER_BYTES; length += 1)
      expect(parseRecordHeader(record.subarray(0, length), 'segment')).toBeUndefined();
    expect(parseRecordHeader(record, 'chain')).toBeUndefined();
    expect(() => encodeRecord('chunk', new Uint8Array(MAX_PAYLOAD_BYTES + 1))).toThrow(/too large/);
  });

  test('are found again behind garbage', () => {
    expect(findRecordHeader(Buffer.concat([Buffer.from('ALQrALQr'), record]), 0, 'segment')).toBe(
      8,
    );
    expect(findRecordHeader(Buffer.from('ALQr'.repeat(30)), 0, 'segment')).toBe(-1);
  });

  test('of a file with another number, magic or version are not read', () => {
    const header = Buffer.from(encodeFileHeader('segment', 3));
    expect(() => checkFileHeader(header, 'segment', 3, 'x')).not.toThrow();
    expect(() => checkFileHeader(header, 'segment', 4, 'x')).toThrow(
      expect.objectContaining({ code: 'QUEUE_DAMAGED' }),
    );
    expect(() => checkFileHeader(header, 'chain', 3, 'x')).toThrow(
      expect.objectContaining({ code: 'QUEUE_DAMAGED' }),
    );
    header.writeUInt8(2, 4);
    expect(() => checkFileHeader(header, 'segment', 3, 'x')).toThrow(
      expect.objectContaining({ code: 'QUEUE_VERSION' }),
    );
  });
});

describe('payloads', () => {
  const known = { ...sample('/data/ä').known, mtimeNs: -5n, ino: 2n ** 64n - 1n };

  test('of a known file come back as they were', () => {
    const read = decodeKnown(encodeKnown(9, known));
    expect(read).toMatchObject({
      entry: 9,
      stat: { mtimeNs: -5n, ino: 2n ** 64n - 1n, size: 200, kind: 'file', mode: 0o644 },
    });
    expect(Buffer.from(read.stat.path).toString()).toBe('/data/ä');
    expect(Buffer.compare(encodeKnown(9, read.stat), encodeKnown(9, known))).toBe(0);
  });

  test('cut anywhere, lengthened, or of another layout are refused', () => {
    const bytes = encodeKnown(9, known);
    for (let length = 0; length < bytes.length; length += 1) {
      for (const decode of [
        decodeKnown,
        decodeVersion,
        decodeSignedRecord,
        decodeLostRecord,
        decodeProblem,
        decodePathRecord,
      ]) {
        expect(() => decode(bytes.subarray(0, length))).toThrow(
          expect.objectContaining({ code: 'QUEUE_DAMAGED' }),
        );
      }
    }
    expect(() => decodeKnown(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(/left over/);
    expect(() => decodeKnown(Buffer.concat([Buffer.from([2]), bytes.subarray(1)]))).toThrow(
      /layout/,
    );
  });

  test('never allocate what a length merely claims', () => {
    const huge = Buffer.from('01ffffffff', 'hex');
    expect(() => decodePathRecord(huge)).toThrow(/limit/);
    expect(() => decodeLostRecord(huge)).toThrow(/too many/);
  });

  test('a path that is empty or too long is not taken', () => {
    expect(() => encodePathRecord(new Uint8Array())).toThrow(
      expect.objectContaining({ code: 'QUEUE_REFUSED' }),
    );
    expect(() => encodePathRecord(new Uint8Array(40_000))).toThrow(
      expect.objectContaining({ code: 'QUEUE_REFUSED' }),
    );
  });
});
