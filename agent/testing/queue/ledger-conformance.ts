import { describe, expect, test } from 'vitest';
import { encodeCached } from '../../src/queue/ledger/rows.ts';
import { unpackKnown } from '../../src/queue/log/known-block.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { collect, put, putGone, type SampleFile, sample } from './support.ts';

/**
 * What every `Ledger` must do, as tests: known files, problems, and the cache, which may forget and
 * never gives one file's state to another.
 */
export function ledgerConformance(
  current: () => Queue,
  reopen: () => Promise<void>,
  { keepsCaches }: { readonly keepsCaches: boolean },
): void {
  test('a chunk is cached from the version that protects it on, and never from an aborted capture', async () => {
    const index = new Uint8Array(32).fill(4);
    const [item] = sample('/data/one').items;
    if (item === undefined) throw new Error('no item');
    const chunk = {
      id: item.id,
      plainSize: 200,
      epoch: 1,
      maskedKey: new Uint8Array(32).fill(5),
    };
    const aborted = current().intake.capture();
    aborted.cachePut(encodeCached([{ index, chunk }]));
    aborted.abort();
    await current().sync();
    expect(await current().ledger.cacheGetMany([index])).toEqual([undefined]);
    const file = sample('/data/two');
    const capture = current().intake.capture();
    capture.cachePut(encodeCached([{ index, chunk }]));
    await capture.putVersion(file.draft, file.known);
    await current().sync();
    const [found] = await current().ledger.cacheGetMany([index]);
    expect(found).toMatchObject({ plainSize: 200, epoch: 1 });
  });

  test('known files come in byte order under a prefix; gone ones do not come', async () => {
    const files = ['/b/2', '/a/1', '/b/10', '/bb', '/c\xff'].map((name) => sample(name));
    for (const file of files) await put(current(), file);
    await current().sync();
    const under = async (prefix: string): Promise<string[]> =>
      (await collect(current().ledger.knownUnder(Buffer.from(prefix)))).map(({ path }) =>
        Buffer.from(path).toString(),
      );
    expect(await under('/b/')).toEqual(['/b/10', '/b/2']);
    expect(await under('')).toHaveLength(5);
    const [first] = files;
    if (first === undefined) throw new Error('no files');
    await putGone(current(), first);
    await current().sync();
    expect(await under('/b/')).toEqual(['/b/10']);
    expect(await current().ledger.known(first.path)).toBeUndefined();
    expect(current().intake.pending().entries).toBe(6);
  });

  test('known files of a path come once each, also below the root of a drive', async () => {
    for (const name of ['/', '/a', '/a/1', '/a.b']) await put(current(), sample(name));
    await current().sync();
    const at = async (path: string, below: string): Promise<string[]> => {
      const bytes = [path, below].map((text) => Buffer.from(text)) as [Buffer, Buffer];
      const blocks = await collect(current().ledger.knownBlocks(...bytes));
      return blocks.flatMap(unpackKnown).map((row) => Buffer.from(row.path).toString());
    };
    expect(await at('/', '/')).toEqual(['/', '/a', '/a.b', '/a/1']);
    expect(await at('/a', '/a/')).toEqual(['/a', '/a/1']);
  });

  test('refreshing changes what a scan compares with, and makes no version', async () => {
    const file = sample('/data/a');
    await put(current(), file);
    await current().sync();
    const known = await current().ledger.known(file.path);
    if (known === undefined) throw new Error('not known');
    await current().ledger.refresh({ ...known, ctimeNs: 99n });
    await reopen();
    expect(await current().ledger.known(file.path)).toMatchObject({
      ctimeNs: 99n,
      state: 'queued',
    });
    expect(current().intake.pending().entries).toBe(1);
  });

  test('P6: a problem stays visible until it is cleared or the path is captured', async () => {
    const file = sample('/data/locked');
    await current().ledger.setProblem(file.path, {
      code: 'locked',
      message: 'another program holds it',
      sinceMs: 5,
    });
    await current().ledger.setProblem(Buffer.from('/data/pipe'), {
      code: 'special',
      message: 'a pipe',
      sinceMs: 6,
    });
    await reopen();
    expect(await collect(current().ledger.problems())).toMatchObject([
      { code: 'locked', sinceMs: 5 },
      { code: 'special' },
    ]);
    await put(current(), file);
    await current().ledger.setProblem(Buffer.from('/data/pipe'), undefined);
    await current().sync();
    expect(await collect(current().ledger.problems())).toEqual([]);
  });

  const keep = async (file: SampleFile, state: Uint8Array): Promise<void> => {
    const capture = current().intake.capture();
    for (const item of file.items) await capture.putItems([item]);
    capture.keepGrowth(state);
    await capture.putVersion(file.draft, file.known);
  };

  describe('states of growing files', () => {
    test('I-A11: a state is there from the sync of its version on, and after opening again', async () => {
      const file = sample('/data/run.raw');
      expect(await current().ledger.growthOf(file.path)).toBeUndefined();
      await keep(file, Uint8Array.of(1, 2, 3));
      await current().sync();
      expect(await current().ledger.growthOf(file.path)).toEqual(Uint8Array.of(1, 2, 3));
      await reopen();
      const state = await current().ledger.growthOf(file.path);
      if (keepsCaches || state !== undefined) expect(state).toEqual(Uint8Array.of(1, 2, 3));
    });

    test('I-A11: the newest version brings its own state', async () => {
      const file = sample('/data/run.raw');
      for (const state of [1, 2]) await keep(file, Uint8Array.of(state));
      await current().sync();
      expect(await current().ledger.growthOf(file.path)).toEqual(Uint8Array.of(2));
    });

    test('I-A11: a capture that was given up keeps none, and one that has ended takes none', async () => {
      const file = sample('/data/run.raw');
      const capture = current().intake.capture();
      capture.keepGrowth(Uint8Array.of(1));
      capture.abort();
      expect(() => capture.keepGrowth(Uint8Array.of(2))).toThrowError(
        expect.objectContaining({ code: 'QUEUE_CLOSED' }),
      );
      await current().sync();
      expect(await current().ledger.growthOf(file.path)).toBeUndefined();
    });

    test('I-A11: of more files than it keeps states for, none is given the state of another', async () => {
      const files = Array.from({ length: 100 }, (_, at) => sample(`/data/run-${at}.raw`, 0));
      for (const [at, file] of files.entries()) await keep(file, Uint8Array.of(at));
      await current().sync();
      let kept = 0;
      for (const [at, { path }] of files.entries()) {
        const state = await current().ledger.growthOf(path);
        if (state === undefined) continue;
        expect(state).toEqual(Uint8Array.of(at));
        kept += 1;
      }
      expect(kept).toBeGreaterThan(80);
    });
  });
}
