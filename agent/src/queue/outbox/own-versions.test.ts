import { afterEach, beforeEach, expect, test } from 'vitest';
import { judgedResult, memberOf } from '../../../testing/queue/results.ts';
import {
  drainAll,
  noise,
  openQueue,
  put,
  putGone,
  receiptFor,
  sampleFile,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import type { Queue } from '../queue.ts';

let folder: ReturnType<typeof temporaryFolder>;
let queue: Queue;
beforeEach(async () => {
  folder = temporaryFolder();
  queue = await openQueue(folder.dir);
});
afterEach(async () => {
  await queue.close();
  folder.remove();
});

const file = (state: string, capturedAtMs: number, name = '/data/run.csv') =>
  sampleFile(name, [noise(`${name} ${state}`, 300)], capturedAtMs);

test('the versions of a file come oldest first: receipted, signed and waiting ones, and its deletion', async () => {
  const [first, second, third] = [file('one', 1_000), file('two', 2_000), file('three', 3_000)];
  await put(queue, first);
  await put(queue, file('other', 1_500, '/data/other.csv'));
  await drainAll(queue);
  await putGone(queue, first);
  await put(queue, second);
  await queue.sync();
  const signed = await queue.outbox.nextCommit(testSigner());
  await put(queue, third);

  const versions = await queue.outbox.ownVersions({ fileIds: [first.draft.fileId] });
  expect(
    versions.map(({ kind, capturedAtMs, safeSinceMs }) => [kind, capturedAtMs, safeSinceMs]),
  ).toEqual([
    ['file', 1_000, 1_800_000_000_000],
    ['gone', 1_000, undefined],
    ['file', 2_000, undefined],
    ['file', 3_000, undefined],
  ]);
  const hash = Buffer.from(signed?.hash ?? []).toString('hex', 0, 8);
  expect(versions.map(({ version }) => version)).toEqual([
    expect.stringMatching(/^[0-9a-f]{16}\.0$/),
    `${hash}.0`,
    `${hash}.1`,
    undefined,
  ]);
});

test('they are the same after the folder was opened again, and a collector that lost its receipts takes safe away', async () => {
  const one = file('one', 1_000);
  await put(queue, one);
  await drainAll(queue);
  await queue.close();
  queue = await openQueue(folder.dir);
  expect(await queue.outbox.ownVersions({ fileIds: [one.draft.fileId] })).toMatchObject([
    { safeSinceMs: 1_800_000_000_000 },
  ]);
  await queue.outbox.unreceipt(0);
  expect(await queue.outbox.ownVersions({ fileIds: [one.draft.fileId] })).toMatchObject([
    { safeSinceMs: undefined },
  ]);
  const again = await queue.outbox.nextCommit(testSigner());
  if (again === undefined) throw new Error('nothing to send');
  const { signed, body } = receiptFor(again);
  await queue.outbox.receipted(signed, body);
  expect(await queue.outbox.ownVersions({ fileIds: [one.draft.fileId] })).toMatchObject([
    { safeSinceMs: 1_800_000_000_000 },
  ]);
});

test('what is signed while they are read is neither missed nor told twice', async () => {
  const states = Array.from({ length: 40 }, (_, at) => file(`state ${at}`, 1_000 + at));
  for (const state of states) await put(queue, state);
  const asked = states[0]?.draft.fileId;
  if (asked === undefined) throw new Error('no file');
  const [versions] = await Promise.all([
    queue.outbox.ownVersions({ fileIds: [asked] }),
    drainAll(queue),
  ]);
  expect(versions.map(({ capturedAtMs }) => capturedAtMs)).toEqual(
    states.map((_, at) => 1_000 + at),
  );
});

test('a file that nobody captured has none', async () => {
  await put(queue, file('one', 1_000));
  expect(
    await queue.outbox.ownVersions({ fileIds: [file('x', 1, '/data/never').draft.fileId] }),
  ).toEqual([]);
});

test('I-A16 a folder result has versions of its own: those of its rows, signed and waiting', async () => {
  const root = '/data/run.D';
  const folder = { root: Buffer.from(root), resultId: testSigner().resultIdOf(Buffer.from(root)) };
  const one = memberOf(root, file('one', 1_000, `${root}/a`));
  const two = memberOf(root, file('two', 2_000, `${root}/b`));
  await put(queue, one);
  await queue.results.put(judgedResult(root, [one], { seen: undefined, grade: 'interrupted' }));
  await drainAll(queue);
  await put(queue, two);
  await queue.results.put(judgedResult(root, [one, two]));
  await queue.sync();
  const versions = await queue.outbox.ownVersions({ fileIds: [], folder });
  expect(versions).toMatchObject([
    {
      ...{ kind: 'result', size: one.draft.size, safeSinceMs: 1_800_000_000_000 },
      version: expect.stringMatching(/^[0-9a-f]{16}\.1$/),
      result: { progress: 'open', grade: 'interrupted', members: 1 },
    },
    {
      ...{ kind: 'result', safeSinceMs: undefined, version: undefined },
      result: { progress: 'closed', grade: 'assumed', members: 2, membersRoot: undefined },
    },
  ]);
  expect(versions[0]?.result?.membersRoot).toHaveLength(32);
  expect(await queue.results.standing(folder.root)).toMatchObject({ isSafe: false, isOwed: false });
  await drainAll(queue);
  const [, closed] = await queue.outbox.ownVersions({ fileIds: [], folder });
  const size = one.draft.size + two.draft.size;
  expect(closed).toMatchObject({ size, safeSinceMs: 1_800_000_000_000 });
  expect(await queue.results.standing(folder.root)).toMatchObject({ isSafe: true, isOwed: false });
  const other = { root: Buffer.from('/data/other.D'), resultId: folder.resultId };
  expect(await queue.results.standing(other.root)).toMatchObject({ row: undefined });
});
