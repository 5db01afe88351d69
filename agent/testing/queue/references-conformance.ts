import { expect, test } from 'vitest';
import type { FileReference } from '../../src/queue/log/facts.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { collect, drainAll, put, putGone, sample } from './support.ts';

export function reference(name: string, settledAtMs: number, size = 100): FileReference {
  return {
    path: new Uint8Array(Buffer.from(name)),
    size,
    mtimeNs: -5n,
    class: 'default',
    resultPathLength: 3,
    settledAtMs,
  };
}

/** What every list of `FileReferences` must do, as tests. */
export function referencesConformance(queue: () => Queue, reopen: () => Promise<void>): void {
  const listed = async (): Promise<string[]> =>
    (await collect(queue().references.list())).map(({ path }) => Buffer.from(path).toString());

  test('I-A10, P6: references stay, oldest settled first, until a version of their path or the order to drop them', async () => {
    await queue().references.put(reference('/data/late', 300));
    await queue().references.put(reference('/data/early', 100));
    await queue().references.put(reference('/data/middle', 200));
    await queue().references.put(reference('/data/left', 400));
    expect(await queue().references.get(Buffer.from('/data/late'))).toMatchObject({
      settledAtMs: 300,
    });
    await queue().sync();
    await reopen();
    expect(await listed()).toEqual(['/data/early', '/data/middle', '/data/late', '/data/left']);
    expect(await collect(queue().references.list())).toContainEqual(reference('/data/late', 300));
    expect(queue().references.totals()).toEqual({ files: 4, bytes: 400 });
    await queue().references.put(reference('/data/early', 500, 7));
    await put(queue(), sample('/data/middle'));
    await putGone(queue(), sample('/data/late'));
    await queue().references.drop(Buffer.from('/data/left'));
    expect(await queue().references.get(Buffer.from('/data/left'))).toBeUndefined();
    await queue().sync();
    await reopen();
    expect(await listed()).toEqual(['/data/early']);
    expect(queue().references.totals()).toEqual({ files: 1, bytes: 7 });
  });

  test('I-A10: of a path that is captured and referred to before one sync, the newer word counts', async () => {
    await queue().references.put(reference('/data/a', 1));
    await put(queue(), sample('/data/a'));
    await put(queue(), sample('/data/b'));
    await queue().references.put(reference('/data/b', 2));
    await queue().sync();
    await reopen();
    expect(await listed()).toEqual(['/data/b']);
    await drainAll(queue());
    expect(await listed()).toEqual(['/data/b']);
  });

  test('P6: what a reference stood for is listed as lost in the same step, until a person has seen it', async () => {
    await queue().references.put(reference('/data/changed', 1));
    await queue().references.put(reference('/data/gone', 2));
    await queue().references.lose(Buffer.from('/data/changed'), 'reference-changed');
    await queue().references.lose(Buffer.from('/data/gone'), 'reference-gone');
    await queue().references.lose(Buffer.from('/data/never'), 'reference-gone');
    await put(queue(), sample('/data/changed'));
    await reopen();
    expect(await listed()).toEqual([]);
    expect(
      (await collect(queue().losses.list())).map(({ path, why }) => [
        path && Buffer.from(path).toString(),
        why,
      ]),
    ).toEqual([
      ['/data/changed', 'reference-changed'],
      ['/data/gone', 'reference-gone'],
    ]);
    expect(await drainAll(queue())).toBe(1);
    const seen = (await collect(queue().losses.list())).map(({ entry }) => entry);
    await queue().losses.acknowledge(seen.slice(1));
    expect(await collect(queue().losses.list())).toHaveLength(2);
    await queue().references.put(reference('/data/unseen', 3));
    await queue().references.lose(Buffer.from('/data/unseen'), 'reference-gone');
    await queue().losses.acknowledge(seen);
    await reopen();
    const left = await collect(queue().losses.list());
    expect(left.map(({ path }) => path && Buffer.from(path).toString())).toEqual(['/data/unseen']);
    await queue().losses.acknowledge(left.map(({ entry }) => entry));
    expect(await collect(queue().losses.list())).toEqual([]);
  });
}
