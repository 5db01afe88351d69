import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bench, openBench, pathKey, portWith } from '../../testing/capture/bench.ts';
import { cacheSecret, keys } from '../../testing/queue/support.ts';
import { type BytePath, separator } from '../source/paths.ts';
import type { SourceStat } from '../source/source-port.ts';
import { Capturer } from './capturer.ts';
import { type CaptureHost, LocalHost } from './host.ts';
import type { PutTask } from './task.ts';

/*
 * What is stored again of small files that are stored already: SEALING.md, "Slab". Files stand in
 * memory, in the order of a walk, and every slab that the capture makes of them is looked at.
 */

interface MemoryFile {
  readonly path: BytePath;
  readonly bytes: Uint8Array;
  readonly mtimeNs: bigint;
}

/** Sealed bytes by slab id. */
type Slabs = ReadonlyMap<string, number>;

const FOLDERS = 6;
const FOLDER_FILES = 500;
const random = seededRandom('stored again');
const between = (least: number, most: number): number =>
  least + (Buffer.from(random.bytes(4)).readUInt32LE() % (most - least + 1));
/** A thousand bytes to eight thousand, as reports and logs are; the names sort as they count. */
const tree: readonly MemoryFile[] = Array.from({ length: FOLDERS * FOLDER_FILES }, (_, at) => ({
  path: pathOf(`plate-${Math.floor(at / FOLDER_FILES)}`, `report-${String(at).padStart(5, '0')}`),
  bytes: random.bytes(between(1000, 8000)),
  mtimeNs: BigInt(at) * 1_000_000_000n,
}));
const everyNth = (n: number) => (file: MemoryFile, at: number) =>
  at % n === n >> 1 ? { ...file, bytes: random.bytes(between(1000, 8000)) } : file;

function pathOf(...names: readonly string[]): BytePath {
  return ['', 'data', ...names].join(separator);
}

const inFolder = (at: number) => (file: MemoryFile) =>
  file.path.startsWith(pathOf(`plate-${at}`, ''));

let bench: Bench;
let first: Slabs;
beforeAll(async () => {
  bench = await openBench();
  first = await slabsOf(tree);
});
afterAll(() => bench.close());

/** The share of bytes that these files add to what the tree has stored. */
async function storedAgain(files: readonly MemoryFile[]): Promise<number> {
  const slabs = await slabsOf(files);
  const all = [...slabs.values()].reduce((sum, bytes) => sum + bytes, 0);
  const fresh = [...slabs].filter(([id]) => !first.has(id));
  return fresh.reduce((sum, [, bytes]) => sum + bytes, 0) / all;
}

/** All slabs of a capture of these files by threads of which each takes the next batch. */
async function slabsOf(files: readonly MemoryFile[], threads = 1): Promise<Slabs> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const open: (MemoryFile | undefined)[] = [];
  const port = portWith({
    open: (path) => open.push(byPath.get(path.toString('latin1'))) - 1,
    fstat: (descriptor) => statOf(opened(descriptor)),
    read(descriptor, into, offset, length) {
      const { bytes } = opened(descriptor);
      into.set(bytes.subarray(0, length), offset);
      return Math.min(length, bytes.length);
    },
    close: (descriptor) => {
      open[descriptor] = undefined;
    },
  });
  const opened = (descriptor: number): MemoryFile => {
    const file = open[descriptor];
    if (file === undefined) throw new Error('not open');
    return file;
  };
  const slabs = new Map<string, number>();
  const hosts = Array.from(
    { length: threads },
    () => new LocalHost(port, { vault: keys, cacheSecret }, bench.clock, async () => undefined),
  );
  let turn = 0;
  const host: CaptureHost = {
    ...{ walk: bench.host.walk, compare: bench.host.compare, look: bench.host.look },
    parallel: threads,
    async capture(jobs, exchange) {
      turn += 1;
      await hosts[turn % threads]?.capture(jobs, {
        lookup: (indexes) => exchange.lookup(indexes),
        deliver(window) {
          for (const { id, sealed } of window.slabs)
            slabs.set(Buffer.from(id).toString('hex'), sealed.length);
          return exchange.deliver(window);
        },
      });
    },
    close: async () => undefined,
  };
  const { queue, references, underWay, clock, source } = bench;
  const parts = { host, queue, references, underWay, pathKey, clock };
  const outcomes: string[] = [];
  const capturer = new Capturer(parts, ({ type }) => void outcomes.push(type));
  await capturer.run(
    (async function* tasks(): AsyncGenerator<readonly PutTask[]> {
      for (const file of files) {
        const found = { path: file.path, stat: statOf(file), linkTarget: '', resultPathLength: 0 };
        const item = { type: 'item' as const, ...found };
        yield [{ type: 'put', source, item, known: undefined, completion: 'assumed' }];
      }
    })(),
  );
  expect(outcomes.filter((type) => type === 'version')).toHaveLength(files.length);
  return slabs;
}

