import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  openQueue,
  put,
  sampleFile,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import type { Queue } from '../queue.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const keysLeft = (): string[] => readdirSync(join(folder.dir, 'queue', 'batch-keys'));

async function capture(
  count: number,
  name: string,
  add: (queue: Queue, path: string) => Promise<void>,
): Promise<void> {
  const queue = await openQueue(folder.dir);
  for (let at = 0; at < count; at += 1) await add(queue, `/data/${name} ${at}`);
  await queue.close();
}

test('I-A3, P4: a commit takes whole batches, so that no version in it stays open for as long as a younger one waits', async () => {
  const add = (queue: Queue, path: string): Promise<void> => put(queue, sampleFile(path, [])); // empty: only their number counts
  await capture(10, 'first run', add);
  await capture(4090, 'second run', add);
  const queue = await openQueue(folder.dir);
  expect((await queue.outbox.nextCommit(testSigner()))?.entries).toBe(10);
  expect(keysLeft()).toEqual(['00000002.key']);
  await queue.close();
});

test('I-A3, P4: versions too large for one commit get more than one key', async () => {
  const parts = Array.from({ length: 32 }, (_, at) => Uint8Array.of(at));
  const long = 'n'.repeat(30_000);
  await capture(150, long, (queue, path) => put(queue, sampleFile(path, parts)));
  const before = keysLeft();
  expect(before.length).toBeGreaterThan(1);
  const queue = await openQueue(folder.dir);
  await queue.outbox.nextCommit(testSigner());
  expect(keysLeft()).toEqual(before.slice(1));
  await queue.close();
});
