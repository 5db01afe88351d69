import { expect, test } from 'vitest';
import type { Queue } from '../../src/queue/queue.ts';
import { collect, drainAll, put, sample } from './support.ts';

/** What every list of `Losses` must do, as tests. */
export function lossesConformance(current: () => Queue, reopen: () => Promise<void>): void {
  test('P6: what was lost is listed with its path until a person has seen it, and is captured again', async () => {
    const files = ['/data/a', '/data/b'].map((name) => sample(name));
    for (const file of files) await put(current(), file);
    expect(await drainAll(current())).toBe(1);
    expect(
      (await current().losses.pathsOf(1, [1])).map((path) => path && Buffer.from(path).toString()),
    ).toEqual(['/data/b']);
    await current().losses.record(1, [1]);
    await reopen();
    const [lost] = await collect(current().losses.list());
    expect(lost?.path && Buffer.from(lost.path).toString()).toBe('/data/b');
    expect(await current().ledger.known(Buffer.from('/data/b'))).toBeUndefined();
    expect(await current().ledger.known(Buffer.from('/data/a'))).toBeDefined();
    await current().losses.acknowledge(lost === undefined ? [] : [lost.entry]);
    await reopen();
    expect(await collect(current().losses.list())).toEqual([]);
  });
}
