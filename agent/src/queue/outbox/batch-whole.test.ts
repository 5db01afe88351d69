import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkResults } from '@aliquot/shared/commit/results';
import { readCommit, resultsBySlot } from '@aliquot/shared/commit/rows';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { judgedResult, memberOf, signedCommits } from '../../../testing/queue/results.ts';
import {
  drainAll,
  openQueue,
  put,
  sample,
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
  // empty: only their number counts
  const add = (queue: Queue, path: string): Promise<void> => put(queue, sampleFile(path, []));
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

/**
 * Puts a member and the row of each result, one after the other, and gives the rows of each commit.
 */
async function rowsOf(queue: Queue, roots: readonly string[]): Promise<number[]> {
  for (const [at, root] of roots.entries()) {
    const slash = root.startsWith('/') ? '/' : '\\';
    const member = memberOf(root, sample(`${root}${slash}${at}`));
    await put(queue, member);
    await queue.results.put(judgedResult(root, [member], { below: Buffer.from(root + slash) }));
  }
  await drainAll(queue);
  const counts: number[] = [];
  for await (const bytes of signedCommits(queue)) {
    const { rows } = readCommit(bytes);
    expect(() => checkResults(rows)).not.toThrow();
    counts.push(resultsBySlot(rows).size);
  }
  return counts;
}

test.each([
  ['whose first row begins a commit', ['/data/run.D', '/data/run.D', '/data/run.D']],
  ['renamed in case alone', ['D:\\data\\run.D', 'D:\\data\\RUN.D', 'D:\\data\\run.D']],
])('I-A16: a result %s has one row in a commit, or its collector refuses it', async (_, roots) => {
  const queue = await openQueue(folder.dir);
  const counts = await rowsOf(queue, roots).finally(() => queue.close());
  expect(counts).toEqual([1, 1, 1]);
});
