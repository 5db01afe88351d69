import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import type { ChainId, CommitHash } from '@aliquot/proto';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { reference } from '../../../testing/queue/references-conformance.ts';
import {
  collect,
  drainAll,
  indexOf,
  openQueue,
  put,
  putGone,
  receiptFor,
  sample,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import { BATCH_ENTRIES } from '../outbox/batch.ts';
import type { Queue } from '../queue.ts';
import { fsckQueue } from './fsck.ts';
import { type Family, familyRange } from './index-rows.ts';
import { closeQueueFiles, openLogs, openQueueFiles, queuePaths } from './open-queue.ts';

const noHead = {
  chainId: new Uint8Array(16).fill(6) as ChainId,
  sequence: 9,
  hash: new Uint8Array(32).fill(6) as CommitHash,
};

let folder: ReturnType<typeof temporaryFolder>;
let queue: Queue | undefined;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await queue?.close().catch(() => undefined);
  queue = undefined;
  folder.remove();
});

async function open(
  dir = folder.dir,
  changes: Parameters<typeof openQueue>[1] = {},
): Promise<Queue> {
  queue = await openQueue(dir, changes);
  return queue;
}

const logsOf = (dataDir: string) => {
  return { port: nodeDisk, dataDir, random: seededRandom('logs') };
};

const newestIn = (dir: string) => join(dir, readdirSync(dir).sort().at(-1) ?? '');

function cutNewest(dir: string, bytes: number): void {
  truncateSync(newestIn(dir), statSync(newestIn(dir)).size - bytes);
}

/** Leaves the newest file its header alone: what is left of it is sound. */
function cutToHeader(dir: string): void {
  truncateSync(newestIn(dir), FILE_HEADER_BYTES);
}

function flipAt(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
  writeFileSync(path, bytes);
}

const fsckOf = (dataDir: string, repair: boolean) =>
  fsckQueue({ port: nodeDisk, dataDir, random: seededRandom('f'), repair });

/** Where each record of the chain log begins. */
async function chainRecords(dir: string) {
  const { segments, chain } = await openLogs(logsOf(dir));
  const items = await collect(chain.scan());
  await segments.close();
  await chain.close();
  return items.map(({ file, offset }) => ({
    path: relative(dir, chain.path(file)),
    at: offset,
  }));
}

/** What only the chain log says, apart from receipts. */
async function factsOf(dir: string) {
  const opened = await openQueue(dir);
  const facts = {
    ...{ head: opened.chain.head(), present: opened.chain.present() },
    ...{ epoch: opened.epochs.newest(), lost: await collect(opened.losses.list()) },
    references: await collect(opened.references.list()),
  };
  await opened.close();
  return facts;
}

/** A history with everything in it: receipted, signed, queued, gone, refreshed, problems. */
async function eventful(segmentBytes = 8192): Promise<void> {
  const made = await open(folder.dir, { segmentBytes });
  for (let index = 0; index < 6; index += 1) await put(made, sample(`/data/${index}`, 4, 500));
  await drainAll(made);
  for (let index = 4; index < 12; index += 1) await put(made, sample(`/data/${index}`, 3, 700));
  await putGone(made, sample('/data/1'));
  await made.ledger.setProblem(Buffer.from('/data/x'), {
    code: 'locked',
    message: 'busy',
    sinceMs: 1,
  });
  for (const name of ['/data/r', '/data/s', '/data/t', '/data/late'])
    await made.references.put(reference(name, 7));
  await made.outbox.nextCommit(testSigner());
  await made.chain.fork({ chainId: new Uint8Array(16).fill(5) as ChainId, named: noHead });
  await made.references.drop(Buffer.from('/data/s'));
  await made.references.lose(Buffer.from('/data/t'), 'reference-gone');
  await made.epochs.learn(4);
  await put(made, sample('/data/late', 2));
  await made.sync();
  const known = await made.ledger.known(Buffer.from('/data/5'));
  if (known !== undefined) await made.ledger.refresh({ ...known, ino: 77n });
  await made.close();
}

