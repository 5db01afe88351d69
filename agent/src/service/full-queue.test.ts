import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, pathKey } from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import {
  type Done,
  find,
  openServiceBench,
  type ServiceBench,
} from '../../testing/service/bench.ts';
import type { Agent } from '../folder/agent.ts';
import { fixedSources } from '../folder/source-set.ts';
import type { Request } from '../socket/protocol.ts';
import { fromText, pathBytes } from '../source/paths.ts';
import { type Source, sourceOf } from '../source/source.ts';
import { captureWaiting } from './waiting.ts';

/** Small, so that the test is quick: the limits are counted in bytes, whatever their size. */
const PART = 100_000;
const signal = new AbortController().signal;

let bench: Bench;
let agent: Agent;
let service: ServiceBench;

beforeEach(async () => {
  service = await openServiceBench({
    maxBytes: 2.5 * PART,
    minFreeBytes: 0,
    classes: { small: 0.1 },
  });
  ({ bench, agent } = service);
});
afterEach(() => service.close());

const at = (name: string) => service.at(name);
const write = (name: string, bytes = PART, seed = name) =>
  writeFileSync(at(name), noise(seed, bytes));
const perform = (request: Request) => service.perform(request, agent);
const backup = (offline = true) => service.backup(offline, agent);
const status = () => perform({ op: 'status', results: true });
const waiting = async () => {
  const paths: string[] = [];
  for await (const { path } of bench.queue.references.list())
    paths.push(
      Buffer.from(path)
        .toString()
        .slice(bench.data.length + 1),
    );
  return paths;
};
const stateOf = (done: Done, name: string) =>
  find(done, 'result').find(({ path }) => path === at(name))?.['state'];

test('P6 I-A10: what a full queue cannot take is named, one by one and in all, and the backup ends in part', async () => {
  for (const name of ['a', 'b', 'c', 'd']) write(name);
  const done = await backup();
  expect(done.code).toBe('PARTIAL');
  expect(find(done, 'problem').map(({ path, code }) => [path, code])).toEqual([
    [at('c'), 'queue-full'],
    [at('d'), 'queue-full'],
  ]);
  expect(find(done, 'summary')[0]).toMatchObject({ files: 2, failed: 2 });
  const now = await status();
  expect(find(now, 'status')[0]).toMatchObject({
    problems: 2,
    queue: { full: true, waiting: { files: 2, bytes: 2 * PART } },
    results: { total: 4, queued: 2, problem: 2 },
  });
  expect(find(now, 'problem').map(({ path }) => path)).toEqual([at('c'), at('d')]);
  expect(find(now, 'problem')[0]?.['message']).toMatch(
    /only at its source: the queue is full \(244 KiB\); it is captured by itself/,
  );
  expect(stateOf(now, 'd')).toBe('problem');
});

test('P6: a second scan of a full queue reads nothing, writes nothing, and keeps since when a result waits', async () => {
  for (const name of ['a', 'b', 'c']) write(name);
  await backup();
  const [since] = find(await status(), 'problem').map((problem) => problem['since']);
  bench.clock.ms += 3_600_000;
  const again = await backup();
  expect(find(again, 'summary')[0]).toMatchObject({ readBytes: 0, failed: 1 });
  expect(find(await status(), 'problem').map((problem) => problem['since'])).toEqual([since]);
});

test('I-A10: a backup of more than the queue may hold goes through in parts, when there is a connection', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) write(name);
  const done = await backup(false);
  expect(done.code).toBeUndefined();
  expect(find(done, 'summary')[0]).toMatchObject({ files: 6, newFiles: 6, failed: 0, queued: 0 });
  expect(find(await status(), 'status')[0]).toMatchObject({
    problems: 0,
    results: { total: 6, safe: 6 },
    queue: { full: false },
  });
});

test('P6: when receipts have given room, what waited longest is captured first, until the room is used again', async () => {
  for (const name of ['a', 'b', 'c']) write(name);
  await backup();
  bench.clock.ms += 60_000;
  for (const name of ['b2', 'a2']) write(name);
  await backup();
  expect(await waiting()).toEqual(['c', 'a2', 'b2']);
  const rooms: string[] = [];
  const stop = bench.queue.subscribe(({ type }) => rooms.push(type));
  await perform({ op: 'flush' });
  stop();
  expect(rooms).toContain('space');
  const tally = await captureWaiting(
    agent,
    { where: () => true, all: false, onChanged: undefined },
    signal,
  );
  expect(tally).toMatchObject({ newFiles: 2, failed: 1 });
  expect(await waiting()).toEqual(['b2']);
});

