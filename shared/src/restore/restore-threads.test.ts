import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { CutError, type TestBegin, type ThreadFault } from '../../testing/restore-thread.ts';
import { Shelf } from '../../testing/shelf.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { nodeFiles } from '../durable/file-port.ts';
import { systemRandom } from '../ports.ts';
import type { RestoreItem } from './placing.ts';
import type { RestoreSummary } from './restore-files.ts';
import { RestoreThreads } from './restore-threads.ts';
import { RestoreWriter } from './writer.ts';

const script = new URL('../../testing/restore-thread.ts', import.meta.url);
const SLABS = 12;
const FILES = 60;

/** Files of many slabs, and two that are in chunks, so that two threads have several orders. */
function tree(): { shelf: Shelf; items: RestoreItem[]; contents: Map<string, Buffer> } {
  const shelf = new Shelf();
  const contents = new Map<string, Buffer>();
  const items: RestoreItem[] = [shelf.seal('/d', [], 'directory')];
  for (let slab = 0; slab < SLABS; slab += 1) {
    const files = Array.from({ length: FILES }, (_, at) => {
      const path = `/d/${slab}-${at}`;
      return [path, Buffer.from(`file ${path}, `.repeat(50))] as const;
    });
    for (const [path, plain] of files) contents.set(path, plain);
    items.push(...shelf.slab(files));
  }
  for (const path of ['/d/large', '/d/other']) {
    const pieces = Array.from({ length: 40 }, (_, at) => Buffer.alloc(10_000, at));
    contents.set(path, Buffer.concat(pieces));
    items.push(shelf.seal(path, pieces));
  }
  return { shelf, items, contents };
}

const idOf = (item: RestoreItem | undefined): string =>
  Buffer.from(item?.entry.content.refs[0]?.id ?? []).toString('hex');

const open: RestoreThreads<TestBegin>[] = [];
afterEach(async () => {
  for (const threads of open.splice(0)) await threads.close();
});

interface Restored {
  readonly root: string;
  readonly log: readonly string[];
  readonly failures: string[];
  readonly progress: number;
  readonly outcome: RestoreSummary | Error;
}

async function restore(
  {
    items,
    shelf,
    caseBlind = false,
  }: { items: Iterable<RestoreItem>; shelf: Shelf; caseBlind?: boolean },
  fault?: ThreadFault,
  threads = new RestoreThreads<TestBegin>(script, 2),
): Promise<Restored> {
  open.push(threads);
  const [root, log] = [temporaryFolder(), join(temporaryFolder(), 'log')];
  const writer = await RestoreWriter.open({ port: nodeFiles, random: systemRandom, root });
  const failures: string[] = [];
  let progress = 0;
  const outcome = await threads
    .restore(items, {
      writer,
      begin: { items: [...shelf.items], log, fault, caseBlind },
      revive: ({ code, message }) => new CutError(code as 'CUT', message),
      onProgress: ({ files }) => {
        progress = Math.max(progress, files);
      },
      onFailure: (path, { code }) => void failures.push(`${Buffer.from(path)} ${code}`),
    })
    .catch((error: unknown) => error as Error);
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
  return { root, log: lines, failures, progress, outcome };
}

const partsIn = (root: string): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.part'));

/** Nothing that is there is half, and nothing unfinished is left. */
function expectWhole(root: string, contents: ReadonlyMap<string, Buffer>): void {
  expect(partsIn(root)).toEqual([]);
  for (const [path, plain] of contents) {
    const there = join(root, path);
    if (existsSync(there)) expect(readFileSync(there).equals(plain), path).toBe(true);
  }
}