/** Everything in the index but the cache and the checkpoint. */
async function contents(dir: string): Promise<string[]> {
  const store = await indexOf(dir);
  const all: string[] = [];
  for (const family of ['q', 'h', 'i', 'p', 'c', 'l', 'r', 's'] satisfies Family[]) {
    for await (const [key, value] of store.iterate(familyRange(family))) {
      all.push(`${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString('hex')}`);
    }
  }
  // Which files share a block depends on the flushes.
  for await (const { path, columns } of store.known.rows())
    all.push(`${Buffer.from(path).toString()}=${Buffer.from(columns).toString('hex')}`);
  const { lastBatch: _lastBatch, knownBesideBytes: _beside, classBytes, ...rest } = store.state;
  const counters = { ...rest, classBytes: Object.entries(classBytes).sort() };
  await store.close();
  return [...all, JSON.stringify(counters)];
}

function copyOf(dir: string): string {
  const copy = `${dir}-copy`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(dir, copy, { recursive: true });
  return copy;
}

describe('opening after a crash', () => {
  test('I-A5: an index that is missing, emptied or garbage is rebuilt and equals what it was', async () => {
    await eventful();
    const before = await contents(folder.dir);
    const { index } = queuePaths(folder.dir);
    const damages: (() => void)[] = [
      () => rmSync(index, { recursive: true }),
      () => rmSync(join(index, 'CURRENT')),
      () => writeFileSync(join(index, 'CURRENT'), 'nonsense'),
      () => {
        for (const name of readdirSync(index)) writeFileSync(join(index, name), 'x'.repeat(100));
      },
    ];
    for (const damage of damages) {
      damage();
      const again = await open();
      expect(again.rebuilt).toBe(true);
      await again.close();
      expect(await contents(folder.dir)).toEqual(before);
    }
  });

  test('I-A1, I-A5: cut after any record or inside any record, the newest segment opens, and equals a full rebuild of what is left', async () => {
    await eventful(1 << 20);
    const { segments: log, chain } = await openLogs(logsOf(folder.dir));
    await chain.close();
    const ends: number[] = [];
    for await (const item of log.scan()) if (item.type === 'record') ends.push(item.end);
    const path = log.path(1);
    await log.close();
    const cuts = ends.flatMap((end, at) => [
      end,
      Math.floor((end + (ends[at - 1] ?? FILE_HEADER_BYTES)) / 2),
      end - 1,
    ]);
    expect(cuts.length).toBeGreaterThan(100);
    for (const cut of cuts.filter((_cut, at) => at % 7 === 0)) {
      const copy = copyOf(folder.dir);
      truncateSync(join(queuePaths(copy).segments, basename(path)), cut);
      // What was cut here was never promised: neither the index nor the chain had seen it.
      rmSync(queuePaths(copy).index, { recursive: true });
      rmSync(queuePaths(copy).chain, { recursive: true });
      const again = await open(copy);
      for await (const known of again.ledger.knownUnder(Buffer.from('/')))
        expect(known.size).toBeGreaterThan(0);
      await put(again, sample('/data/after', 1));
      await again.close();
      const once = await contents(copy);
      rmSync(queuePaths(copy).index, { recursive: true });
      await (await open(copy)).close();
      expect(await contents(copy)).toEqual(once);
      rmSync(copy, { recursive: true });
    }
  });

  test('I-A5: whatever is done and wherever the index stopped, opening again gives what a full rebuild gives', async () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant('put' as const),
        file: fc.nat(5),
        chunks: fc.integer({ min: 1, max: 3 }),
      }),
      fc.record({
        do: fc.constantFrom('gone' as const, 'problem' as const),
        file: fc.nat(5),
      }),
      fc.record({
        do: fc.constantFrom('refer' as const, 'unrefer' as const, 'lose' as const),
        file: fc.nat(5),
      }),
      fc.record({
        do: fc.constantFrom(
          'sync' as const,
          'sign' as const,
          'receipt' as const,
          'index' as const,
          'abort' as const,
        ),
      }),
      fc.record({
        do: fc.constantFrom(
          'fork' as const,
          'epoch' as const,
          'inherit' as const,
          'rollback' as const,
          'signAll' as const,
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { dir, remove } = temporaryFolder();
        const stale = join(dir, 'stale');
        let made = await openQueue(dir, { segmentBytes: 4096 });
        for (const [at, action] of steps.entries()) {
          const file =
            'file' in action
              ? sample(`/f${action.file}`, 'chunks' in action ? action.chunks : 1, 300 + at)
              : sample('/none');
          if (action.do === 'put') await put(made, file);
          if (action.do === 'gone') await putGone(made, file);
          if (action.do === 'problem')
            await made.ledger.setProblem(file.path, {
              code: 'torn',
              message: 'changing',
              sinceMs: at,
            });
          if (action.do === 'refer')
            await made.references.put(reference(`/f${action.file}`, at % 3, at));
          if (action.do === 'unrefer') await made.references.drop(file.path);
          if (action.do === 'lose') await made.references.lose(file.path, 'reference-changed');
          if (action.do === 'fork')
            await made.chain.fork({
              chainId: new Uint8Array(16).fill(100 + at) as ChainId,
              named: noHead,
            });
          if (action.do === 'inherit')
            await made.chain
              .inherit(new Uint8Array(16).fill(200) as ChainId)
              .catch((error: unknown) => expect(error).toMatchObject({ code: 'QUEUE_REFUSED' }));
          if (action.do === 'epoch') await made.epochs.learn(at);
          if (action.do === 'rollback')
            await made.outbox.unreceipt(Math.floor(made.outbox.receiptedSequence() / 2));
          if (action.do === 'signAll')
            await made.outbox.signAll(testSigner(seededRandom(`step ${at}`)));
          if (action.do === 'sync') await made.sync();
          if (action.do === 'abort') made.intake.capture().abort();
          if (action.do === 'sign')
            await made.outbox.nextCommit(testSigner(seededRandom(`step ${at}`)));
          if (action.do === 'receipt') {
            const commit = await made.outbox.nextCommit(testSigner(seededRandom(`step ${at}`)));
            if (commit !== undefined)
              await made.outbox.receipted(receiptFor(commit).signed, receiptFor(commit).body);
          }
          if (action.do === 'index') {
            await made.close();
            rmSync(stale, { recursive: true, force: true });
            cpSync(queuePaths(dir).index, stale, { recursive: true });
            made = await openQueue(dir, { segmentBytes: 4096 });
          }
        }
        await made.close();
        const live = await contents(dir);
        if (existsSync(stale)) {
          rmSync(queuePaths(dir).index, { recursive: true });
          cpSync(stale, queuePaths(dir).index, { recursive: true });
          await (await openQueue(dir)).close();
          expect(await contents(dir)).toEqual(live);
        }
        rmSync(queuePaths(dir).index, { recursive: true });
        await (await openQueue(dir)).close();
        expect(await contents(dir)).toEqual(live);
        const found = await collect(
          fsckQueue({
            port: nodeDisk,
            dataDir: dir,
            random: seededRandom('fsck'),
            repair: false,
          }),
        );
        const lost = steps.flatMap((action) =>
          action.do === 'lose' ? [`a version of /f${action.file} is lost`] : [],
        );
        // What was declared lost stays named until somebody acknowledges it.
        expect(
          found.filter(({ code, what }) => code !== 'FSCK_VERSION_LOST' || !lost.includes(what)),
        ).toEqual([]);
        remove();
      }),
      {
        numRuns: 20,
        examples: [
          [
            [
              { do: 'refer', file: 5 },
              { do: 'lose', file: 5 },
            ],
          ],
        ],
      },
    );
  });

  test('I-A5, I-A10: a reference whose version came before a crash, and whose chain record did not, is gone in every rebuild', async () => {
    let made = await open();
    await made.references.put(reference('/data/a', 1));
    await made.close();
    const { index, chain } = queuePaths(folder.dir);
    for (const path of [index, chain]) cpSync(path, `${path}.old`, { recursive: true });
    made = await open();
    await put(made, sample('/data/a'));
    await made.close();
    for (const path of [index, chain]) {
      rmSync(path, { recursive: true });
      cpSync(`${path}.old`, path, { recursive: true });
    }
    made = await open();
    expect(await collect(made.references.list())).toEqual([]);
    await made.close();
    const live = await contents(folder.dir);
    rmSync(index, { recursive: true });
    await (await open()).close();
    expect(await contents(folder.dir)).toEqual(live);
  });

  test.each([
    ['at once', () => Promise.resolve()],
    [
      'and a second one ended the next start before its first flush',
      async () => closeQueueFiles(await openQueueFiles(logsOf(folder.dir))),
    ],
  ])(
    'I-A5, I-A10: a crash kept the chain log from saying that a version took the place of a reference, %s: fsck finds nothing wrong, and the reference is gone in every rebuild',
    async (_when, crashAgain) => {
      let made = await open();
      await made.references.put(reference('/data/a', 1));
      await made.close();
      const { index, chain } = queuePaths(folder.dir);
      for (const path of [index, chain]) cpSync(path, `${path}.old`, { recursive: true });
      made = await open();
      await put(made, sample('/data/a'));
      await made.close();
      for (const path of [index, chain]) {
        rmSync(path, { recursive: true });
        cpSync(`${path}.old`, path, { recursive: true });
      }
      await crashAgain();
      const check = fsckQueue({ ...logsOf(folder.dir), repair: false });
      const found = await collect(check);
      expect(found.filter(({ severity }) => severity === 'error')).toEqual([]);
      await (await open()).close();
      rmSync(index, { recursive: true });
      made = await open();
      expect(await collect(made.references.list())).toEqual([]);
    },
  );

  test.each([
    ['two versions', ['put', 'put']],
    ['a version, another reference and a version', ['put', 'refer', 'put']],
    ['a version, a reference that is dropped and a version', ['put', 'refer', 'drop', 'put']],
  ])(
    'I-A5, I-A10: a reference that %s replaced before the next flush stays away in a rebuild',
    async (_what, steps) => {
      const made = await open();
      await made.references.put(reference('/data/a', 1));
      await made.sync();
      for (const step of steps) {
        if (step === 'put') await put(made, sample('/data/a'));
        if (step === 'refer') await made.references.put(reference('/data/a', 2));
        if (step === 'drop') await made.references.drop(Buffer.from('/data/a'));
      }
      await made.close();
      const live = await contents(folder.dir);
      rmSync(queuePaths(folder.dir).index, { recursive: true });
      const again = await open();
      expect(await collect(again.references.list())).toEqual([]);
      await again.close();
      expect(await contents(folder.dir)).toEqual(live);
    },
  );

  test('I-A9: a crash between learning an epoch and emptying the cache leaves nothing in it', async () => {
    const made = await open();
    await put(made, sample('/data/a'));
    await made.close();
    const { index } = queuePaths(folder.dir);
    cpSync(index, `${index}.old`, { recursive: true });
    const again = await open();
    await again.epochs.learn(1);
    await again.close();
    rmSync(index, { recursive: true });
    cpSync(`${index}.old`, index, { recursive: true });
    await (await open()).close();
    const store = await indexOf(folder.dir);
    expect(await store.firstKey(familyRange('x'))).toBeUndefined();
    await store.close();
  });

  test('damage with sound records behind it is set aside and visible, and the sound records are kept', async () => {
    await eventful();
    const paths = queuePaths(folder.dir);
    const victim = join(paths.segments, readdirSync(paths.segments)[0] ?? '');
    const bytes = readFileSync(victim);
    bytes.writeUInt8((bytes[100] ?? 0) ^ 1, 100);
    writeFileSync(victim, bytes);
    const findings = await collect(
      fsckQueue({ port: nodeDisk, dataDir: folder.dir, random: seededRandom('f'), repair: false }),
    );
    expect(findings).toMatchObject([
      { code: 'FSCK_SEGMENT_DAMAGED', severity: 'error', repaired: false },
      // What was lost before, which only the chain log says.
      { code: 'FSCK_VERSION_LOST', severity: 'note', repaired: false },
    ]);
    rmSync(paths.index, { recursive: true });
    const again = await open();
    expect(await collect(again.ledger.problems())).toMatchObject([
      { code: 'queue-damage' },
      { code: 'locked' },
    ]);
    expect(await again.ledger.known(Buffer.from('/data/late'))).toBeDefined();
    expect(readdirSync(paths.damaged)).toHaveLength(1);
  });

  test('a damaged chain log goes on where each commit is left or what remains of it, and no sequence is used twice', async () => {
    await eventful();
    const { head } = await factsOf(folder.dir);
    const paths = queuePaths(folder.dir);
    const records = await chainRecords(folder.dir);
    for (const { path, at } of records) {
      const copy = join(folder.dir, '..', `${basename(folder.dir)}-bit`);
      cpSync(folder.dir, copy, { recursive: true });
      flipAt(join(copy, path), at + RECORD_HEADER_BYTES + 3);
      const before = (await collect(fsckOf(copy, false))).map(({ code }) => code);
      // The last record might have been torn, too.
      expect(['FSCK_CHAIN_DAMAGED', 'FSCK_TORN_TAIL']).toContain(before[0]);
      rmSync(queuePaths(copy).index, { recursive: true });
      expect((await factsOf(copy)).head).toEqual(head);
      rmSync(copy, { recursive: true });
    }
    // Of one commit nothing is left at all, and no index knows it: that stops.
    for (const { path, at } of records.slice(0, 2))
      flipAt(join(folder.dir, path), at + RECORD_HEADER_BYTES + 3);
    rmSync(paths.index, { recursive: true });
    await expect(openQueue(folder.dir)).rejects.toMatchObject({ code: 'QUEUE_DAMAGED' });
  });

  test.each([
    ['gone', (chain: string) => rmSync(chain, { recursive: true })],
    ['cut', (chain: string) => cutNewest(chain, 10)],
    ['cut between two records', (chain: string) => cutToHeader(chain)],
  ])(
    'I-A6: a chain log that is %s is written again as the index knows it: no sequence is used twice',
    async (_what, spoil) => {
      await eventful();
      const facts = await factsOf(folder.dir);
      const copy = join(folder.dir, '..', `${basename(folder.dir)}-cut`);
      cpSync(folder.dir, copy, { recursive: true });
      for (const [dir, byRepair] of [
        [folder.dir, false],
        [copy, true],
      ] as const) {
        spoil(queuePaths(dir).chain);
        const found = (await collect(fsckOf(dir, byRepair))).filter(
          ({ severity }) => severity === 'error',
        );
        expect(found).toMatchObject([{ code: 'FSCK_CHAIN_DAMAGED', repaired: byRepair }]);
        expect(await factsOf(dir)).toEqual(facts);
        // Nothing of it hangs on the index any more.
        rmSync(queuePaths(dir).index, { recursive: true });
        expect(await factsOf(dir)).toEqual(facts);
        const left = await collect(fsckOf(dir, false));
        expect(left.filter(({ severity }) => severity === 'error')).toEqual([]);
      }
      rmSync(copy, { recursive: true });
    },
  );

  test('P6: of an older chain file that was cut, nothing waits that had its receipt', async () => {
    const made = await open(folder.dir, { segmentBytes: 3000 });
    for (const name of ['/data/0', '/data/1', '/data/2', '/data/3']) {
      await put(made, sample(name, 2, 300));
      await drainAll(made);
    }
    await made.close();
    const { chain, index } = queuePaths(folder.dir);
    const files = readdirSync(chain).sort();
    expect(files.length).toBeGreaterThan(2);
    truncateSync(join(chain, files[0] ?? ''), 300);
    const found = await collect(fsckOf(folder.dir, true));
    expect(found).toMatchObject([{ code: 'FSCK_CHAIN_DAMAGED', repaired: true }]);
    for (const isIndexLost of [false, true]) {
      if (isIndexLost) rmSync(index, { recursive: true });
      const again = await open(folder.dir, { segmentBytes: 3000 });
      expect(again.chain.head()).toMatchObject({ sequence: 4 });
      expect(again.intake.pending()).toMatchObject({ entries: 0, bytes: 0 });
      await again.close();
    }
  });

  test('P6: a version whose record went bad is listed as lost, and the ones behind it are sent', async () => {
    const made = await open();
    for (const name of ['/data/a', '/data/b', '/data/c']) await put(made, sample(name));
    await made.close();
    const paths = queuePaths(folder.dir);
    const path = join(paths.segments, '00000001.seg');
    const { segments: log, chain } = await openLogs(logsOf(folder.dir));
    await chain.close();
    const versions = (await collect(log.scan())).flatMap((item) =>
      item.type === 'record' && item.header.kind === 'version' ? [item] : [],
    );
    await log.close();
    const bytes = readFileSync(path);
    const at = (versions[1]?.end ?? 0) - 1;
    bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
    writeFileSync(path, bytes);
    const again = await open();
    const commit = await again.outbox.nextCommit(testSigner());
    expect(commit?.entries).toBe(2);
    expect(
      (await collect(again.losses.list())).map(
        (lost) => lost.path && Buffer.from(lost.path).toString(),
      ),
    ).toEqual(['/data/b']);
    expect(await again.ledger.known(Buffer.from('/data/b'))).toBeUndefined();
    expect(again.intake.pending().entries).toBe(2);
  });

  test('P6: more damaged versions than one commit could hold do not keep back what is behind them', async () => {
    const made = await open();
    for (let count = 0; count < BATCH_ENTRIES; count += 1)
      await putGone(made, sample('/data/gone'));
    for (const name of readdirSync(queuePaths(folder.dir).keys))
      rmSync(join(queuePaths(folder.dir).keys, name));
    await made.close();
    const again = await open();
    await put(again, sample('/data/sound'));
    expect((await again.outbox.nextCommit(testSigner()))?.entries).toBe(1);
    expect(await collect(again.losses.list())).toHaveLength(BATCH_ENTRIES);
  });

  test('a reference stays settled by its version when a crash kept only the word that put it', async () => {
    const made = await open();
    const file = sample('/data/r');
    const settled = {
      ...reference('/data/r', 7),
      size: file.known.size,
      mtimeNs: file.known.mtimeNs,
      settledAtMs: file.known.capturedAtMs,
    };
    await made.references.put(settled);
    await made.sync();
    const chain = join(queuePaths(folder.dir).chain, '00000001.log');
    const { size } = statSync(chain);
    await put(made, file);
    await made.close();
    truncateSync(chain, size);
    rmSync(queuePaths(folder.dir).index, { recursive: true });
    const again = await open();
    expect([again.references.totals().files, again.intake.pending().entries]).toEqual([0, 1]);
  });
});

