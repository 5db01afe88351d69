import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredKind } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { recordFileName } from '@aliquot/shared/records/folder';
import { RecordReader } from '@aliquot/shared/records/reader';
import { RecordLog } from '@aliquot/shared/records/record-log';
import { vectors } from '@aliquot/shared/testing/vectors';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as chain from './chain-payloads.ts';
import { QueueError } from './errors.ts';
import { chainFormat, type RecordKind, segmentFormat } from './formats.ts';
import * as lost from './lost-payloads.ts';
import { encodeMembers, memberRuns } from './member-runs.ts';
import * as queue from './payloads.ts';
import { decodeRemains, encodeRemains } from './remains.ts';
import { decodeResultDraft, encodeResultDraft } from './result-draft.ts';

interface QueueVectors {
  readonly owner: string;
  readonly salt: string;
  readonly payloads: readonly { readonly name: string; readonly bytes: string }[];
  readonly files: readonly {
    readonly log: 'chain' | 'segment';
    readonly records: readonly RecordKind[];
    readonly bytes: string;
  }[];
  readonly slab: { readonly payload: string; readonly id: string; readonly bytes: string };
  readonly resultDrafts: {
    readonly right: readonly {
      readonly name: string;
      readonly members: readonly number[];
      readonly bytes: string;
    }[];
    readonly wrong: readonly { readonly name: string; readonly bytes: string }[];
  };
  readonly wrong: readonly {
    readonly name: string;
    readonly log: 'chain' | 'segment';
    readonly bytes: string;
    readonly refused?: string;
    readonly read?: readonly string[];
  }[];
}

const given = vectors<QueueVectors>('queue-1');
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const payloadOf = (kind: string) =>
  unhex(given.payloads.find(({ name }) => name === kind)?.bytes ?? '');

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aliquot-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const numbersOf = (runs: Uint8Array) =>
  [...memberRuns(runs)].flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, at) => from + at),
  );

/** What a payload says, encoded again. */
const again: Readonly<Record<Exclude<RecordKind, StoredKind>, (b: Uint8Array) => Uint8Array>> = {
  version: (bytes) => {
    const { head, sealedDrafts } = queue.decodeVersion(bytes);
    return Buffer.concat([queue.encodeVersionHead(head), sealedDrafts]);
  },
  refresh: (bytes) => {
    const { entry, stat } = queue.decodeKnown(bytes);
    return queue.encodeKnown(entry, stat);
  },
  problem: (bytes) => {
    const { path, problem } = queue.decodeProblem(bytes);
    return queue.encodeProblem(path, problem);
  },
  signed: (bytes) => queue.encodeSignedRecord(queue.decodeSignedRecord(bytes)),
  remains: (bytes) => encodeRemains(decodeRemains(bytes)),
  receipt: (bytes) => queue.encodeReceiptRecord(queue.decodeReceiptRecord(bytes)),
  lost: (bytes) => {
    const { entries } = lost.decodeLostRecord(bytes);
    const names = new Map(entries.map(({ entry, path }) => [entry, path]));
    const [record] = lost.lostRecords([...names.keys()], names);
    return record ?? new Uint8Array();
  },
  lostSeen: (bytes) => queue.encodeCounter(queue.decodeCounter(bytes)),
  unreceipted: (bytes) => queue.encodeCounter(queue.decodeCounter(bytes)),
  gcEpoch: (bytes) => queue.encodeCounter(queue.decodeCounter(bytes)),
  forked: (bytes) => chain.encodeFork(chain.decodeFork(bytes)),
  references: (bytes) => chain.encodeReferences(chain.decodeReferences(bytes)),
  referencesDropped: (bytes) => chain.encodeDroppedReferences(chain.decodeDroppedReferences(bytes)),
  referenceLost: (bytes) => chain.encodeLostReference(chain.decodeLostReference(bytes)),
};

describe('payloads of the queue, frozen', () => {
  test('there is one of each kind', () => {
    const names = given.payloads.map(({ name }) => name.split(' ')[0]);
    expect([...new Set(names)].sort()).toEqual(Object.keys(again).sort());
  });

  test.each(given.payloads)('$name says what it said, byte for byte', ({ name, bytes }) => {
    const encode = again[name.split(' ')[0] as keyof typeof again];
    expect(hex(encode(unhex(bytes)))).toBe(bytes);
  });
});

