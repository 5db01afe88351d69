import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  collect,
  drainAll,
  openQueue,
  put,
  sample,
  temporaryFolder,
} from '../../../testing/queue/support.ts';
import { fsckQueue } from '../log/fsck.ts';
import { queuePaths } from '../log/open-queue.ts';
import type { Queue } from '../queue.ts';

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

async function open(dir: string, changes: Parameters<typeof openQueue>[1]): Promise<Queue> {
  queue = await openQueue(dir, changes);
  return queue;
}

describe('kept segments', () => {
  test('receipted segments stay within the budget, the oldest go first, and what was dropped leaves the index', async () => {
    const made = await open(folder.dir, { segmentBytes: 4096, keptBytes: 9000 });
    const files = Array.from({ length: 8 }, (_, index) => sample(`/data/${index}`, 4, 800));
    for (const file of files) {
      await put(made, file);
      await drainAll(made);
    }
    const sizes = readdirSync(queuePaths(folder.dir).segments).map(
      (name) => statSync(join(queuePaths(folder.dir).segments, name)).size,
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(9000 + 4096 + 64);
    const [first] = files[0]?.items ?? [];
    const [last] = files[7]?.items ?? [];
    if (first === undefined || last === undefined) throw new Error('no items');
    expect(await made.items.hasItems([first.id])).toEqual([false]);
    expect(await made.items.readItem(last.id)).toBeDefined();
    expect(await made.ledger.known(Buffer.from('/data/0'))).toMatchObject({ state: 'safe' });
    await put(made, files[0] ?? sample('/none'));
    await made.sync();
    expect(await made.items.readItem(first.id)).toBeDefined();
    await made.outbox.unreceipt(3);
    expect(made.intake.pending().entries).toBe(6);
    expect(await made.ledger.known(Buffer.from('/data/5'))).toMatchObject({ state: 'queued' });
    await made.close();
    expect(
      await collect(
        fsckQueue({
          port: nodeDisk,
          dataDir: folder.dir,
          random: seededRandom('f'),
          repair: false,
        }),
      ),
    ).toEqual([]);
  });

  test('I-A1: what the collector lost stays after a start, also when the commits before it are gone from the segments', async () => {
    const made = await open(folder.dir, { segmentBytes: 4096, keptBytes: 3000 });
    const files = ['a', 'b', 'c'].map((name) => sample(`/data/${name}`, 4, 700));
    for (const file of files) {
      await put(made, file);
      await drainAll(made);
    }
    await made.outbox.unreceipt(1);
    // Given up, it leaves a new segment, so that the one before is no longer kept for being written
    // to.
    const capture = made.intake.capture();
    for (const { id, kind, sealed } of sample('/data/d', 4, 700).items)
      await capture.putItems([{ id, kind, sealed }]);
    capture.abort();
    await made.sync();
    await made.close();
    const again = await open(folder.dir, { segmentBytes: 4096, keptBytes: 3000 });
    const [, b, c] = files;
    expect(await again.items.hasItems((b?.items ?? []).map(({ id }) => id))).not.toContain(true);
    for (const { id } of c?.items ?? []) expect(await again.items.readItem(id)).toBeDefined();
  });

  test('I-A1: no segment goes while an open capture or an unsent version needs it, however long that takes', async () => {
    const made = await open(folder.dir, { segmentBytes: 4096, keptBytes: 0 });
    const slow = sample('/data/slow', 3, 900);
    const capture = made.intake.capture();
    for (const { id, kind, sealed } of slow.items) await capture.putItems([{ id, kind, sealed }]);
    for (let index = 0; index < 6; index += 1) {
      await put(made, sample(`/data/${index}`, 4, 800));
      await drainAll(made);
    }
    await capture.putVersion(slow.draft, slow.known);
    await made.sync();
    for (const { id } of slow.items) expect(await made.items.readItem(id)).toBeDefined();
    await drainAll(made);
    await put(made, sample('/data/next', 4, 800));
    await drainAll(made);
    expect(readdirSync(queuePaths(folder.dir).segments).length).toBeLessThan(3);
  });
});