function statOf({ bytes, mtimeNs }: MemoryFile): SourceStat {
  const times = { mtimeNs, ctimeNs: mtimeNs };
  return { kind: 'file', size: bytes.length, ...times, ino: 1n, dev: 1n, mode: 0o644 };
}

test('a second PC with the same small files stores none of them again, wherever they lie', async () => {
  const elsewhere = tree.map((file) => ({ ...file, path: pathOf('lab', file.path.slice(1)) }));
  expect(await storedAgain(elsewhere)).toBe(0);
  // So that all of this is about slabs of the usual size.
  const raw = tree.reduce((sum, { bytes }) => sum + bytes.length, 0);
  expect(raw / first.size).toBeGreaterThan(64 << 10);
  expect(raw / first.size).toBeLessThan(128 << 10);
});

test('several threads that capture side by side give the slabs that one gives', async () => {
  expect([...(await slabsOf(tree, 3)).keys()].sort()).toEqual([...first.keys()].sort());
});

test('a folder that is missing on the second PC costs nothing', async () => {
  const isThere = (file: MemoryFile): boolean => !inFolder(2)(file);
  expect(await storedAgain(tree.filter(isThere))).toBe(0);
});

test('a folder that was renamed stores none of its files again', async () => {
  const renamed = tree
    .filter(inFolder(3))
    .map((file) => ({ ...file, path: file.path.replace('plate-3', 'plate-3 of Monday') }));
  expect(renamed).toHaveLength(FOLDER_FILES);
  expect(await storedAgain(renamed)).toBe(0);
});

test('the files of a folder that were touched, or renamed in their order, are not stored again', async () => {
  const touched = tree.filter(inFolder(3)).map((file) => ({ ...file, mtimeNs: 1n }));
  expect(await storedAgain(touched)).toBe(0);
  const renamed = tree.map((file) => ({ ...file, path: file.path.replace('report', 'result') }));
  expect(await storedAgain(renamed)).toBe(0);
});

test('a folder that was moved behind a few other files stores a few of its slabs again', async () => {
  const others = [1, 2, 3].map((at) => ({
    path: pathOf('archive', `0${at}`),
    bytes: random.bytes(3000),
    mtimeNs: 1n,
  }));
  const moved = tree
    .filter(inFolder(1))
    .map((file) => ({ ...file, path: pathOf('archive', file.path.slice(pathOf('').length)) }));
  const all = moved.reduce((sum, { bytes }) => sum + bytes.length, 0);
  // They begin the first slab of the folder, and cuts meet again behind a few slabs.
  expect((await storedAgain([...others, ...moved])) * all).toBeLessThan(5 * (96 << 10));
});

test('one file in a thousand that differs costs its slab, and one in a hundred a third of all', async () => {
  const few = await storedAgain(tree.map(everyNth(1000)));
  expect(few).toBeGreaterThan(0.001);
  expect(few).toBeLessThan(0.05);
  const many = await storedAgain(tree.map(everyNth(100)));
  expect(many).toBeGreaterThan(few);
  expect(many).toBeLessThan(0.35);
});

test('one file more at the beginning of a large folder moves no cut behind its slab', async () => {
  const oneFolder = tree.map((file) => ({
    ...file,
    path: pathOf('all', file.path.slice(file.path.lastIndexOf(separator) + 1)),
  }));
  first = new Map([...first, ...(await slabsOf(oneFolder))]);
  const more = { path: pathOf('all', 'a'), bytes: random.bytes(5000), mtimeNs: 1n };
  expect(await storedAgain([more, ...oneFolder])).toBeLessThan(0.03);
});
