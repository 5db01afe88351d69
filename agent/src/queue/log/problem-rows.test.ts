import { MemoryIndex, MemoryRows } from '@aliquot/shared/testing/derived/memory-index';
import { expect, test } from 'vitest';
import { familyRange } from './index-rows.ts';
import { ProblemRows } from './problem-rows.ts';

const path = (name: string) => Buffer.from(`/data/${name}`);

async function rowsIn(index: MemoryIndex): Promise<number> {
  let count = 0;
  for await (const batch of index.batches(familyRange('p'))) count += batch.length;
  return count;
}

test('a problem is removed where there is one, and costs a path that has none nothing', async () => {
  const written = new MemoryRows();
  const index = new MemoryIndex(written);
  const problems = await ProblemRows.load(index);
  for (let at = 0; at < 1000; at += 1) problems.del(path(`f${at}`));
  expect(index.staged).toBe(0);
  problems.put(path('locked'), Buffer.from('in use'));
  problems.put(path('torn'), Buffer.from('changing'));
  await index.flush(Buffer.from('one'));
  for (let at = 0; at < 1000; at += 1) problems.del(path(`f${at}`));
  expect(index.staged).toBe(0);
  problems.del(path('torn'));
  await index.flush(Buffer.from('two'));
  expect(await rowsIn(index)).toBe(1);

  const again = new MemoryIndex(written);
  const loaded = await ProblemRows.load(again);
  loaded.del(path('other'));
  expect(again.staged).toBe(0);
  loaded.del(path('locked'));
  await again.flush(Buffer.from('three'));
  expect(await rowsIn(again)).toBe(0);
});