describe.runIf(process.platform !== 'win32')('a restore by threads', () => {
  it('P2: gives everything back, each file once, and tells how far it is', async () => {
    const { contents, ...all } = tree();
    const { root, outcome, failures, progress } = await restore(all);
    expect(failures).toEqual([]);
    expect(outcome).toMatchObject({ files: contents.size, directories: 1, failed: 0, same: 0 });
    expect(progress).toBeGreaterThan(contents.size / 2);
    for (const [path, plain] of contents) expect(readFileSync(join(root, path))).toEqual(plain);
    expectWhole(root, contents);
  });

  it('P2: names no file before its flush has ended', async () => {
    const { contents, ...all } = tree();
    const { log } = await restore(all);
    const synced = new Set<string>();
    let named = 0;
    for (const line of log) {
      const [what, path = ''] = line.split(' ');
      if (what === 'synced') synced.add(path);
      if (what !== 'from') continue;
      named += 1;
      expect(synced.has(path), path).toBe(true);
    }
    expect(named).toBe(contents.size);
  });

  it('P2: names each file of a slab that does not come, and gives back the others', async () => {
    const { shelf, items, contents } = tree();
    shelf.items.delete(idOf(items[1 + 5 * FILES]));
    const { root, outcome, failures } = await restore({ shelf, items });
    const lost = [...contents.keys()].filter((path) => path.startsWith('/d/5-'));
    expect(failures.sort()).toEqual(lost.map((path) => `${path} RESTORE_MISSING_CHUNK`).sort());
    expect(outcome).toMatchObject({ files: contents.size - FILES, failed: FILES });
    expectWhole(root, contents);
  });

  it('P2: an error of the disk names its file only', async () => {
    const { contents, ...all } = tree();
    const { root, outcome, failures } = await restore(all, { naming: '/3-7', fails: 'EIO' });
    expect(failures).toEqual(['/d/3-7 RESTORE_TARGET']);
    expect(outcome).toMatchObject({ files: contents.size - 1, failed: 1 });
    expectWhole(root, contents);
  });

  it('P6: names that differ only in case are named on a disk that takes them for one, and the other is whole', async () => {
    const shelf = new Shelf();
    const contents = new Map([
      ['/d/Sample.csv', Buffer.from('upper')],
      ['/d/sample.csv', Buffer.from('lower')],
      ['/d/other', Buffer.from('x')],
    ]);
    const items = [shelf.seal('/d', [], 'directory'), ...shelf.slab([...contents])];
    const { root, outcome, failures } = await restore({ shelf, items, caseBlind: true });
    expect(failures).toEqual([expect.stringMatching(/^\/d\/[Ss]ample\.csv RESTORE_NAME_CLASH$/)]);
    expect(outcome).toMatchObject({ files: 2, failed: 1 });
    const kept = failures[0]?.startsWith('/d/S') === true ? 'sample.csv' : 'Sample.csv';
    expect(readdirSync(join(root, 'd')).sort()).toEqual([kept, 'other'].sort());
    expectWhole(root, contents);
  });

  it('P2: a full disk in one thread ends the restore, and no part of a file stays', async () => {
    const { contents, ...all } = tree();
    const { root, outcome } = await restore(all, { naming: '/3-7', fails: 'ENOSPC' });
    expect(outcome).toMatchObject({ code: 'RESTORE_NO_SPACE' });
    expectWhole(root, contents);
  });

  it('P2: a connection that ends in one thread ends the restore with its own error', async () => {
    const { shelf, items, contents } = tree();
    const fetching = idOf(items[1 + 8 * FILES]);
    const { root, outcome } = await restore({ shelf, items }, { fetching, fails: 'cut' });
    expect(outcome).toBeInstanceOf(CutError);
    expect(outcome).toMatchObject({ code: 'CUT', message: 'gone' });
    expectWhole(root, contents);
  });

  it.each([
    ['fault', 'a fault of ours'],
    ['exit', 'a thread of the restore ended by itself, with 7'],
  ] as const)('P2: the death of a thread ends the restore: by %s', async (fails, message) => {
    const { shelf, items, contents } = tree();
    const fetching = idOf(items[1 + 8 * FILES]);
    const { root, outcome } = await restore({ shelf, items }, { fetching, fails });
    expect(outcome).toBeInstanceOf(Error);
    expect((outcome as Error).message).toContain(message);
    for (const [path, plain] of contents)
      if (existsSync(join(root, path))) expect(readFileSync(join(root, path))).toEqual(plain);
  });

  it('P2: names that cannot be had any more stop the threads, and nothing unfinished stays', async () => {
    const { shelf, items, contents } = tree();
    function* someItems() {
      yield* items.slice(0, 400);
      throw new CutError('CUT', 'no more names');
    }
    const { root, outcome } = await restore({ shelf, items: someItems() });
    expect(outcome).toMatchObject({ message: 'no more names' });
    expectWhole(root, contents);
  });

  it('serves one restore after the other, also behind one that failed', async () => {
    const threads = new RestoreThreads<TestBegin>(script, 2);
    const { contents, ...all } = tree();
    const fetching = idOf(all.items[1]);
    const first = await restore(all, { fetching, fails: 'cut' }, threads);
    expect(first.outcome).toMatchObject({ code: 'CUT' });
    for (let time = 0; time < 2; time += 1) {
      const { root, outcome } = await restore(all, undefined, threads);
      expect(outcome).toMatchObject({ files: contents.size, failed: 0 });
      expectWhole(root, contents);
    }
  });

  it('serves a restore behind one in which a thread died, with a new thread', async () => {
    const threads = new RestoreThreads<TestBegin>(script, 2);
    const { contents, ...all } = tree();
    const fetching = idOf(all.items[1]);
    const first = await restore(all, { fetching, fails: 'exit' }, threads);
    expect(first.outcome).toBeInstanceOf(Error);
    const { root, outcome } = await restore(all, undefined, threads);
    expect(outcome).toMatchObject({ files: contents.size, failed: 0 });
    expectWhole(root, contents);
  });
});
