import { asChunkId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queue/queue.ts';
import { drainAll, noise, put, sample } from './support.ts';

/** What every `QueueIntake` must do, as tests. */
export function intakeConformance(current: () => Queue, reopen: () => Promise<void>): void {
  test('I-A1: a version is known and its items are there once sync has returned, and after opening again', async () => {
    const file = sample('/data/one', 3);
    await put(current(), file);
    expect(await current().ledger.known(file.path)).toBeUndefined();
    await current().sync();
    await reopen();
    expect(await current().ledger.known(file.path)).toMatchObject({
      size: 600,
      state: 'queued',
      ino: 7n,
    });
    for (const { id, sealed } of file.items) {
      const item = await current().items.readItem(id);
      expect(item && Buffer.compare(item.sealed, sealed)).toBe(0);
    }
    expect(current().intake.pending()).toMatchObject({
      entries: 1,
      oldestMs: file.draft.capturedAtMs,
    });
  });

  test('an item that is queued is not stored twice, and is told of before the sync', async () => {
    const file = sample('/data/one');
    await put(current(), file);
    const [item] = file.items;
    expect(item && (await current().items.hasItems([item.id]))).toEqual([true]);
    await current().sync();
    const { bytes } = current().intake.pending();
    await put(current(), file);
    await current().sync();
    expect(current().intake.pending()).toMatchObject({ entries: 2, bytes });
  });

  test('of many items that are put with one call each is there once, after opening again too', async () => {
    const items = Array.from({ length: 30 }, (_, n) => {
      const sealed = noise(`item ${n}`, n === 7 ? 20 : 90_000);
      return { id: asChunkId(sha256(sealed)), kind: 'chunk' as const, sealed };
    });
    const [first, second, ...others] = items;
    if (first === undefined || second === undefined) throw new Error('no items');
    const capture = current().intake.capture();
    await capture.putItems([first]);
    await capture.putItems([first, second, second, ...others, first]);
    const file = sample('/data/one');
    await capture.putVersion(file.draft, file.known);
    await current().sync();
    const { bytes } = current().intake.pending();
    expect(bytes).toBe(items.reduce((sum, { sealed }) => sum + sealed.length, 0));
    await reopen();
    for (const { id, sealed } of items) {
      const item = await current().items.readItem(id);
      expect(item && Buffer.compare(item.sealed, sealed)).toBe(0);
    }
  });

  test('an item whose id is not the hash of its bytes is refused', async () => {
    const [item] = sample('/data/one').items;
    const capture = current().intake.capture();
    if (item === undefined) throw new Error('no item');
    await expect(
      capture.putItems([{ id: item.id, kind: 'chunk', sealed: new Uint8Array(3) }]),
    ).rejects.toMatchObject({
      code: 'QUEUE_REFUSED',
    });
  });

  test('a capture takes nothing more after its end', async () => {
    const file = sample('/data/one');
    const capture = current().intake.capture();
    capture.abort();
    await expect(capture.putVersion(file.draft, file.known)).rejects.toMatchObject({
      code: 'QUEUE_CLOSED',
    });
  });

  test('calls without waiting keep their order, several captures at once too', async () => {
    const files = Array.from({ length: 20 }, (_, index) =>
      sample(`/data/${String(index).padStart(2, '0')}`, 2),
    );
    await Promise.all(files.map((file) => put(current(), file)));
    await current().sync();
    expect(current().intake.pending().entries).toBe(20);
    expect(await drainAll(current())).toBe(1);
    for (const file of files) expect((await current().ledger.known(file.path))?.state).toBe('safe');
  });
}
