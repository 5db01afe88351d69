import { execFileSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  NO_BIRTH,
  NO_FIFOS,
  NO_LINKS,
  NO_MODES,
  NO_RAW_NAMES,
  notUnderWine,
  posixOnly,
} from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench, portWith, systemError } from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import { QueueError } from '../queue/log/errors.ts';
import { bytePath, pathBytes } from '../source/paths.ts';
import { nodeSource } from '../source/source-port.ts';
import { MAX_ATTEMPTS } from './core.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

const at = (name: string) => join(bench.data, name);
const write = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content);
/** Bytes that do not compress, fast. */
const keystream = (length: number) =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16)).update(Buffer.alloc(length));
const itemCount = () => bench.queue.intake.pending().bytes;

test.runIf(posixOnly(NO_LINKS))(
  'a first backup captures files, folders and links, and a second one captures nothing',
  async () => {
    mkdirSync(at('empty folder'));
    write('a.txt', 'alpha');
    write('empty', '');
    symlinkSync('a.txt', at('link'));
    symlinkSync('/nowhere', at('dangling'));
    const first = await bench.backup();
    expect(first.told).toEqual([
      'new .',
      'new a.txt',
      'new dangling',
      'new empty',
      'new empty folder',
      'new link',
    ]);
    const second = await bench.backup();
    expect(second.told).toEqual([]);
    expect(second.same).toBe(6);
    expect(second.readBytes).toBe(0);
  },
);

test('a touched file is read again, alone, and adds a version but no content', async () => {
  write('a.txt', noise('a', 300_000));
  write('b.txt', noise('b', 300_000));
  await bench.backup();
  const content = itemCount();
  utimesSync(at('a.txt'), 1000, 1000);
  const again = await bench.backup();
  expect(again.told).toEqual(['changed a.txt']);
  expect(again.readBytes).toBe(300_000);
  expect(itemCount() - content).toBeLessThan(2_000);
});

test('a rewrite of the same bytes with the same time is no new version, only noted', async () => {
  write('a.txt', 'alpha');
  utimesSync(at('a.txt'), 1000, 1000);
  await bench.backup();
  write('a.new', 'alpha');
  utimesSync(at('a.new'), 1000, 1000);
  renameSync(at('a.new'), at('a.txt'));
  utimesSync(bench.data, 5, 5);
  const again = await bench.backup('a.txt');
  expect(again.told).toEqual(['same a.txt']);
  expect((await bench.backup('a.txt')).told).toEqual([]);
});

for (const [what, change] of [
  ['grew', () => appendFileSync(at('f'), 'x')],
  ['was rewritten in place', () => writeFileSync(at('f'), 'ALPHA')],
  ['got another mode', () => chmodSync(at('f'), 0o600)],
  ['got another time', () => utimesSync(at('f'), 1, 1)],
  [
    'was replaced by rename',
    () => {
      write('tmp', 'OTHER');
      renameSync(at('tmp'), at('f'));
    },
  ],
] as const) {
  test.runIf(what !== 'got another mode' || posixOnly(NO_MODES))(
    `a file that ${what} gives a new version`,
    async () => {
      write('f', 'alpha');
      chmodSync(at('f'), 0o644);
      await bench.backup();
      change();
      expect((await bench.backup('f')).told).toEqual(['changed f']);
    },
  );
}

test('a file that becomes a folder is captured as a folder', async () => {
  write('x', 'alpha');
  await bench.backup();
  rmSync(at('x'));
  mkdirSync(at('x'));
  write('x/y', 'beta');
  expect((await bench.backup()).told).toEqual(['changed .', 'changed x', 'new x/y']);
});

test('what vanished becomes a gone fact, once', async () => {
  mkdirSync(at('d'));
  write('d/a', 'alpha');
  write('keep', 'k');
  await bench.backup();
  rmSync(at('d'), { recursive: true });
  expect((await bench.backup()).told).toEqual(['changed .', 'gone d', 'gone d/a']);
  expect((await bench.backup()).told).toEqual([]);
});

