import { openNames } from '@aliquot/shared/commit/open-names';
import { checkResults } from '@aliquot/shared/commit/results';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { judgedResult, memberOf } from '../../../testing/queue/results.ts';
import {
  openQueue,
  put,
  putSlab,
  type SampleFile,
  type SlabSample,
  sample,
  sampleSlab,
  temporaryFolder,
  testSigner,
  vault,
} from '../../../testing/queue/support.ts';
import type { Queue } from '../queue.ts';
import type { CommitSigner } from './outbox.ts';

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

const many = (name: string, count: number): readonly SlabSample[] =>
  sampleSlab(Array.from({ length: count }, (_, at) => `${name}/${at}`));

/** A signer that counts what it sealed ahead. */
function counting(): { readonly signer: CommitSigner; readonly sealed: number[] } {
  const signer = testSigner();
  const sealed: number[] = [];
  const seal: CommitSigner['seal'] = (drafts) => {
    sealed.push(drafts.length);
    return signer.seal(drafts);
  };
  return { signer: { ...signer, seal }, sealed };
}

/** Paths and hashes of the next commit, as whoever has the kit opens them. */
async function opened(signer: CommitSigner): Promise<readonly string[]> {
  const commit = await queue.outbox.nextCommit(signer);
  if (commit === undefined) return [];
  const read = readCommit(commit.bytes);
  checkResults(read.rows);
  const reader = {
    key: boxKeyFromSecret(vault.kit.vaultSecretKey),
    recipient: 'vault',
    provesRoots: true,
  } as const;
  const unopened: unknown[] = [];
  const rows = [...openNames(read, rowsIn(read.rows), reader, (one) => unopened.push(one))];
  expect(unopened).toEqual([]);
  return rows.map(({ list, entry, read: part }) =>
    [
      Buffer.from(list.path).toString(),
      Buffer.from(entry.fileId).toString('hex'),
      Buffer.from(part()?.sha256 ?? []).toString('hex'),
    ].join(' '),
  );
}

const said = (files: readonly SampleFile[]): readonly string[] =>
  files.map(({ draft }) =>
    [
      Buffer.from(draft.list.path).toString(),
      Buffer.from(draft.fileId).toString('hex'),
      Buffer.from(draft.read?.sha256 ?? []).toString('hex'),
    ].join(' '),
  );

test('versions that come by the hundred are sealed as they are put, stand in their order between the others, and open for whoever has the kit', async () => {
  const { signer, sealed } = counting();
  expect(await opened(signer)).toEqual([]);
  const [one, other] = [sample('/data/a'), sample('/data/z')];
  const first = many('/data/first', 200);
  const second = many('/data/second', 130);
  await put(queue, one);
  await putSlab(queue, first);
  await put(queue, other);
  await putSlab(queue, second);
  expect(sealed).toEqual([200, 130]);
  expect(await opened(signer)).toEqual(said([one, ...first, other, ...second]));
});

test('what another signer has sealed ahead is made anew from the disk', async () => {
  const { signer, sealed } = counting();
  await opened(signer);
  const files = many('/data/run', 150);
  await putSlab(queue, files);
  expect(sealed).toEqual([150]);
  expect(await opened(testSigner())).toEqual(said(files));
});

test('a signer that fails has wiped its blocks, and the commit after that opens all the same', async () => {
  const { signer } = counting();
  let fails = false;
  const failing: CommitSigner = {
    ...signer,
    sign: (request) => {
      const commit = signer.sign(request);
      for (const row of request.rows)
        if ('rowsHash' in row) for (const key of [row.listKey, row.readKey]) key.fill(0);
      if (fails) throw new Error('the clock is gone');
      return commit;
    },
  };
  await opened(failing);
  const files = many('/data/run', 150);
  await putSlab(queue, files);
  fails = true;
  await expect(queue.outbox.nextCommit(failing)).rejects.toThrow('the clock is gone');
  fails = false;
  expect(await opened(failing)).toEqual(said(files));
});

test('behind as many versions as are kept nothing is sealed ahead, and the commits have all of them', async () => {
  const { signer, sealed } = counting();
  await opened(signer);
  const slabs = Array.from({ length: 42 }, (_, at) => many(`/data/${at}`, 200));
  for (const slab of slabs) await putSlab(queue, slab);
  expect(sealed).toEqual(Array.from({ length: 41 }, () => 200));
  expect(await opened(signer)).toEqual(said(slabs.slice(0, 20).flat()));
});

test('I-A16 members that were sealed ahead count for the row of their result', async () => {
  const { signer, sealed } = counting();
  await opened(signer);
  const root = '/data/a.D';
  const members = many(root, 150).map((file) => memberOf(root, file));
  await putSlab(queue, members);
  await queue.results.put(judgedResult(root, members));
  expect(sealed).toEqual([150]);
  const commit = await queue.outbox.nextCommit(signer);
  const { rows } = readCommit(commit?.bytes ?? new Uint8Array());
  expect(() => checkResults(rows)).not.toThrow();
  expect(rows.result(150)).toMatchObject({ progress: 'closed', members: 150 });
});
