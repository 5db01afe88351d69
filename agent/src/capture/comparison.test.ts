import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Platform } from '@aliquot/proto';
import { type SeededRandom, seededSource } from '@aliquot/shared/testing/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Bench, openBench, systemError } from '../../testing/capture/bench.ts';
import { cacheSecret, collect, keys } from '../../testing/queue/support.ts';
import { encodeColumns, type KnownRow, packKnown } from '../queue/log/known-block.ts';
import { CONTENT_TAG_BYTES } from '../queue/log/payloads.ts';
import {
  type BytePath,
  isWithin,
  orderOf,
  pathBytes,
  separator,
  separatorOf,
} from '../source/paths.ts';
import { oddTimeProblem, problemOf } from '../source/problem.ts';
import { type CompiledRules, compileRules } from '../source/rules.ts';
import { nodeSource } from '../source/source-port.ts';
import type { Found } from '../source/walk.ts';
import { systemSource } from '../source/windows-source.ts';
import { Comparisons } from './compare-worker.ts';
import type { FoundItem } from './comparison.ts';
import { Comparison, type Difference } from './comparison.ts';
import type { CompareRequest } from './host.ts';
import { WorkerHost } from './worker-host.ts';

/** A system, by its separator and the rules of a walk there. */
interface System {
  readonly platform: Platform;
  readonly separator: string;
  readonly root: BytePath;
  readonly rules: CompiledRules;
}

function systemOf(platform: Platform): System {
  const separator = separatorOf(platform);
  const root = `${separator}r`;
  const leaveOut = [`${root}${separator}own`];
  const rules = compileRules({ exclude: [], folderResults: ['*.D'], leaveOut }, platform);
  return { platform, separator, root, rules };
}

const locked = () => problemOf(systemError('EACCES'), 'folder');

/** What is at a path, and what was known of it. */
interface Case {
  readonly path: BytePath;
  readonly folder: boolean;
  readonly now: 'same' | 'changed' | 'missing' | 'blind' | 'odd';
  readonly known: boolean;
}

function itemOf({ path, folder, now }: Case, { rules, root }: System): FoundItem {
  const result = rules.resultOf(path, root, folder);
  const isMember = result !== undefined && (result !== path || folder);
  return {
    type: 'item',
    path,
    stat: {
      kind: folder ? 'directory' : 'file',
      size: folder ? 0 : path.length,
      ...{ mtimeNs: now === 'changed' ? 2n : 1n, ctimeNs: 1n, ino: 9n, dev: 1n, mode: 0o644 },
    },
    linkTarget: '',
    resultPathLength: isMember ? result.length : 0,
  };
}

function rowOf(one: Case, system: System): KnownRow {
  const path = pathBytes(one.path);
  const { stat, resultPathLength } = itemOf({ ...one, now: 'same' }, system);
  const { kind, size, mtimeNs, ctimeNs, ino, mode } = stat;
  if (kind === 'special') throw new Error('none is');
  const contentTag = new Uint8Array(CONTENT_TAG_BYTES).fill(one.folder ? 0 : 1);
  const known = { path, kind, size, mtimeNs, ctimeNs, ino, mode, contentTag };
  return {
    path,
    columns: encodeColumns({
      entry: 1,
      stat: { ...known, capturedAtMs: 9_000_000, resultPathLength },
    }),
  };
}