test('P6: a missing root is a problem and no mass deletion; when it is back nothing was lost', async () => {
  write('a', 'alpha');
  await bench.backup();
  renameSync(bench.data, `${bench.data}.away`);
  expect((await bench.backup()).told).toEqual(['root-missing .']);
  expect(bench.problems.size).toBe(1);
  renameSync(`${bench.data}.away`, bench.data);
  expect((await bench.backup()).told).toEqual([]);
  expect(bench.problems.size).toBe(0);
});

test('P6: another, empty folder in the root’s place is taken for an unmounted drive', async () => {
  write('a', 'alpha');
  await bench.backup();
  renameSync(bench.data, `${bench.data}.away`);
  mkdirSync(bench.data);
  expect((await bench.backup()).told).toEqual(['changed .', 'replaced .']);
  // A path below it is not gone either.
  expect((await bench.backup('a')).told).toEqual(['replaced .']);
  rmdirSync(bench.data);
  renameSync(`${bench.data}.away`, bench.data);
  expect((await bench.backup()).told).toEqual(['changed .']);
});

test.runIf(notUnderWine(NO_BIRTH))(
  'P6: a root of which everything went at once is an alarm, and nothing is gone',
  async () => {
    write('a', 'alpha');
    await bench.backup();
    rmSync(at('a'));
    expect((await bench.backup()).told).toEqual(['all-gone .', 'changed .']);
  },
);

test.runIf(posixOnly(NO_MODES))(
  'P6: an unreadable file is named, the others are captured, and the problem ends when it can be read',
  async () => {
    write('a', 'alpha');
    write('locked', 'secret');
    bench.through(
      portWith({
        open: (path) => {
          if (bytePath(path).endsWith('/locked')) throw systemError('EACCES');
          return nodeSource.open(path);
        },
      }),
    );
    expect((await bench.backup()).told).toEqual(['new .', 'new a', 'problem locked']);
    expect(bench.problems.size).toBe(1);
    expect((await bench.backup()).told).toEqual(['problem locked']);
    bench.through(nodeSource);
    expect((await bench.backup()).told).toEqual(['new locked']);
    expect(bench.problems.size).toBe(0);
  },
);

test.runIf(posixOnly(NO_MODES))(
  'P6: what lies below a folder that cannot be listed is unknown, not gone',
  async () => {
    mkdirSync(at('d'));
    write('d/a', 'alpha');
    write('d!', 'sorts between d and d/a');
    await bench.backup();
    const blind = (path: Buffer): Iterable<string> => {
      if (bytePath(path).endsWith('/d')) throw systemError('EACCES');
      return nodeSource.readdir(path);
    };
    bench.through(portWith({ readdir: blind }));
    expect((await bench.backup()).told).toEqual(['unlistable d']);
    bench.through(nodeSource);
    expect((await bench.backup()).told).toEqual([]);
    expect(bench.problems.size).toBe(0);
  },
);

test.runIf(posixOnly(NO_FIFOS))('P6: a fifo is named and hangs nothing', async () => {
  execFileSync('mkfifo', [at('pipe')]);
  write('a', 'alpha');
  expect((await bench.backup()).told).toEqual(['new .', 'new a', 'special pipe']);
});

test('P2: a file that changes during each read is named and never recorded', async () => {
  write('log', noise('log', 100_000));
  let reads = 0;
  bench.through(
    portWith({
      read: (descriptor, into, offset, length) => {
        const count = nodeSource.read(descriptor, into, offset, length);
        if (count > 0) {
          reads += 1;
          appendFileSync(at('log'), 'more');
        }
        return count;
      },
    }),
  );
  const captured = await bench.backup('log');
  expect(captured.told).toEqual(['problem log']);
  expect(reads).toBeGreaterThanOrEqual(MAX_ATTEMPTS);
  expect(await bench.queue.ledger.known(Buffer.from(at('log')))).toBeUndefined();
  bench.through(nodeSource);
  expect((await bench.backup('log')).told).toEqual(['new log']);
  expect(bench.problems.size).toBe(0);
});

