import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_ANSWER_RECORD_BYTES } from '../limits.ts';
import { frameRecords, readRecords } from './record-stream.ts';

const describeError = (error: unknown) => ({
  code: 'TEST',
  message: error instanceof Error ? error.message : 'unknown',
});

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) yield item;
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

async function framed(records: Iterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await collect(frameRecords(each(records), describeError)));
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    pieces.push(bytes.subarray(at, at + size));
    at = Math.min(bytes.length, at + size);
  }
  pieces.push(bytes.subarray(at));
  return pieces;
}

describe('record stream', () => {
  it('gives back the same records however the network cuts them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 300 })),
        fc.array(fc.nat({ max: 40 })),
        async (records, sizes) => {
          const back = await collect(readRecords(each(cut(await framed(records), sizes))));
          expect(back.map((record) => [...record])).toEqual(records.map((record) => [...record]));
        },
      ),
    );
  });

  it('never takes a broken connection for a short answer', async () => {
    const whole = await framed([Buffer.from('one'), Buffer.from('two')]);
    for (let length = 0; length < whole.length; length++) {
      await expect(collect(readRecords(each([whole.subarray(0, length)])))).rejects.toMatchObject({
        code: 'STREAM_CUT',
      });
    }
  });

  it('hands on an error that happens in the middle', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one');
      throw new Error('disk gone');
    }
    const bytes = await collect(frameRecords(failing(), describeError));
    await expect(collect(readRecords(each(bytes)))).rejects.toMatchObject({
      code: 'STREAM_FAILED',
      message: expect.stringContaining('disk gone'),
    });
  });

  it('refuses a record above the limit before buffering it', async () => {
    const header = Buffer.alloc(5);
    header.writeUInt8(1, 0);
    header.writeUInt32BE(MAX_ANSWER_RECORD_BYTES + 1, 1);
    await expect(collect(readRecords(each([header])))).rejects.toMatchObject({
      code: 'STREAM_MALFORMED',
    });
  });

  it('refuses a record of an unknown type', async () => {
    await expect(collect(readRecords(each([Buffer.from([9, 0, 0, 0, 0])])))).rejects.toMatchObject({
      code: 'STREAM_MALFORMED',
    });
  });
});