describe('fsck', () => {
  // A note on what is listed as lost is no finding of the files.
  const run = async (repair: boolean) =>
    (await collect(fsckOf(folder.dir, repair))).filter(({ code }) => code !== 'FSCK_VERSION_LOST');

  test('a sound queue has no findings, and looking changes nothing', async () => {
    await eventful();
    const before = await contents(folder.dir);
    expect(await run(false)).toEqual([]);
    expect(await contents(folder.dir)).toEqual(before);
  });

  test('an index that lies is found, removed by repair, and right after the next start', async () => {
    await eventful();
    const before = await contents(folder.dir);
    const store = await indexOf(folder.dir);
    store.del((await store.firstKey(familyRange('i'))) ?? new Uint8Array());
    await store.write();
    await store.close();
    expect(await run(false)).toMatchObject([{ code: 'FSCK_INDEX_WRONG', repaired: false }]);
    expect(await run(true)).toMatchObject([{ code: 'FSCK_INDEX_WRONG', repaired: true }]);
    await (await open()).close();
    expect(await contents(folder.dir)).toEqual(before);
    expect(await run(false)).toEqual([]);
  });

  test('an index that is only behind, as after a kill, is a note, right after looking, and no fault', async () => {
    await eventful();
    const { index } = queuePaths(folder.dir);
    cpSync(index, `${index}.old`, { recursive: true });
    const made = await open(folder.dir, { segmentBytes: 8192 });
    await put(made, sample('/data/after', 2));
    await made.outbox.nextCommit(testSigner());
    await put(made, sample('/data/later', 2));
    await made.close();
    rmSync(index, { recursive: true });
    cpSync(`${index}.old`, index, { recursive: true });
    rmSync(`${index}.old`, { recursive: true });
    expect(await run(false)).toMatchObject([
      { code: 'FSCK_INDEX_BEHIND', severity: 'note', repaired: false },
    ]);
    expect(await run(false)).toEqual([]);
  });

  test('a kept segment that a kill left behind after the index forgot it is no fault', async () => {
    const made = await open(folder.dir, { segmentBytes: 4096, keptBytes: 0 });
    await put(made, sample('/data/0', 8, 800));
    await made.sync();
    const first = join(
      queuePaths(folder.dir).segments,
      readdirSync(queuePaths(folder.dir).segments).sort()[0] ?? '',
    );
    const bytes = readFileSync(first);
    await drainAll(made);
    await put(made, sample('/data/1', 8, 800));
    await drainAll(made);
    expect(existsSync(first)).toBe(false);
    await made.close();
    writeFileSync(first, bytes);
    expect((await run(false)).filter(({ severity }) => severity === 'error')).toEqual([]);
    await (await open(folder.dir, { segmentBytes: 4096, keptBytes: 0 })).close();
    expect(existsSync(first)).toBe(false);
  });

  test('while the service runs, segments and chain are checked and the index is left alone', async () => {
    await eventful();
    await open();
    expect(await run(false)).toMatchObject([{ code: 'FSCK_INDEX_BUSY', severity: 'note' }]);
  });

  test('what is lost is listed until it is acknowledged, also while the service runs, or where the index or the chain log has to be made again', async () => {
    const listed = async (repair: boolean) =>
      (await collect(fsckOf(folder.dir, repair)))
        .filter(({ code }) => code === 'FSCK_VERSION_LOST')
        .map(({ what }) => what);
    const lost = ['a version of /data/r is lost'];
    const made = await open();
    await put(made, sample('/data/sound'));
    await made.references.put(reference('/data/r', 7));
    await made.references.lose(Buffer.from('/data/r'), 'reference-gone');
    expect(await listed(false)).toEqual(lost);
    await made.close();
    const { index, chain } = queuePaths(folder.dir);
    writeFileSync(join(index, 'CURRENT'), 'none');
    expect(await listed(false)).toEqual(lost);
    await (await open()).close();
    rmSync(chain, { recursive: true });
    expect(await listed(true)).toEqual(lost);
    const again = await open();
    const seen = (await collect(again.losses.list())).map(({ entry }) => entry);
    await again.losses.acknowledge(seen);
    expect(await listed(false)).toEqual([]);
  });

  test('a missing key of queued versions is named', async () => {
    await eventful();
    const { keys } = queuePaths(folder.dir);
    for (const name of readdirSync(keys)) rmSync(join(keys, name));
    expect((await run(false)).map(({ code }) => code)).toEqual(['FSCK_BATCH_KEY_MISSING']);
  });
});