test('P2: a file that changes during one read is read again and recorded as it is then', async () => {
  write('log', 'first');
  let meddled = false;
  bench.through(
    portWith({
      read: (descriptor, into, offset, length) => {
        const count = nodeSource.read(descriptor, into, offset, length);
        if (!meddled) {
          meddled = true;
          writeFileSync(at('log'), 'second one');
        }
        return count;
      },
    }),
  );
  expect((await bench.backup('log')).told).toEqual(['new log']);
  expect((await bench.queue.ledger.known(Buffer.from(at('log'))))?.size).toBe('second one'.length);
});

test.runIf(posixOnly(NO_LINKS))(
  'a file that is replaced by a link between scan and read is left for the next scan',
  async () => {
    write('f', 'alpha');
    bench.through(
      portWith({
        open: (path) => {
          rmSync(path);
          symlinkSync('/etc/passwd', path);
          return nodeSource.open(path);
        },
      }),
    );
    expect((await bench.backup('f')).told).toEqual(['vanished f']);
    bench.through(nodeSource);
    expect((await bench.backup('f')).told).toEqual(['new f']);
    expect((await bench.queue.ledger.known(Buffer.from(at('f'))))?.kind).toBe('symlink');
  },
);

test.runIf(posixOnly(NO_RAW_NAMES))(
  'P2: names of any bytes, and names that differ only in case, are kept apart and exact',
  async () => {
    const raw = Buffer.concat([Buffer.from(`${bench.data}/`), Buffer.from([0xff, 0xfe, 0x41])]);
    writeFileSync(raw, 'raw');
    write('Case', 'upper');
    write('case', 'lower');
    write('\u0065\u0301', 'decomposed');
    write('\u00e9', 'composed');
    const first = await bench.backup();
    expect(first.told).toHaveLength(6);
    expect((await bench.queue.ledger.known(raw))?.size).toBe(3);
    expect((await bench.queue.ledger.known(Buffer.from(at('Case'))))?.size).toBe(5);
    expect((await bench.backup()).told).toEqual([]);
  },
);

test.runIf(posixOnly(NO_LINKS))('symlink loops are kept as links and never entered', async () => {
  mkdirSync(at('d'));
  symlinkSync('..', at('d/up'));
  symlinkSync('self', at('self'));
  expect((await bench.backup()).told).toEqual(['new .', 'new d', 'new d/up', 'new self']);
});

test('hard links are separate files whose content is queued once', async () => {
  write('a', noise('hard', 200_000));
  linkSync(at('a'), at('b'));
  expect((await bench.backup()).told).toEqual(['new .', 'new a', 'new b']);
  expect(itemCount()).toBeLessThan(250_000);
});

test('the same content under many names is queued once', async () => {
  for (let copy = 0; copy < 5; copy += 1) write(`copy ${copy}`, keystream(1_500_000));
  await bench.backup();
  expect(itemCount()).toBeLessThan(1_600_000);
});

test('a file larger than several windows comes through whole, and an append re-sends only the end', async () => {
  write('large', keystream(21_000_000));
  expect((await bench.backup()).told).toEqual(['new .', 'new large']);
  const before = itemCount();
  expect(before).toBeGreaterThan(21_000_000);
  appendFileSync(at('large'), noise('more', 100_000));
  const again = await bench.backup('large');
  expect(again.told).toEqual(['changed large']);
  expect(itemCount() - before).toBeLessThan(9_000_000);
});

