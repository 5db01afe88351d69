import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench, pathKey } from '../../testing/capture/bench.ts';
import type { CaptureHost } from '../capture/host.ts';
import { type BytePath, fromText, pathBytes } from '../source/paths.ts';
import { type Source, sourceOf } from '../source/source.ts';
import { captureReferences } from './reference-pass.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

const at = (name: string): BytePath => fromText(join(bench.data, name), '/');
const text = (bytes: Uint8Array | undefined) =>
  Buffer.from(bytes ?? [])
    .toString()
    .split(/[\\/]/)
    .at(-1);

/** A complete result that found no room in the queue. */
async function waits(name: string): Promise<void> {
  writeFileSync(join(bench.data, name), name);
  const seen = await bench.host.look(at(name));
  if (typeof seen === 'string') throw new Error(seen);
  await bench.references.refer({
    path: pathBytes(at(name)),
    class: 'default',
    size: seen.size,
    mtimeNs: seen.mtimeNs,
    resultPathLength: 0,
  });
  await bench.queue.sync();
}

/** One pass; `look` answers in place of the disk where it says something. */
async function pass(
  source: Source = bench.source,
  look: (path: BytePath) => string | undefined = () => undefined,
) {
  const { queue, references, underWay, places, clock } = bench;
  const host: CaptureHost = {
    parallel: 1,
    walk: (request) => bench.host.walk(request),
    compare: (request, known) => bench.host.compare(request, known),
    look: async (path) => look(path) ?? bench.host.look(path),
    capture: (jobs, exchange) => bench.host.capture(jobs, exchange),
    close: async () => undefined,
  };
  const parts = {
    host,
    queue,
    references,
    underWay,
    places,
    pathKey,
    clock,
    sourceOf: () => source,
    where: () => true,
    all: true,
    onChanged: undefined,
  };
  const tally = await captureReferences(parts, new AbortController().signal);
  await queue.sync();
  const waiting: (string | undefined)[] = [];
  for await (const { path } of queue.references.list()) waiting.push(text(path));
  const lost: (string | undefined)[] = [];
  for await (const { path } of queue.losses.list()) lost.push(text(path));
  return { tally, waiting, lost };
}

test('P6: with its drive unplugged nothing that waits at its source is dropped or called lost, and it is captured when the drive is back', async () => {
  await waits('a');
  await waits('b');
  expect(await pass(bench.source, () => 'ENOENT')).toMatchObject({ waiting: ['a', 'b'], lost: [] });
  expect(await pass()).toMatchObject({ tally: { newFiles: 2 }, waiting: [], lost: [] });
});

test('P6: with another folder where the drive was mounted nothing that waits is dropped or called lost', async () => {
  await bench.backup();
  await waits('a');
  const elsewhere = { ...bench.source, root: fromText(bench.own, '/') };
  const known = await bench.queue.ledger.known(pathBytes(bench.root));
  expect(known).toBeDefined();
  const look = bench.host.look.bind(bench.host);
  bench.host.look = async (path) => (path === bench.root ? look(elsewhere.root) : 'ENOENT');
  expect(await pass()).toMatchObject({ waiting: ['a'], lost: [] });
});

test('P6: a result that vanishes between the two looks is not dropped silently: the next pass names it lost', async () => {
  await waits('a');
  let first = true;
  const once = (path: BytePath) => {
    if (path !== at('a') || !first) return undefined;
    first = false;
    queueMicrotask(() => rmSync(join(bench.data, 'a'), { force: true }));
    return undefined;
  };
  const raced = await pass(bench.source, once);
  expect(first).toBe(false);
  expect([...raced.waiting, ...raced.lost]).toEqual(['a']);
  expect(await pass()).toMatchObject({ waiting: [], lost: ['a'] });
});

test('P6: a result that vanishes with its drive between the two looks goes on waiting', async () => {
  await waits('a');
  let unplugged = false;
  const look = (path: BytePath) => {
    if (unplugged) return 'ENOENT';
    unplugged = path === at('a');
    return undefined;
  };
  expect(await pass(bench.source, look)).toMatchObject({ waiting: ['a'], lost: [] });
});

test('what the rules exclude by now does not wait any more', async () => {
  await waits('a');
  const source = sourceOf(pathKey, {
    ...bench.source,
    rules: { ...bench.source.rules, exclude: [{ glob: 'a', below: bench.root }] },
  });
  expect(await pass(source)).toMatchObject({ tally: { newFiles: 0 }, waiting: [], lost: [] });
});
