import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asChunkId } from '@aliquot/proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openBench } from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import { fromText } from '../source/paths.ts';
import type { Found } from '../source/walk.ts';
import { packJobs, unpackJobs } from './job-packing.ts';
import { packFound, packWindow, unpackFound, unpackWindow } from './packing.ts';
import { packSlabs, unpackSlabs } from './slab-packing.ts';
import type { CapturedSlab, CaptureJob, CaptureWindow } from './window.ts';

const SEED = 20_260_511;

const path = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((bytes) => `/${Buffer.from(bytes.map((byte) => byte || 1)).toString('latin1')}`);
const stat = fc.record({
  kind: fc.constantFrom(
    'file' as const,
    'directory' as const,
    'symlink' as const,
    'special' as const,
  ),
  size: fc.maxSafeNat(),
  mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ctimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  dev: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  mode: fc.nat(0o7777),
});
const item: fc.Arbitrary<Found> = fc.record({
  type: fc.constant('item' as const),
  path,
  stat,
  linkTarget: fc.constantFrom('', '', 'elsewhere'),
  resultPathLength: fc.nat(40_000),
});
const problem: fc.Arbitrary<Found> = fc.record({
  type: fc.constant('problem' as const),
  path,
  problem: fc.constant({ code: 'special' as const, message: 'is a fifo' }),
});

test(`what a walk found comes out of the packing as it went in (seed ${SEED})`, () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 4, arbitrary: item }, problem), { maxLength: 20 }),
      (batch) => {
        expect(unpackFound(structuredClone(packFound(batch)))).toEqual(batch);
      },
    ),
    { seed: SEED },
  );
});

const job: fc.Arbitrary<CaptureJob> = fc.oneof(
  fc.record({ job: fc.nat(), path }),
  fc.record({ job: fc.nat(), path, run: fc.nat(70_000) }),
  fc.record({ job: fc.nat(), path, run: fc.nat(70_000), growing: fc.constant(true) }),
  fc.record({
    ...{ job: fc.nat(), path },
    growth: fc.record({ state: fc.uint8Array({ maxLength: 9 }), whole: fc.boolean() }),
  }),
);

test(`jobs come out of the packing as they went in (seed ${SEED})`, () => {
  fc.assert(
    fc.property(fc.array(job, { maxLength: 20 }), (jobs) => {
      expect(unpackJobs(structuredClone(packJobs(jobs)))).toEqual(jobs);
    }),
    { seed: SEED },
  );
});

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const oddity = fc.constantFrom({}, {}, {}, { streams: ['zone'] }, { away: true });
const slab: fc.Arbitrary<CapturedSlab> = fc
  .record({
    id: bytes32,
    key: bytes32,
    sealed: fc.uint8Array({ minLength: 1, maxLength: 9 }),
    epoch: fc.integer({ min: 1, max: 0xffff_ffff }),
    files: fc.array(
      fc.record({
        ...{ stat, oddity, sha256: bytes32, key: bytes32 },
        job: fc.nat(100_000),
        startedMs: fc.double({ noNaN: true, min: 0, max: 2 ** 45 }),
      }),
      { minLength: 1, maxLength: 9 },
    ),
  })
  .map(({ id, key, sealed, epoch, files }) => ({
    ...{ id: asChunkId(id), key, sealed },
    files: files.map(({ stat, oddity, sha256, key, job, startedMs }, index) => ({
      ...{ job, startedMs, sha256, growth: undefined, oldPart: undefined },
      stat: { ...stat, kind: 'file', ...oddity },
      content: {
        ...{ depth: 0, piece: index + 1 },
        refs: [{ id: asChunkId(id), plainSize: stat.size, epoch }],
      },
      keys: [key],
    })),
  }));

test(`slabs and their files come out of the packing as they went in (seed ${SEED})`, () => {
  fc.assert(
    fc.property(fc.array(slab, { maxLength: 5 }), (slabs) => {
      const { packed, transfer } = packSlabs(slabs, (bytes) => bytes);
      expect([...unpackSlabs(structuredClone(packed, { transfer }))]).toEqual(slabs);
    }),
    { seed: SEED },
  );
});

test('a window arrives at another thread as it was, over a few buffers, and large items without a copy', async () => {
  const bench = await openBench();
  try {
    mkdirSync(join(bench.data, 'run'));
    for (let n = 0; n < 20; n += 1) writeFileSync(join(bench.data, 'run', `f${n}`), `file ${n}`);
    writeFileSync(join(bench.data, 'large'), noise('large', 3_000_000));
    const windows: CaptureWindow[] = [];
    const names = [...Array.from({ length: 20 }, (_, n) => `run/f${n}`), 'missing', 'large'];
    await bench.host.capture(
      names.map((name, job) => ({ job, path: fromText(join(bench.data, name), '/') })),
      {
        lookup: async (indexes) => indexes.map(() => undefined),
        deliver: async (window) => {
          windows.push(window);
          return [];
        },
      },
    );
    for (const window of windows) {
      const before = structuredClone(window);
      const { packed, transfer } = packWindow(window);
      const large = [
        ...new Set([
          ...window.items.map(({ sealed }) => sealed.buffer),
          ...[...window.slabs].flatMap(({ sealed }) =>
            sealed.length < 16 << 10 ? [] : [sealed.buffer],
          ),
        ]),
      ];
      expect(transfer).toHaveLength(4 + large.length);
      expect(transfer).toEqual(expect.arrayContaining(large));
      const crossed = unpackWindow(structuredClone(packed, { transfer }));
      expect({ ...crossed, slabs: [...crossed.slabs] }).toEqual(before);
    }
    expect(windows.flatMap(({ results }) => results)).toHaveLength(2);
    const small = windows.flatMap(({ slabs }) => [...slabs].flatMap(({ files }) => files));
    expect(small.map(({ job }) => job)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  } finally {
    await bench.close();
  }
});
