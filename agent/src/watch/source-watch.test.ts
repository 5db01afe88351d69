import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench, pathKey } from '../../testing/capture/bench.ts';
import { fromText } from '../source/paths.ts';
import { quietTime } from '../source/proof.ts';
import { SourceWatch } from './source-watch.ts';

let bench: Bench;
let watch: SourceWatch;
const never = new AbortController().signal;

beforeEach(async () => {
  bench = await openBench();
  const { host, queue, problems, references, underWay, places, clock } = bench;
  // Stamps are of the real clock; the bench's is its own, so only looks count.
  watch = new SourceWatch(
    { ...bench.source, proof: quietTime(10) },
    { host, queue, problems, references, underWay, places, pathKey, clock, trustStamps: false },
  );
});
afterEach(() => bench.close());

const at = (name: string) => join(bench.data, name);
const path = (name: string) => fromText(at(name), '/');
const known = async (name: string) =>
  (await bench.queue.ledger.known(Buffer.from(at(name)))) !== undefined;
const pass = (seconds: number) => {
  bench.clock.ms += seconds * 1000;
};

test('a new file is captured when it was quiet for its time, not before', async () => {
  writeFileSync(at('f'), 'half');
  await watch.scanAll(never);
  expect(await known('f')).toBe(false);
  expect([...watch.settling()]).toEqual([path('f')]);
  pass(6);
  appendFileSync(at('f'), ' more');
  await watch.scanAll(never);
  pass(6);
  await watch.lookDue(never);
  expect(await known('f')).toBe(false);
  pass(4);
  const { tally } = await watch.lookDue(never);
  expect(tally.newFiles).toBe(1);
  expect(await known('f')).toBe(true);
  expect(watch.settlingCount).toBe(0);
});

test('a folder result is captured whole, and only when its last member is quiet', async () => {
  mkdirSync(at('run.D'));
  writeFileSync(at('run.D/first'), '1');
  await watch.scanAll(never);
  pass(9);
  writeFileSync(at('run.D/second'), '2');
  watch.touch(path('run.D/second'));
  pass(2);
  await watch.lookDue(never);
  expect(await known('run.D/first')).toBe(false);
  expect([...watch.settling()]).toContain(path('run.D'));
  pass(10);
  await watch.lookDue(never);
  pass(10);
  await watch.lookDue(never);
  expect(await known('run.D/first')).toBe(true);
  expect(await known('run.D/second')).toBe(true);
  expect(await known('run.D')).toBe(true);
});

test('an event for one file looks at that file alone', async () => {
  writeFileSync(at('a'), 'a');
  writeFileSync(at('b'), 'b');
  watch.touch(path('a'));
  expect(watch.nextMs()).toBe(bench.clock.ms + 10_000);
  pass(10);
  await watch.lookDue(never);
  pass(10);
  await watch.lookDue(never);
  expect(await known('a')).toBe(true);
  expect(await known('b')).toBe(false);
});

test('an event for a folder finds what is in it', async () => {
  mkdirSync(at('in/deep'), { recursive: true });
  writeFileSync(at('in/deep/f'), 'f');
  watch.touch(path('in'));
  for (let look = 0; look < 3; look += 1) {
    pass(10);
    await watch.lookDue(never);
  }
  expect(await known('in/deep/f')).toBe(true);
  expect(watch.settlingCount).toBe(0);
});

test('a file that disappears for less than the quiet time is not gone', async () => {
  writeFileSync(at('stays'), 'x');
  writeFileSync(at('f'), 'one');
  await bench.backup();
  rmSync(at('f'));
  watch.touch(path('f'));
  pass(10);
  await watch.lookDue(never);
  writeFileSync(at('f'), 'two');
  pass(10);
  const second = await watch.lookDue(never);
  expect(second.tally.gone).toBe(0);
  pass(10);
  const third = await watch.lookDue(never);
  expect(third.tally.changed + second.tally.changed).toBe(1);
});

test('a file and a whole folder result that stay away become gone facts', async () => {
  mkdirSync(at('run.D'));
  writeFileSync(at('run.D/x'), 'x');
  writeFileSync(at('f'), 'one');
  writeFileSync(at('stays'), 'x');
  await bench.backup();
  rmSync(at('f'));
  rmSync(at('run.D'), { recursive: true });
  await watch.scanAll(never);
  expect(await known('f')).toBe(true);
  pass(10);
  await watch.lookDue(never);
  expect(await known('f')).toBe(false);
  expect(await known('run.D/x')).toBe(false);
  expect(await known('run.D')).toBe(false);
});

test('P6: a source of which the patterns leave nothing is a problem until they leave something', async () => {
  const { host, queue, problems, references, underWay, places, clock } = bench;
  const rules = { ...bench.source.rules, exclude: [{ glob: '*.tmp', below: bench.root }] };
  const source = { ...bench.source, rules, proof: quietTime(0) };
  const narrow = new SourceWatch(source, {
    host,
    queue,
    problems,
    references,
    underWay,
    places,
    pathKey,
    clock,
    trustStamps: false,
  });
  const codes = async () => {
    const found: string[] = [];
    for await (const { code } of queue.ledger.problems()) found.push(code);
    return found;
  };
  writeFileSync(at('a.tmp'), 'a');
  mkdirSync(at('d'));
  await narrow.scanAll(never);
  expect(await codes()).toEqual(['all-excluded']);
  expect(narrow.excluded).toEqual({ counts: [{ glob: '*.tmp', files: 1, folders: 0 }], left: 0 });
  // A look at a folder of which nothing is left says nothing about the source.
  writeFileSync(at('b'), 'b');
  writeFileSync(at('d/c.tmp'), 'c');
  await narrow.scanAll(never);
  narrow.touch(path('d'));
  await narrow.lookDue(never);
  expect(await codes()).toEqual([]);
});

test('events about excluded paths and other places are ignored', () => {
  watch.touch(fromText(bench.own, '/'));
  watch.touch('/elsewhere');
  expect(watch.settlingCount).toBe(0);
});

test('an event for a name that never was is forgotten again', async () => {
  watch.touch(path('ghost'));
  pass(10);
  await watch.lookDue(never);
  expect(watch.settlingCount).toBe(0);
});

test('P6: a problem stays while its file is settling and ends when it is captured', async () => {
  writeFileSync(at('f'), 'one');
  await bench.problems.set(path('f'), { code: 'unreadable', message: 'was locked' });
  await watch.scanAll(never);
  expect(bench.problems.size).toBe(1);
  pass(10);
  await watch.scanAll(never);
  expect(bench.problems.size).toBe(0);
});

test('P6: a clock that jumps by years, back and forth, delays a file by one quiet time of steady clock, and never loses it', async () => {
  const start = bench.clock.ms;
  const years = 365 * 86_400_000;
  writeFileSync(at('f'), 'at rest');
  for (const jump of [-30 * years, 40 * years, -1000, 0.5 * years, -50 * years]) {
    bench.clock.ms = start + jump;
    await watch.scanAll(never);
    await watch.lookDue(never);
  }
  pass(11);
  await watch.lookDue(never);
  expect(await known('f')).toBe(true);
  // What changes at a time before its own capture is seen as well.
  bench.clock.ms -= 20 * years; // before 1970
  appendFileSync(at('f'), ', and changed');
  await watch.scanAll(never);
  pass(11);
  const { tally } = await watch.lookDue(never);
  expect(tally.changed).toBe(1);
});
