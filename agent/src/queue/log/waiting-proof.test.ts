import { rmSync } from 'node:fs';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  openQueue,
  put,
  receiptFor,
  sample,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import type { Queue } from '../queue.ts';
import { openLogs, queuePaths } from './open-queue.ts';
import { type Needed, WaitingProof } from './waiting-proof.ts';

const beyondAll = Number.MAX_SAFE_INTEGER;
let folder: ReturnType<typeof temporaryFolder>;
let queue: Queue;

beforeEach(async () => {
  folder = temporaryFolder();
  queue = await openQueue(folder.dir, { segmentBytes: 4096 });
});

afterEach(async () => {
  await queue.close();
  folder.remove();
});

async function putSome(name: string, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await put(queue, sample(`/${name}/${at}`, 2, 600));
  await queue.sync();
}

async function sign(): Promise<number> {
  return (await queue.outbox.nextCommit(testSigner()))?.sequence ?? 0;
}

async function receipt(sequence: number): Promise<void> {
  const commit = await queue.outbox.signedCommit(sequence);
  if (commit === undefined) throw new Error('no such commit');
  const { signed, body } = receiptFor(commit);
  await queue.outbox.receipted(signed, body);
}

/** What the files prove, read by another process. */
async function proved(atMost = beyondAll): Promise<Needed | undefined> {
  const logs = await openLogs({
    ...{ port: nodeDisk, dataDir: folder.dir },
    random: seededRandom('logs'),
  });
  try {
    return await new WaitingProof(logs).needed(atMost);
  } finally {
    await logs.segments.close();
    await logs.chain.close();
  }
}

describe('D5 segments and chain log prove what waits', () => {
  test('nothing in an empty queue, and nothing once all is receipted', async () => {
    expect(await proved()).toMatchObject({ entry: beyondAll, segment: beyondAll });
    await putSome('a', 5);
    await receipt(await sign());
    expect(await proved()).toMatchObject({ entry: beyondAll, segment: beyondAll });
  });

  test('the first that is not signed, then the first of a commit without a receipt', async () => {
    await putSome('a', 5);
    expect(await proved()).toMatchObject({ entry: 1, segment: 1 });
    await receipt(await sign());
    await putSome('b', 5);
    const first = await proved();
    expect(first).toMatchObject({ entry: 6 });
    expect(first?.segment).toBeGreaterThan(1);
    const second = await sign();
    await putSome('c', 3);
    expect(await proved()).toEqual(first);
    await receipt(second);
    expect(await proved()).toMatchObject({ entry: 11 });
  });

  test('what the collector lost again waits again', async () => {
    await putSome('a', 5);
    await receipt(await sign());
    await putSome('b', 5);
    await receipt(await sign());
    await queue.outbox.unreceipt(1);
    expect(await proved()).toMatchObject({ entry: 6 });
    await receipt(2);
    expect(await proved()).toMatchObject({ entry: beyondAll });
  });

  test('a version that was named as lost needs nothing', async () => {
    await putSome('a', 3);
    await sign();
    await queue.losses.record(1, [0]);
    expect(await proved()).toMatchObject({ entry: 1 });
    await receipt(1);
    expect(await proved()).toMatchObject({ entry: beyondAll });
  });

  test('a later version that needs an older segment holds it', async () => {
    await putSome('a', 2);
    const slow = queue.intake.capture();
    const { items, draft, known } = sample('/slow', 2, 600);
    for (const { id, kind, sealed } of items) await slow.putItems([{ id, kind, sealed }]);
    await putSome('b', 9);
    await receipt(await sign());
    await slow.putVersion(draft, known);
    await queue.sync();
    expect(await proved()).toMatchObject({ entry: 12, segment: 1 });
  });

  test('as long as not all of them were looked at, nothing', async () => {
    await putSome('a', 12);
    expect(await proved(1)).toBeUndefined();
    expect(await proved()).toMatchObject({ entry: 1 });
  });

  test('while a segment is missing between others, and its versions are settled nowhere, nothing', async () => {
    await putSome('a', 12);
    rmSync(`${queuePaths(folder.dir).segments}/00000002.seg`);
    expect(await proved()).toBeUndefined();
  });
});
