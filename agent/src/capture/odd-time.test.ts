import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench, pathKey, portWith } from '../../testing/capture/bench.ts';
import { fromText, pathBytes } from '../source/paths.ts';
import { quietTime } from '../source/proof.ts';
import { nodeSource } from '../source/source-port.ts';
import { SourceWatch } from '../watch/source-watch.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  writeFileSync(join(bench.data, 'odd'), 'bytes');
});
afterEach(() => bench.close());

const path = () => fromText(join(bench.data, 'odd'), '/');
const codes = async () => {
  const found: string[] = [];
  for await (const { code } of bench.queue.ledger.problems()) found.push(code);
  return found;
};
/** Not every file system holds such a time: this one says that it does. */
const beyond = () => {
  const odd = (of: ReturnType<typeof nodeSource.lstat>) =>
    of.kind === 'file' ? { ...of, mtimeNs: 2n ** 63n - 1n, beyondTime: true as const } : of;
  return portWith({
    lstat: (at) => odd(nodeSource.lstat(at)),
    fstat: (at) => odd(nodeSource.fstat(at)),
  });
};

test('P6: a time that no format keeps is named and stays named, and the bytes are captured', async () => {
  bench.through(beyond());
  expect((await bench.backup()).told).toContain('odd-time odd');
  expect(await bench.queue.ledger.known(pathBytes(path()))).toMatchObject({
    mtimeNs: 2n ** 63n - 1n,
    size: 5,
  });
  expect(await codes()).toEqual(['odd-time']);
  await bench.backup();
  expect(await codes()).toEqual(['odd-time']);
  bench.through(nodeSource);
  await bench.backup();
  expect(await codes()).toEqual([]);
});

test('a watched file with such a time settles like any other', async () => {
  bench.through(beyond());
  const { host, queue, problems, references, underWay, places, clock } = bench;
  const parts = {
    host,
    queue,
    problems,
    references,
    underWay,
    places,
    pathKey,
    clock,
    trustStamps: false,
  };
  const watch = new SourceWatch({ ...bench.source, proof: quietTime(10) }, parts);
  const never = new AbortController().signal;
  await watch.scanAll(never);
  expect(await queue.ledger.known(pathBytes(path()))).toBeUndefined();
  clock.ms += 11_000;
  await watch.lookDue(never);
  expect(await queue.ledger.known(pathBytes(path()))).toBeDefined();
  expect(await codes()).toEqual(['odd-time']);
});

test.runIf(posixOnly('Node on Windows knows no times before 1970'))(
  'times before 1970 are kept to the nanosecond',
  async () => {
    utimesSync(join(bench.data, 'odd'), new Date(-1), new Date(-1));
    await bench.backup();
    expect(await bench.queue.ledger.known(pathBytes(path()))).toMatchObject({
      mtimeNs: -1_000_000n,
    });
  },
);
