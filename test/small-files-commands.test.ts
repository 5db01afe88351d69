import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noise } from '@aliquot/shared/testing/bytes';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { mustRun } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

const KIB = 1024;
/** Around the limit above which a file is no piece of a slab, and files of nothing. */
const edges = { limit: 64 * KIB, below: 64 * KIB - 1, above: 64 * KIB + 1, none: 0, one: 1 };

/** A few hundred small files in three folders. */
async function makeSmall(world: World, tree: string): Promise<void> {
  for (let number = 0; number < 240; number += 1) {
    const text = `sample ${number}\n${'12.5;0.25\n'.repeat(number * 2)}`;
    await world.write(join(tree, `run${number % 3}`, `report-${number}.csv`), text);
  }
  for (const [name, size] of Object.entries(edges))
    await world.write(join(tree, 'edges', name), noise(`edge ${name}`, size));
}

describe.each([
  ['vault', false],
  ['blind vault', true],
] as const)('small files in a %s', (_, blind) => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;
  let names: readonly string[];
  const kit = () => ['--kit', world.kit];
  /** Names open with the kit where the collector has no key for them. */
  const named = () => (blind ? kit() : []);
  const pc = ['--agent', 'hplc-1'];
  const file = (name: string) => join(tree, name);

  beforeAll(async () => {
    world = await World.open({ blind });
    agent = await world.agent('hplc-1');
    tree = await world.place('data');
    await makeSmall(world, 'data');
    expect(await world.backup(agent, [tree])).toMatchObject({ failed: 0, queued: 0, files: 245 });
    names = [...(await pictureOf(tree)).entries()]
      .filter(([, what]) => what.startsWith('file'))
      .map(([name]) => `${tree}${name}`)
      .toSorted();
  });

  afterAll(() => world.close());

  it('are stored as slabs, and all of them are listed, with their sizes', async () => {
    const [stats] = (await world.aliquot(['stats', '--json'])).lines;
    expect(Number(stats?.['slabs'])).toBeGreaterThan(1);
    // What is above the limit is a chunk.
    expect(stats?.['chunks']).toBe(1);
    const { lines } = await world.aliquot(['ls', ...named(), ...pc, '--json']);
    expect(lines.map(({ path }) => path).toSorted()).toEqual(names);
    for (const [name, size] of Object.entries(edges))
      expect(lines.find(({ path }) => path === file(`edges/${name}`))).toMatchObject({ size });
  });

  it('P2: come back to the operator and to their PC, each as it was', async () => {
    const was = await pictureOf(tree);
    const to = join(world.folder, 'back');
    await world.aliquot(['restore', ...kit(), ...pc, '--to', to]);
    expect(differences(was, await pictureOf(join(to, tree)))).toEqual([]);
    const own = join(world.folder, 'own');
    await mustRun('aliquot-agent', ['restore', tree, '--data', agent.data, '--to', own]);
    expect(differences(was, await pictureOf(join(own, tree)))).toEqual([]);
  });

  it('have versions: one that is changed, deleted and new is told apart from its neighbours', async () => {
    const before = new Date().toISOString();
    const changed = file('run1/report-7.csv');
    const was = await readFile(changed, 'utf8');
    await writeFile(changed, 'another text');
    await rm(file('run1/report-10.csv'));
    await world.write('data/run1/report-new.csv', 'new');
    await world.backup(agent, [tree]);
    const { lines: versions } = await world.aliquot([
      ...['versions', ...named(), ...pc, '--path', changed, '--json'],
    ]);
    expect(versions.map(({ size }) => size)).toEqual([was.length, 12]);
    const { lines: diff } = await world.aliquot([
      ...['diff', ...named(), ...pc, '--from', before, '--to', 'latest', '--json'],
    ]);
    expect(diff.map(({ change, path }) => `${change} ${path}`).toSorted()).toEqual([
      `A ${file('run1/report-new.csv')}`,
      `D ${file('run1/report-10.csv')}`,
      `M ${changed}`,
    ]);
    const cat = async (...more: string[]) =>
      (await world.aliquot(['cat', ...kit(), ...pc, '--path', changed, ...more])).stdout;
    expect(await cat()).toBe('another text');
    expect(await cat('--at', before)).toBe(was);
  });

  it('are checked, each against its signed hash, and both sides are sound', async () => {
    const { lines } = await world.aliquot(['check', ...kit(), '--json']);
    expect(lines).toEqual([
      expect.objectContaining({ event: 'summary', files: 245, failed: 0, forked: 0 }),
    ]);
    await world.aliquot(['fsck', '--data', world.collectorData]);
    const fsck = await mustRun('aliquot-agent', ['fsck', '--data', agent.data, '--json']);
    expect(fsck.lines.at(-1)).toMatchObject({ ok: true });
  });

  it('P1: are carried by hand, and restored though their PC has them no more', async () => {
    const cellar = await world.agent('cellar');
    const place = await world.place('cellar');
    await makeSmall(world, 'cellar');
    await world.backup(cellar, [place], ['--offline']);
    const was = await pictureOf(place);
    await rm(place, { recursive: true });
    const at = (name: string) => join(world.folder, name);
    const data = ['--data', cellar.data, '--json'];
    const slabsBefore = (await world.aliquot(['stats', '--json'])).lines[0]?.['slabs'];
    await mustRun('aliquot-agent', ['queue', 'export', at('queue'), ...data]);
    const brought = await world.aliquot([
      ...['queue', 'import', at('queue'), '--out', at('receipts'), '--json'],
    ]);
    expect(brought.lines).toMatchObject([{ event: 'brought', stopped: null }]);
    const taken = await mustRun('aliquot-agent', ['queue', 'import', at('receipts'), ...data]);
    expect(taken.lines).toMatchObject([{ event: 'imported', queued: 0 }]);
    const to = at('from-cellar');
    await world.aliquot(['restore', ...kit(), '--agent', 'cellar', '--to', to]);
    expect(differences(was, await pictureOf(join(to, place)))).toEqual([]);
    // The same files of another PC, in the same order: their slabs are there already.
    expect((await world.aliquot(['stats', '--json'])).lines[0]?.['slabs']).toBe(slabsBefore);
  });
});