/** Some tree, in the order of its paths, with folder results in one another and beside others. */
function someCases(random: SeededRandom, { separator, root, platform }: System): Case[] {
  const cases = new Map<BytePath, Case>();
  const odds = random.pick([0.02, 0.3]);
  const add = (path: BytePath, folder: boolean): void => {
    if (cases.has(path)) return;
    const other = random.pick(['changed', 'missing', folder ? 'blind' : 'odd'] as const);
    const now = random.chance(odds) && path !== root ? other : 'same';
    cases.set(path, { path, folder, now, known: now === 'missing' || !random.chance(odds) });
  };
  add(root, true);
  const folders = [root];
  for (let count = 4 + random.below(20); count > 0; count -= 1) {
    const name = random.pick(['run.D', 'run.D.D', 'a', 'run', 'a b', '\xc3\xa9', 'own', 'x.D']);
    const folder = `${random.pick(folders)}${separator}${name}`;
    add(folder, true);
    folders.push(folder);
    for (let file = random.below(60); file > 0; file -= 1)
      add(`${folder}${separator}${random.pick(['f', 'run.D', ' '])}${random.below(50)}`, false);
  }
  const order = ({ path }: Case) => orderOf(path, platform);
  return [...cases.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** As a walk would: nothing below what is missing, blind or left out. */
function walked(cases: readonly Case[], system: System): Found[] {
  const { rules, platform } = system;
  const closed: BytePath[] = [];
  const found: Found[] = [];
  for (const one of cases) {
    if (closed.some((folder) => isWithin(one.path, folder, platform))) continue;
    if (one.now === 'missing' || rules.excluded(one.path)) {
      closed.push(one.path);
      continue;
    }
    if (one.now === 'odd')
      found.push({ type: 'problem', path: one.path, problem: oddTimeProblem() });
    found.push(itemOf(one, system));
    if (one.now !== 'blind') continue;
    closed.push(one.path);
    found.push({ type: 'problem', path: one.path, problem: locked() });
  }
  return found;
}

/** What there is to tell, found the plain way. */
function expected(cases: readonly Case[], found: readonly Found[], system: System): string[] {
  const { rules, separator, platform } = system;
  const known = new Set(cases.filter((one) => one.known).map(({ path }) => path));
  const told = found.map((one) => {
    if (one.type !== 'item') return `${one.type} ${one.path}`;
    const isSame = one.stat.mtimeNs === 1n && known.has(one.path);
    return `${isSame ? 'same' : 'put'} ${one.path} ${isSame || known.has(one.path)}`;
  });
  const seen = new Set(found.map(({ path }) => path));
  const blind = found.flatMap((one) =>
    one.type === 'problem' && one.problem.code !== 'odd-time' ? [one.path] : [],
  );
  const isOwn = (path: BytePath) =>
    path
      .split(separator)
      .some((_, at, all) => rules.excluded(all.slice(0, at + 1).join(separator)));
  for (const path of known)
    if (
      !seen.has(path) &&
      !isOwn(path) &&
      !blind.some((folder) => isWithin(path, folder, platform))
    )
      told.push(`absent ${path}`);
  return told;
}

function words(one: Difference): string {
  if (one.type === 'alike') return 'alike';
  if (one.type !== 'put' && one.type !== 'same') return `${one.type} ${one.path}`;
  return `${one.type} ${one.item.path} ${one.known !== undefined}`;
}

/** Compares with known files that come bit by bit. */
function compared(
  cases: readonly Case[],
  found: readonly Found[],
  wanted: readonly BytePath[] | undefined,
  random: SeededRandom,
  system: System,
): Difference[] {
  const comparison = new Comparison(
    found[Symbol.iterator]() as Iterator<Found, void, void>,
    { root: system.root, nowMs: 1e13, wanted },
    system.rules,
    system.platform,
  );
  const rows = cases.filter(({ known }) => known).map((one) => rowOf(one, system));
  const all: Difference[] = [];
  for (let steps = 0; steps < 10_000; steps += 1) {
    const { differences, wants, last } = comparison.step();
    all.push(...differences);
    if (last) return all;
    const some = wants ? rows.splice(0, 1 + random.below(40)) : [];
    if (wants)
      comparison.give(
        packKnown(some).map(({ bytes }) => bytes),
        rows.length === 0,
      );
  }
  throw new Error('it never ends');
}

const bySorted = (words: readonly string[]): string[] => [...words].sort();

describe.each(['posix', 'windows'] as const)(
  'a comparison of a walk with blocks of known files, on %s',
  (platform) => {
    const system = systemOf(platform);
    const { rules, root, separator } = system;
    test.each(Array.from({ length: 40 }, (_, seed) => seed))(
      'tells what the plain way tells, of everything or of what is wanted (seed %i)',
      (seed) => {
        const random = seededSource(`comparison ${seed}`);
        const cases = someCases(random, system);
        const found = walked(cases, system);
        const all = compared(cases, found, undefined, random, system);
        expect(bySorted(all.map(words))).toEqual(bySorted(expected(cases, found, system)));

        const wanted = cases.filter(() => random.chance(0.03)).map(({ path }) => path);
        const some = compared(cases, found, wanted, random, system);
        const told = some.filter((one) => one.type !== 'alike' && one.type !== 'same').map(words);
        const others = all.filter((one) => one.type !== 'same').map(words);
        expect(told).toEqual(others);
        // Nothing is forgotten: what is not told is counted.
        const sames = (list: readonly Difference[]) =>
          list.filter((one) => one.type === 'same').map(({ item }) => item);
        const alike = some.filter((one) => one.type === 'alike').map((one) => one.alike);
        const folders = alike.flatMap((one) => one.folders);
        const isFile = ({ stat }: FoundItem) => stat.kind === 'file';
        const counted = alike.reduce((sum, { files }) => sum + files, 0);
        const bytes = alike.reduce((sum, one) => sum + one.bytes, 0);
        const files = sames(all).filter(isFile);
        const toldFiles = sames(some).filter(isFile);
        expect(toldFiles.length + counted).toBe(files.length);
        const sizes = (items: readonly FoundItem[]) =>
          items.reduce((sum, { stat }) => sum + stat.size, 0);
        expect(sizes(toldFiles) + bytes).toBe(sizes(files));
        const toldFolders = [...sames(some).filter((item) => !isFile(item)), ...folders];
        expect(bySorted(toldFolders.map(({ path }) => path))).toEqual(
          bySorted(
            sames(all)
              .filter((item) => !isFile(item))
              .map(({ path }) => path),
          ),
        );
        // What is wanted is told, and of a folder result either all, in the order of the walk, or
        // none.
        const isTold = new Set(sames(some).map(({ path }) => path));
        for (const { path } of sames(all))
          if (wanted.includes(path)) expect(isTold).toContain(path);
        const resultOf = ({ path, resultPathLength }: FoundItem) => path.slice(0, resultPathLength);
        const results = new Set(
          sames(all)
            .map(resultOf)
            .filter((result) => result !== ''),
        );
        const hasChanged = new Set(
          all.flatMap((one) => {
            if (one.type === 'put') return [resultOf(one.item)];
            if (one.type !== 'absent') return [];
            return [rules.resultOf(one.path, root, false) ?? ''];
          }),
        );
        for (const result of results) {
          const members = sames(all).filter((item) => resultOf(item) === result);
          const those = sames(some).filter((item) => resultOf(item) === result);
          if (those.length > 0) expect(those).toEqual(members);
          else expect(wanted).not.toContain(result);
          if (hasChanged.has(result)) expect(those).toEqual(members);
        }
      },
    );

    test('a step ends after some thousand files, so that what else the worker does goes on', () => {
      const cases: Case[] = Array.from({ length: 5000 }, (_, at) => ({
        path: at === 0 ? root : `${root}${separator}${String(at).padStart(5, '0')}`,
        folder: at === 0,
        ...{ now: 'same', known: true },
      }));
      let looked = 0;
      const items = (function* (): Generator<Found, void, void> {
        for (const one of cases) {
          looked += 1;
          yield itemOf(one, system);
        }
      })();
      const comparison = new Comparison(items, { root, nowMs: 1e13, wanted: [] }, rules, platform);
      comparison.give(
        packKnown(cases.map((one) => rowOf(one, system))).map(({ bytes }) => bytes),
        true,
      );
      for (let steps = 0, last = false; !last; steps += 1) {
        const before = looked;
        last = comparison.step().last;
        expect(looked - before).toBeLessThanOrEqual(1024);
        expect(steps).toBeLessThan(10);
      }
      expect(looked).toBe(5000);
    });
  },
);

describe('in a worker', () => {
  let bench: Bench;
  let host: WorkerHost;
  beforeEach(async () => {
    bench = await openBench();
    // As the worker reads: on Windows with attributes.
    bench.through(await systemSource());
    host = new WorkerHost({ vault: keys, cacheSecret });
  });
  afterEach(async () => {
    await host.close();
    await bench.close();
  });
  const request = (wanted?: readonly BytePath[]): CompareRequest => ({
    ...{ root: bench.root, sourceRoot: bench.root, rules: bench.source.rules },
    ...{ nowMs: bench.clock.nowMs(), wanted },
  });
  const known = () => {
    const at = pathBytes(bench.root);
    return bench.queue.ledger.knownBlocks(at, Buffer.concat([at, Buffer.from(separator)]));
  };

  test('a comparison tells the same as in this thread', async () => {
    for (const folder of ['d', 'run.D', 'old.D']) {
      mkdirSync(join(bench.data, folder));
      for (let n = 0; n < 700; n += 1) writeFileSync(join(bench.data, folder, `f${n}`), `${n}`);
    }
    await bench.backup();
    writeFileSync(join(bench.data, 'd', 'f7'), 'changed');
    writeFileSync(join(bench.data, 'run.D', 'new'), 'new');
    rmSync(join(bench.data, 'd', 'f9'));
    for (const wanted of [
      undefined,
      [],
      [join(bench.root, 'd', 'f8'), join(bench.root, 'old.D')],
    ]) {
      const there = (await collect(host.compare(request(wanted), known()))).flat();
      const here = (await collect(bench.host.compare(request(wanted), known()))).flat();
      const told = (list: readonly Difference[]) => list.filter((one) => one.type !== 'alike');
      const rows = (list: readonly Difference[]) =>
        told(list).map((one) =>
          'known' in one && one.known !== undefined
            ? { ...one, known: Object.values(one.known).map((bytes) => Buffer.from(bytes)) }
            : one,
        );
      expect(rows(there)).toEqual(rows(here));
      const files = (list: readonly Difference[]) =>
        list.reduce((sum, one) => sum + (one.type === 'alike' ? one.alike.files : 0), 0);
      expect(files(there)).toBe(files(here));
      if (wanted?.length === 0) expect(told(there).length).toBeLessThan(720);
    }
  });

  test('a comparison that a new worker does not know has failed, and has not ended', () => {
    const comparisons = new Comparisons(nodeSource);
    const asked = { type: 'compareOn', id: 7, blocks: undefined } as const;
    expect(() => comparisons.handle(asked)).toThrow('7');
  });

  test('a comparison may be left in the middle, and one whose known files fail ends with that', async () => {
    for (let n = 0; n < 3000; n += 1) writeFileSync(join(bench.data, `f${n}`), '');
    for await (const _ of host.compare(request(), known())) break;
    expect(await host.look('/no/such/place')).toBe('ENOENT');
    const failing = (async function* (): AsyncGenerator<Uint8Array, void, void> {
      yield* packKnown([]).map(({ bytes }) => bytes);
      throw new Error('the index is away');
    })();
    await expect(collect(host.compare(request(), failing))).rejects.toThrow('the index is away');
    expect(await host.look('/no/such/place')).toBe('ENOENT');
  });

  test('a capture goes on while a comparison does', async () => {
    for (let n = 0; n < 4000; n += 1) writeFileSync(join(bench.data, `f${n}`), '');
    const ended: string[] = [];
    const taken = host
      .capture([{ job: 0, path: join(bench.root, 'f7') }], {
        lookup: async (indexes) => indexes.map(() => undefined),
        deliver: async () => [],
      })
      .then(() => ended.push('capture'));
    let steps = 0;
    for await (const _ of host.compare(request(), known())) {
      steps += 1;
      // Whoever takes the steps is slow; nobody else waits for that.
      if (steps === 2) await taken;
    }
    ended.push('comparison');
    expect(steps).toBeGreaterThan(3);
    expect(ended).toEqual(['capture', 'comparison']);
  });
});