describe('drafts of results, frozen', () => {
  test.each(given.resultDrafts.right)('$name says what it said', ({ bytes, members }) => {
    const draft = decodeResultDraft(unhex(bytes));
    expect(hex(encodeResultDraft(draft))).toBe(bytes);
    expect(numbersOf(draft.versions)).toEqual(members);
    expect(encodeMembers(Float64Array.from(members))).toEqual(draft.versions);
  });

  test.each(given.resultDrafts.wrong)('with $name is damaged', ({ bytes }) => {
    expect(() => decodeResultDraft(unhex(bytes))).toThrow(
      expect.objectContaining({ code: 'QUEUE_DAMAGED' }),
    );
  });

  test('P1 any numbers come back from their runs', () => {
    const numbers = fc.uniqueArray(fc.nat({ max: 2 ** 40 }), { maxLength: 200 });
    const near = fc.uniqueArray(fc.nat({ max: 300 }), { maxLength: 200 });
    fc.assert(
      fc.property(fc.oneof(numbers, near), (some) => {
        const runs = encodeMembers(Float64Array.from(some)) ?? new Uint8Array();
        expect(numbersOf(runs)).toEqual([...some].sort((a, b) => a - b));
      }),
    );
  });

  test.each([
    ['a cut number', [0x81]],
    ['a number beyond 2^53', Array.from({ length: 9 }, () => 0xff)],
    ['a run that is cut', [0x01]],
  ])('%s is no run of numbers', (_, bytes) => {
    expect(() => numbersOf(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code: 'QUEUE_DAMAGED' }),
    );
  });
});

describe('files of the queue, frozen', () => {
  async function written(
    log: 'chain' | 'segment',
    records: readonly {
      readonly kind: RecordKind;
      readonly payload: Uint8Array;
      readonly digest?: Uint8Array;
    }[],
  ): Promise<string> {
    const common = { port: nodeFiles, dir, targetBytes: 1 << 20, owner: unhex(given.owner) };
    const random = { bytes: () => unhex(given.salt) };
    const format = log === 'chain' ? chainFormat : segmentFormat;
    const made = await RecordLog.open<RecordKind>({ ...common, random, format: format as never });
    for (const { kind, payload, digest } of records) {
      await made.append(kind, payload, digest);
      await made.sync();
    }
    await made.close();
    return hex(readFileSync(join(dir, recordFileName(format, 1))));
  }

  /** What a reader makes of a first file with these bytes. */
  async function readFrom(log: 'chain' | 'segment', bytes: string): Promise<string | string[]> {
    const format = log === 'chain' ? chainFormat : segmentFormat;
    writeFileSync(join(dir, recordFileName(format, 1)), unhex(bytes));
    const owner = unhex(given.owner);
    const salt = Buffer.from(given.salt, 'hex').readUInt32BE();
    const reader = await RecordReader.open({
      ...{ port: nodeFiles, dir, owner, salt, format: format as typeof chainFormat },
    });
    const items: string[] = [];
    try {
      for await (const item of reader.scan())
        items.push(item.type === 'damage' && item.isTorn ? 'torn' : item.type);
      return items;
    } catch (error) {
      if (error instanceof QueueError) return error.code;
      throw error;
    } finally {
      await reader.close();
    }
  }

  test.each(given.files)(
    'a $log file is written as FORMAT.md says',
    async ({ log, records, bytes }) => {
      const given = records.map((kind) => ({ kind, payload: payloadOf(kind) }));
      expect(await written(log, given)).toBe(bytes);
      expect(await readFrom(log, bytes)).toEqual(records.map(() => 'record'));
    },
  );

  test('a slab stands in a segment under its id, which covers its directory', async () => {
    const { payload, id, bytes } = given.slab;
    const record = { kind: 'slab' as const, payload: unhex(payload), digest: unhex(id) };
    expect(await written('segment', [record])).toBe(bytes);
    expect(await readFrom('segment', bytes)).toEqual(['record']);
  });

  test.each(given.wrong)(
    '$name is told from a sound one',
    async ({ log, bytes, refused, read }) => {
      expect(await readFrom(log, bytes)).toEqual(refused ?? read);
    },
  );
});