test('nothing is ever written into the watched folder', async () => {
  write('a', noise('still', 50_000));
  const stat = statSync(at('a'), { bigint: true });
  const folder = statSync(bench.data, { bigint: true });
  await bench.backup();
  expect(statSync(at('a'), { bigint: true }).ctimeNs).toBe(stat.ctimeNs);
  expect(statSync(bench.data, { bigint: true }).mtimeNs).toBe(folder.mtimeNs);
  expect(readFileSync(at('a'))).toEqual(Buffer.from(noise('still', 50_000)));
});

test('a file that changed within this tick is read after it, so that no further change can go unseen', async () => {
  write('a', 'alpha');
  bench.clock.ms = Number(statSync(at('a'), { bigint: true }).ctimeNs / 1_000_000n);
  await bench.backup('a');
  expect(bench.pauses).toHaveLength(1);
  expect((await bench.backup('a')).told).toEqual([]);
});

test('where the clock cannot be trusted to pass, a file captured within a tick of its last change is read once more', async () => {
  bench.clockStands = true;
  write('a', 'alpha');
  bench.clock.ms = Number(statSync(at('a'), { bigint: true }).ctimeNs / 1_000_000n);
  await bench.backup();
  bench.clock.ms += 60_000;
  expect((await bench.backup()).told).toEqual(['same a']);
  expect((await bench.backup()).told).toEqual([]);
});

test('I-A1: a failing queue ends the backup and leaves no half-captured version', async () => {
  write('a', noise('a', 100_000));
  await bench.backup();
  write('b', noise('b', 100_000));
  const { capture } = bench.queue.intake;
  bench.queue.intake.capture = () => {
    throw new QueueError('QUEUE_STORAGE', 'the disk is full');
  };
  await expect(bench.backup()).rejects.toMatchObject({ code: 'QUEUE_STORAGE' });
  expect(await bench.queue.ledger.known(Buffer.from(at('b')))).toBeUndefined();
  bench.queue.intake.capture = capture;
  expect((await bench.backup()).told).toEqual(['changed .', 'new b']);
});

test('P1: a stop in the middle of a large file ends at once, records nothing of it, and the next backup captures it', async () => {
  write('a', 'alpha');
  await bench.backup();
  write('large', keystream(60_000_000));
  const stop = new AbortController();
  let read = 0;
  bench.through(
    portWith({
      read: (descriptor, into, offset, length) => {
        const count = nodeSource.read(descriptor, into, offset, length);
        read += count;
        if (read > 10_000_000) stop.abort();
        return count;
      },
    }),
  );
  expect((await bench.backup('large', stop.signal)).told).toEqual([]);
  expect(read).toBeLessThan(40_000_000);
  expect(await bench.queue.ledger.known(Buffer.from(at('large')))).toBeUndefined();
  bench.through(nodeSource);
  expect((await bench.backup()).told).toEqual(['changed .', 'new large']);
});

test('a stop during a scan ends it, and nothing that was not seen yet counts as gone', async () => {
  for (let file = 0; file < 600; file += 1) write(`f${file}`, 'x');
  await bench.backup();
  const stop = new AbortController();
  let looks = 0;
  bench.through(
    portWith({
      lstat: (path) => {
        looks += 1;
        if (looks === 300) stop.abort();
        return nodeSource.lstat(path);
      },
    }),
  );
  expect((await bench.backup(undefined, stop.signal)).told).toEqual([]);
  bench.through(nodeSource);
  expect((await bench.backup()).told).toEqual([]);
});

test('files of folder results carry the path of their result', async () => {
  mkdirSync(at('run1.D/AcqData'), { recursive: true });
  write('run1.D/AcqData/data.ms', 'x');
  write('plain.D', 'a file by that name is no folder');
  await bench.backup();
  const inner = await bench.queue.ledger.known(Buffer.from(at('run1.D/AcqData/data.ms')));
  expect(inner?.resultPathLength).toBe(pathBytes(bench.root).length + '/run1.D'.length);
  expect((await bench.queue.ledger.known(Buffer.from(at('plain.D'))))?.resultPathLength).toBe(0);
});