test('P6: a result that changes while it waits: the earlier state is named lost, until a person has seen it; the present one is captured', async () => {
  for (const name of ['a', 'b', 'c']) write(name);
  await backup();
  appendFileSync(at('c'), 'more');
  bench.clock.ms += 60_000;
  await perform({ op: 'flush' });
  const done = await backup();
  expect(done.code).toBe('PARTIAL');
  expect(await waiting()).toEqual([]);
  expect((await bench.queue.ledger.known(pathBytes(fromText(at('c'), '/'))))?.size).toBe(PART + 4);
  const now = await status();
  expect(find(now, 'lost')).toMatchObject([{ path: at('c'), why: 'reference-changed' }]);
  expect(find(now, 'status')[0]).toMatchObject({ lost: 1 });
  await perform({
    op: 'acknowledgeLost',
    versions: find(now, 'lost').map(({ version }) => Number(version)),
  });
  expect(find(await status(), 'lost')).toEqual([]);
});

test('P6: a result that changes while it waits and still finds no room waits on in its new state, and the earlier one is named lost', async () => {
  for (const name of ['a', 'b', 'c']) write(name);
  await backup();
  appendFileSync(at('c'), 'more');
  await backup();
  expect(await waiting()).toEqual(['c']);
  expect(find(await status(), 'lost')).toMatchObject([{ path: at('c'), why: 'reference-changed' }]);
});

test('P6: a result that goes while it waits is named lost, and does not come back when the file was never known', async () => {
  for (const name of ['a', 'b', 'c', 'd']) write(name);
  await backup();
  rmSync(at('c'));
  const tally = await captureWaiting(
    agent,
    { where: () => true, all: true, onChanged: undefined },
    signal,
  );
  expect(tally.failed).toBe(1); // d still finds no room
  expect(await waiting()).toEqual(['d']);
  expect(find(await status(), 'lost')).toMatchObject([{ path: at('c'), why: 'reference-gone' }]);
});

test('a known file that waits in a new state and goes is a gone fact too', async () => {
  write('c', 1000);
  await backup();
  for (const name of ['a', 'b', 'c']) write(name, 1.2 * PART, `${name} later`);
  await backup();
  expect(await waiting()).toEqual(['c']);
  rmSync(at('c'));
  await captureWaiting(agent, { where: () => true, all: true, onChanged: undefined }, signal);
  expect(await bench.queue.ledger.known(pathBytes(fromText(at('c'), '/')))).toBeUndefined();
  expect(find(await status(), 'lost')).toMatchObject([{ path: at('c'), why: 'reference-gone' }]);
});

test('a class that has used its share leaves the rest to the others', async () => {
  const source = (name: string, className: string): Source =>
    sourceOf(pathKey, { ...bench.source, root: fromText(at(name), '/'), class: className });
  agent = {
    ...agent,
    sources: fixedSources([source('s1', 'small'), source('s2', 'small'), source('big', 'default')]),
  };
  for (const name of ['s1', 's2']) write(name, 0.2 * PART);
  write('big', 1.5 * PART);
  const done = await backup();
  expect(find(done, 'problem').map(({ path }) => path)).toEqual([at('s2')]);
  expect(find(await status(), 'problem')[0]?.['message']).toMatch(/the queue is full \(24 KiB\)/);
});

test('P6: a file larger than all that the queue may hold says what to do, and is tried once when the queue is empty, because it may shrink', async () => {
  write('huge', 4 * PART);
  writeFileSync(at('zeros'), Buffer.alloc(4 * PART));
  const first = await backup();
  expect(find(first, 'summary')[0]).toMatchObject({ failed: 2, files: 0, readBytes: 0 });
  expect(find(first, 'problem')[0]?.['message']).toMatch(
    /larger than all that the queue can hold .*raise queue\.maxBytes/,
  );
  await perform({ op: 'flush' });
  const tried = await captureWaiting(
    agent,
    { where: () => true, all: false, onChanged: undefined },
    signal,
  );
  expect(tried).toMatchObject({ newFiles: 1, failed: 1 });
  expect(await waiting()).toEqual(['huge']);
  // What was read in vain takes no room from others.
  await perform({ op: 'flush' });
  for (const name of ['a', 'b']) write(name);
  expect(find(await backup(), 'summary')[0]).toMatchObject({ newFiles: 2, failed: 1 });
});

test('what is excluded or in no source any more does not wait', async () => {
  for (const name of ['a', 'b', 'c']) write(name);
  await backup();
  const source = sourceOf(pathKey, {
    ...bench.source,
    rules: { ...bench.source.rules, exclude: [{ glob: 'c', below: bench.root }] },
  });
  agent = { ...agent, sources: fixedSources([source]) };
  await captureWaiting(agent, { where: () => true, all: true, onChanged: undefined }, signal);
  await bench.queue.sync();
  expect(await waiting()).toEqual([]);
});
