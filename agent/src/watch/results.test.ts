/** Rows of folder results as a watched folder settles, grows, and is looked at again. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Bench,
  openBench,
  pathKey,
  portWith,
  systemError,
} from '../../testing/capture/bench.ts';
import { rowsInChain, signedCommits } from '../../testing/queue/results.ts';
import { drainAll, noise } from '../../testing/queue/support.ts';
import { fromText } from '../source/paths.ts';
import { patienceOf } from '../source/patience.ts';
import { quietTime } from '../source/proof.ts';
import { nodeSource } from '../source/source-port.ts';
import { captureReferences } from './reference-pass.ts';
import { SourceWatch } from './source-watch.ts';

let bench: Bench;
let watch: SourceWatch;
const never = new AbortController().signal;
const at = (name: string) => join(bench.data, name);
const ROOT = 'run.D';

/** Quiet for 10 s, captured as it is after 100 s. */
function newWatch(): SourceWatch {
  const { host, queue, problems, references, underWay, places, clock } = bench;
  const source = { ...bench.source, proof: quietTime(10), patience: patienceOf(10, 300) };
  const parts = { host, queue, problems, references, underWay, places, clock };
  return new SourceWatch(source, { ...parts, pathKey, trustStamps: false });
}

beforeEach(async () => {
  bench = await openBench();
  watch = newWatch();
  mkdirSync(at(ROOT));
  writeFileSync(at(`${ROOT}/method`), 'method');
  writeFileSync(at(`${ROOT}/index`), '0 ');
});
afterEach(() => bench.close());

/** All rows so far; everything is signed for it. */
async function rows() {
  await drainAll(bench.queue);
  const seen = await rowsInChain(signedCommits(bench.queue));
  return seen.map(({ progress, grade, members, fits }) => ({ progress, grade, members, fits }));
}

/** Looks as the service does, for so long. */
async function look(seconds: number, meanwhile: (second: number) => void = () => undefined) {
  for (let second = 5; second <= seconds; second += 5) {
    meanwhile(second);
    bench.clock.ms += 5000;
    await watch.lookDue(never);
  }
}

const closed = { progress: 'closed', grade: 'assumed', members: 3, fits: true };

describe('I-A16 the row of a folder result', () => {
  test('comes when the folder has rested, and not before', async () => {
    await watch.scanAll(never);
    expect(await rows()).toEqual([]);
    await look(15);
    expect(await rows()).toEqual([closed]);
    await watch.scanAll(never);
    await look(30);
    expect(await rows()).toEqual([closed]);
  });

  test('is open and graded interrupted as long as the folder grows, and closed when it rests', async () => {
    const grow = (second: number) => {
      appendFileSync(at(`${ROOT}/index`), `${second} `);
      watch.touch(fromText(at(ROOT), '/'));
    };
    await look(150, grow);
    const growing = await rows();
    expect(growing.length).toBeGreaterThan(0);
    for (const row of growing)
      expect(row).toEqual({ ...closed, progress: 'open', grade: 'interrupted' });
    await look(30);
    expect((await rows()).at(-1)).toEqual(closed);
  });

  test('is open while a member is locked, and closed by a scan after it was released', async () => {
    const open = (path: Buffer) => {
      if (path.toString().endsWith('index')) throw systemError('EBUSY');
      return nodeSource.open(path);
    };
    bench.through(portWith({ open }));
    watch = newWatch();
    await watch.scanAll(never);
    await look(15);
    expect(await rows()).toEqual([{ ...closed, progress: 'open', members: 2 }]);
    expect(bench.problems.codeOf(fromText(at(`${ROOT}/index`), '/'))).toBe('unreadable');
    await watch.scanAll(never);
    await look(15);
    expect(await rows()).toHaveLength(1);
    bench.through(nodeSource);
    watch = newWatch();
    await watch.scanAll(never);
    await look(15);
    expect((await rows()).slice(1)).toEqual([closed]);
  });

  test('that was owed when the service ended is written by the next one, though nothing changed', async () => {
    const { put } = bench.queue.results;
    bench.queue.results.put = () => Promise.reject(new Error('killed'));
    await watch.scanAll(never);
    bench.clock.ms += 15_000;
    await expect(watch.lookDue(never)).rejects.toThrow('killed');
    bench.queue.results.put = put;
    expect(await rows()).toEqual([]);
    watch = newWatch();
    const { newFiles, changed } = await watch.scanAll(never);
    expect({ newFiles, changed }).toEqual({ newFiles: 0, changed: 0 });
    await look(15);
    expect(await rows()).toEqual([closed]);
  });

  test('is open while the queue has no room for a member, and closed soon after that was captured', async () => {
    await bench.close();
    bench = await openBench({}, { maxBytes: 300_000, minFreeBytes: 0, classes: {} });
    watch = newWatch();
    mkdirSync(at(ROOT));
    writeFileSync(at(`${ROOT}/method`), 'method');
    writeFileSync(at(`${ROOT}/scan`), noise('scan', 200_000));
    writeFileSync(at(`${ROOT}/traces`), noise('traces', 200_000));
    await watch.scanAll(never);
    await look(15);
    expect(bench.references.files).toBe(1);
    expect(await rows()).toEqual([{ ...closed, progress: 'open' }]);
    const { source } = watch;
    const { host, queue, references, underWay, places, clock } = bench;
    const parts = { host, queue, references, underWay, places, clock, pathKey };
    const request = { where: () => true, all: true, onChanged: undefined };
    await captureReferences({ ...parts, sourceOf: () => source, ...request }, never);
    expect(bench.references.files).toBe(0);
    await watch.touchOwed();
    await look(30);
    expect((await rows()).at(-1)).toEqual({ ...closed, members: 4 });
  });

  test('says that nothing is left when the whole folder went', async () => {
    writeFileSync(at('stays'), 'stays');
    await watch.scanAll(never);
    await look(15);
    rmSync(at(ROOT), { recursive: true });
    await watch.scanAll(never);
    await look(30);
    expect(await rows()).toEqual([closed, { ...closed, members: 0 }]);
  });
});
