/**
 * What never comes to rest (P6): captured as it is, named after a limit, captured whole when it
 * rests.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type Bench,
  openBench,
  pathKey,
  portWith,
  systemError,
} from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import { contentTag } from '../queue/log/payloads.ts';
import { fromText } from '../source/paths.ts';
import { patienceOf } from '../source/patience.ts';
import { quietTime } from '../source/proof.ts';
import { nodeSource } from '../source/source-port.ts';
import { SourceWatch } from './source-watch.ts';

let bench: Bench;
let watch: SourceWatch;
const never = new AbortController().signal;

/** Quiet for 10 s, captured as it is after 100 s, named after 300 s. */
function newWatch(): SourceWatch {
  const { host, queue, problems, references, underWay, places, clock } = bench;
  const source = { ...bench.source, proof: quietTime(10), patience: patienceOf(10, 300) };
  return new SourceWatch(source, {
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
}

beforeEach(async () => {
  bench = await openBench();
  watch = newWatch();
});
afterEach(() => bench.close());

const at = (name: string) => join(bench.data, name);
const path = (name: string) => fromText(at(name), '/');
const known = (name: string) => bench.queue.ledger.known(Buffer.from(at(name)));
const noTag = new Uint8Array(32);

/**
 * Lets a result change every five seconds, with what the service would do meanwhile. Counts the
 * versions.
 */
async function change(
  seconds: number,
  how: (second: number) => void,
  touched: string | undefined,
): Promise<number> {
  let versions = 0;
  for (let second = 5; second <= seconds; second += 5) {
    how(second);
    if (touched !== undefined) watch.touch(path(touched));
    bench.clock.ms += 5_000;
    const { tally } =
      touched === undefined ? { tally: await watch.scanAll(never) } : await watch.lookDue(never);
    versions += tally.versions;
  }
  return versions;
}

async function rest(): Promise<number> {
  let versions = 0;
  for (let look = 0; look < 3; look += 1) {
    bench.clock.ms += 10_000;
    versions += (await watch.lookDue(never)).tally.versions;
  }
  return versions;
}

async function problems(): Promise<{ path: string; code: string; sinceMs: number }[]> {
  await bench.queue.sync();
  const all: { path: string; code: string; sinceMs: number }[] = [];
  for await (const problem of bench.queue.ledger.problems())
    all.push({
      path: Buffer.from(problem.path).toString(),
      code: problem.code,
      sinceMs: problem.sinceMs,
    });
  return all;
}

const wholeTag = (content: string) =>
  Uint8Array.from(contentTag(createHash('sha256').update(content).digest()));

test.each([
  ['events', 'log'],
  ['scans only', undefined],
])(
  'P6: a file that is appended to for ever is captured as it is, and whole when it rests (%s)',
  async (_by, touched) => {
    let content = '';
    const append = (second: number) => {
      content += `cycle ${second}\n`;
      appendFileSync(at('log'), `cycle ${second}\n`);
    };
    await change(95, append, touched);
    expect(await known('log')).toBeUndefined();
    await change(110, append, touched);
    const growing = await known('log');
    expect(growing?.size).toBeGreaterThan(0);
    expect(growing?.contentTag).toEqual(noTag);
    expect([...watch.settling()]).toContain(path('log'));
    expect(await problems()).toEqual([]);
    await rest();
    expect((await known('log'))?.contentTag).toEqual(wholeTag(content));
    expect(watch.settlingCount).toBe(0);
  },
);

test('P6: after the limit it is named with since when, goes on being captured, and the name ends with its rest', async () => {
  const beganMs = bench.clock.ms;
  const append = (second: number) => appendFileSync(at('log'), `cycle ${second}\n`);
  await change(295, append, 'log');
  expect(await problems()).toEqual([]);
  expect(await change(600, append, 'log')).toBeGreaterThan(0);
  expect(await problems()).toEqual([{ path: at('log'), code: 'unsettled', sinceMs: beganMs }]);
  await watch.scanAll(never);
  expect(await problems()).toHaveLength(1);
  await rest();
  expect(await problems()).toEqual([]);
});

test('P6: the name outlives the service', async () => {
  await change(600, (second) => appendFileSync(at('log'), `${second}`), 'log');
  watch = newWatch();
  await watch.scanAll(never);
  expect(await problems()).toMatchObject([{ code: 'unsettled' }]);
});

test('P6: what rests after it was captured as it is, unchanged since, is captured whole all the same', async () => {
  const append = (second: number) => appendFileSync(at('log'), `cycle ${second}\n`);
  while ((await known('log')) === undefined) await change(5, append, 'log');
  expect((await known('log'))?.contentTag).toEqual(noTag);
  await rest();
  expect((await known('log'))?.contentTag).not.toEqual(noTag);
});

test('P6: a folder result that never rests is captured as it is, named, and whole when it rests', async () => {
  mkdirSync(at('run.D'));
  writeFileSync(at('run.D/method'), 'method');
  const write = (second: number) => {
    writeFileSync(at(`run.D/scan${second}`), `scan ${second}`);
    appendFileSync(at('run.D/index'), `${second} `);
  };
  await change(110, write, 'run.D');
  expect((await known('run.D/index'))?.contentTag).toEqual(noTag);
  expect(await known('run.D/method')).toBeDefined();
  expect(await known('run.D')).toBeDefined();
  await change(600, write, 'run.D');
  expect(await problems()).toMatchObject([{ path: at('run.D'), code: 'unsettled' }]);
  await rest();
  expect(await problems()).toEqual([]);
  for await (const file of bench.queue.ledger.knownUnder(Buffer.from(at('run.D/'))))
    expect(file.contentTag).not.toEqual(noTag);
  expect((await known('run.D/method'))?.contentTag).toEqual(wholeTag('method'));
});

test.each([
  [
    'is written over in place',
    (second: number) => writeFileSync(at('f'), String(second).padEnd(40, '.')),
  ],
  [
    'is replaced by renaming',
    (second: number) => {
      writeFileSync(at('f.new'), `${second}`);
      renameSync(at('f.new'), at('f'));
    },
  ],
  [
    'is emptied and filled again',
    (second: number) => {
      truncateSync(at('f'), 0);
      appendFileSync(at('f'), `round ${second}`);
    },
  ],
  [
    'has its times changed only',
    (second: number) => appendFileSync(at('f'), second % 10 === 0 ? '' : 'x'),
  ],
])('P6: a file that %s all the time is captured as it is, and named', async (_how, how) => {
  writeFileSync(at('f'), 'first');
  await change(600, how, 'f');
  expect(await known('f')).toBeDefined();
  expect(await problems()).toMatchObject([{ path: at('f'), code: 'unsettled' }]);
  await rest();
  expect((await known('f'))?.contentTag).not.toEqual(noTag);
  expect(await problems()).toEqual([]);
});

test.runIf(posixOnly(NO_LINKS))(
  'a link that is set anew all the time is captured as it is, and named; a folder whose names change is captured, and is no problem',
  async () => {
    await change(
      600,
      (second) => {
        rmSync(at('current'), { force: true });
        symlinkSync(`run${second}`, at('current'));
      },
      undefined,
    );
    expect(await known('current')).toMatchObject({ kind: 'symlink' });
    expect((await bench.queue.ledger.known(Buffer.from(bench.data)))?.kind).toBe('directory');
    expect((await problems()).map((problem) => problem.path)).toEqual([at('current')]);
  },
);

test('P6: a file that goes on growing while it is read is captured with what was there when the read began', async () => {
  const first = noise('grows', 3 << 20);
  writeFileSync(at('big'), first);
  bench.through(
    portWith({
      read: (descriptor, ...rest) => {
        appendFileSync(at('big'), 'more while it is read');
        return nodeSource.read(descriptor, ...(rest as [Uint8Array, number, number, number?]));
      },
    }),
  );
  watch = newWatch();
  await change(110, () => appendFileSync(at('big'), '.'), 'big');
  const captured = await known('big');
  expect(captured?.contentTag).toEqual(noTag);
  expect(captured?.size).toBeGreaterThan(first.length);
  expect(await problems()).toEqual([]);
});

test('P6: one that is locked while it is written is no problem before the limit, and its own problem after it', async () => {
  bench.through(
    portWith({
      open: (name) => {
        if (Buffer.from(name).toString().endsWith('raw')) throw systemError('EBUSY');
        return nodeSource.open(name);
      },
    }),
  );
  watch = newWatch();
  const append = () => appendFileSync(at('raw'), 'x');
  await change(295, append, 'raw');
  expect(await problems()).toEqual([]);
  await change(900, append, 'raw');
  expect(await problems()).toMatchObject([{ path: at('raw'), code: 'unreadable' }]);
});

test('what comes and goes is not marked gone while it does', async () => {
  writeFileSync(at('lock'), 'held');
  await bench.backup();
  await change(
    600,
    (second) => {
      if (second % 10 === 0) writeFileSync(at('lock'), 'held again');
      else unlinkSync(at('lock'));
    },
    'lock',
  );
  expect(await known('lock')).toBeDefined();
});

test('a large file is read whole at its rest when that is cheap; unchanged since it was captured as it was, only after an hour of rest', async () => {
  const nineMebibytes = Buffer.concat(
    Array.from({ length: 9 }, (_, part) => noise(`part ${part}`, 1 << 20)),
  );
  writeFileSync(at('big'), nineMebibytes);
  const append = () => appendFileSync(at('big'), 'cycle');
  await change(110, append, 'big');
  expect((await known('big'))?.contentTag).toEqual(noTag);
  append();
  watch.touch(path('big'));
  await rest();
  // 9 MiB in less than a second for each 10 MB: it is read whole.
  expect((await known('big'))?.contentTag).not.toEqual(noTag);

  // From here on the files' own times are those of the clock, for rest is judged by them.
  bench.clock.ms = Date.now();
  writeFileSync(at('slow'), nineMebibytes);
  while ((await known('slow')) === undefined)
    await change(5, () => appendFileSync(at('slow'), 'cycle'), 'slow');
  // Unchanged since it was captured as it was: nothing is read until it has rested for an hour.
  expect(await rest()).toBe(0);
  expect((await known('slow'))?.contentTag).toEqual(noTag);
  bench.clock.ms += 3_600_000;
  await watch.scanAll(never);
  await rest();
  expect((await known('slow'))?.contentTag).not.toEqual(noTag);
});
