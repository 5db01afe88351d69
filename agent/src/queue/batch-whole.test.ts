import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openQueue, put, sample, temporaryFolder, testSigner } from './test-support.ts';

test('I-A3: a commit takes whole batches, so that no key of a version in it stays behind for one that waits', async () => {
  const { dir, remove } = temporaryFolder();
  try {
    for (const [run, count] of [
      ['first', 10],
      ['second', 4090],
    ] as const) {
      const queue = await openQueue(dir);
      for (let at = 0; at < count; at += 1) await put(queue, sample(`/data/${run} ${at}`, 1, 40));
      await queue.close();
    }
    const queue = await openQueue(dir);
    const commit = await queue.nextCommit(testSigner());
    console.log(commit?.entries, readdirSync(join(dir, 'queue', 'batch-keys')));
    await queue.close();
  } finally {
    remove();
  }
});