describe('a slab that rots', () => {
  let world: World;
  let agent: AgentPlace;
  beforeEach(async () => {
    world = await World.open();
    agent = await world.agent('hplc-1');
  });
  afterEach(() => world.close());

  /** The pack that holds a slab, and where its bytes begin. */
  async function slabOnDisk(): Promise<{ file: string; start: number; bytes: Buffer }> {
    const found: { file: string; start: number; bytes: Buffer }[] = [];
    for (const name of await readdir(world.collectorData, { recursive: true })) {
      if (!name.includes('packs')) continue;
      const path = join(world.collectorData, name);
      const bytes = await readFile(path).catch(() => Buffer.alloc(0));
      const start = bytes.indexOf('ALQB\u0001\u0000', 0, 'latin1');
      if (start >= 0) found.push({ file: path, start, bytes });
    }
    const [slab] = found;
    if (slab === undefined || found.length !== 1) throw new Error('not one slab');
    return slab;
  }

  it('I-C15 P2: with each of its pieces in turn gives back the others and names the one', async () => {
    const tree = await world.place('data');
    const names = ['a.csv', 'b.csv', 'c.csv', 'd.csv', 'e.csv'];
    for (const [index, name] of names.entries())
      await world.write(`data/${name}`, `${name} ${'12.5;0.25\n'.repeat(100 + index)}`);
    await world.backup(agent, [tree]);
    await world.unserve();
    const { file, start, bytes } = await slabOnDisk();
    // FORMAT.md, "Slab": a header of 8 bytes, then of each piece its length in 3 and its hash.
    const count = bytes.readUInt16BE(start + 6);
    expect(count).toBe(names.length);
    let at = start + 8 + 35 * count;
    for (const [piece, name] of names.entries()) {
      const rotten = Buffer.from(bytes);
      rotten[at] = (rotten[at] ?? 0) ^ 1;
      at += bytes.readUIntBE(start + 8 + 35 * piece, 3);
      await writeFile(file, rotten);
      await world.serve();
      const to = join(world.folder, `without-${name}`);
      const restored = await world.tryAliquot([
        ...['restore', '--kit', world.kit, '--agent', 'hplc-1', '--to', to, '--json'],
      ]);
      const failed = restored.lines.filter(({ event }) => event === 'failed');
      expect([restored.code, failed.map(({ path }) => path)]).toEqual([3, [join(tree, name)]]);
      const others = names.filter((other) => other !== name);
      expect((await readdir(join(to, tree))).toSorted()).toEqual(others);
      for (const other of others)
        expect(await readFile(join(to, tree, other))).toEqual(await readFile(join(tree, other)));
      const check = await world.tryAliquot(['check', '--kit', world.kit, '--json']);
      expect([check.code, check.lines.at(0)]).toMatchObject([
        1,
        { event: 'failed', path: join(tree, name) },
      ]);
      await world.unserve();
    }
  });
});
