import { appendFile, link, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { mustRun } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/** Up to so many bytes a file shares an item with its neighbours. */
const SMALL_BYTES = 64 << 10;

/** Every byte that a name on Linux may have. */
const everyByte = Buffer.from(
  Array.from({ length: 255 }, (_, at) => at + 1).filter((byte) => byte !== 0x2f),
);

const text = (seed: number): string =>
  Array.from(
    { length: 20 + (seed % 60) },
    (_, at) => `${seed},${at},${(seed * 7919) % 997}\n`,
  ).join('');

/** A folder of each kind that is awkward, each beside ordinary small files. */
const writers: Readonly<Record<string, (at: (name: string | Buffer) => Buffer) => Promise<void>>> =
  {
    'empty files': async (at) => {
      for (let file = 0; file < 3; file += 1) await writeFile(at(`empty ${file}`), '');
    },
    'links and hard links': async (at) => {
      await symlink('a', at('link'));
      await symlink('nowhere at all', at('dangling'));
      await symlink('.', at('loop'));
      await link(at('a'), at('another name of a'));
    },
    'files of 64 KiB ± 1': async (at) => {
      for (const bytes of [1, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1]) {
        await writeFile(at(`packs well ${bytes}`), Buffer.alloc(bytes, text(bytes)));
        await writeFile(at(`hardly packs ${bytes}`), waveform(bytes + 2, bytes).subarray(0, bytes));
      }
    },
    'names of any bytes': async (at) => {
      const names = [everyByte, Buffer.from([0xff, 0xfe]), 'line\nbreak', 'back\\slash', ' blank '];
      const more = ['n'.repeat(255), 'e\u0301', '\u00e9', '-n', 'point.', 'NUL', '\u202egnp.exe'];
      for (const [seed, name] of [...names, ...more].entries())
        await writeFile(at(name), text(seed));
    },
    'paths as long as the system takes': async (at) => {
      // What is restored stands below another folder, and the whole has to fit 4,095 bytes.
      const most = 3900;
      let folder = at('deep');
      await mkdir(folder);
      while (folder.length + 257 < most) {
        folder = Buffer.concat([folder, Buffer.from(`/${'d'.repeat(255)}`)]);
        await mkdir(folder);
      }
      const name = 'f'.repeat(Math.min(255, most - folder.length - 1));
      await writeFile(Buffer.concat([folder, Buffer.from(`/${name}`)]), 'at the end');
    },
    '256 files of 0 bytes': async (at) => {
      for (let file = 0; file < 256; file += 1) await writeFile(at(`zero ${file}`), '');
    },
    'a large file in their middle': async (at) => {
      await writeFile(at('az in the middle.bin'), waveform(700_000, 21));
    },
    'the same bytes at several places': async (at) => {
      for (const copy of ['b again', 'b once more']) await writeFile(at(copy), text(1));
    },
  };

describe('many small files', () => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;

  const nameOf = (kind: string): string => kind.replaceAll(' ', '-');
  const backup = (paths = [tree]) => world.backup(agent, paths);
  const restoredBy = {
    operator: (target: string, ...options: readonly string[]) =>
      world.aliquot([
        ...['restore', '--kit', world.kit, '--agent', agent.name, '--to', target],
        ...options,
      ]),
    agent: (target: string) =>
      mustRun('aliquot-agent', ['restore', tree, '--data', agent.data, '--to', target]),
  };
  const target = (name: string): string => join(world.folder, `back-${name}`);

  beforeAll(async () => {
    world = await World.open();
    agent = await world.agent('plates');
    tree = await world.place('small');
    for (const [kind, write] of Object.entries(writers)) {
      const folder = join(tree, nameOf(kind));
      await mkdir(folder);
      const at = (name: string | Buffer): Buffer =>
        Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);
      for (const [seed, name] of ['a', 'b', 'c', 'd'].entries())
        await writeFile(at(name), text(seed));
      await write(at);
    }
    expect(await backup()).toMatchObject({ failed: 0, queued: 0 });
    await restoredBy.operator(target('operator'));
    await restoredBy.agent(target('agent'));
  });

  afterAll(() => world.close());

  it.each(Object.keys(writers))(
    'P2: %s come back with their neighbours, from the operator and at the PC',
    async (kind) => {
      const wanted = await pictureOf(join(tree, nameOf(kind)));
      expect(wanted.size).toBeGreaterThan(4);
      for (const by of ['operator', 'agent']) {
        const back = await pictureOf(join(target(by), tree, nameOf(kind)));
        expect(differences(wanted, back)).toEqual([]);
      }
    },
  );

  it('P2: what is gone, changed, touched and renamed is so from now on, and as it was before', async () => {
    const before = new Date().toISOString();
    const earlier = await pictureOf(tree);
    const [same, zero] = ['the same bytes at several places', '256 files of 0 bytes'].map((kind) =>
      join(tree, nameOf(kind)),
    ) as [string, string];
    await rm(join(same, 'b'));
    await writeFile(join(same, 'c'), 'changed');
    await utimes(join(same, 'd'), 1_500_000_000, 1_500_000_000);
    await rename(join(zero, 'zero 7'), join(zero, 'seven'));
    await writeFile(join(zero, 'zero 8'), 'not empty any more');
    await writeFile(join(zero, 'a'), '');
    await rename(join(tree, nameOf('a large file in their middle')), join(tree, 'moved'));
    expect(await backup()).toMatchObject({ failed: 0, queued: 0 });
    await restoredBy.operator(target('now'));
    await restoredBy.operator(target('then'), '--at', before);
    expect(differences(await pictureOf(tree), await pictureOf(join(target('now'), tree)))).toEqual(
      [],
    );
    expect(differences(earlier, await pictureOf(join(target('then'), tree)))).toEqual([]);
  });

  it('I-A11: a growing file beside small ones grows alone, and every version comes back', async () => {
    const folder = await world.place('growing-beside');
    await writeFile(join(folder, 'run.log'), waveform(300_000, 3));
    for (let file = 0; file < 20; file += 1) await writeFile(join(folder, `s${file}`), text(file));
    const states: { readonly at: string; readonly picture: Map<string, string> }[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      const summary = await backup([folder]);
      expect(summary).toMatchObject({ failed: 0, queued: 0 });
      // The small ones are neither read nor sent again.
      if (turn > 0) expect(summary).toMatchObject({ newFiles: 0, changed: 1 });
      states.push({ at: new Date().toISOString(), picture: await pictureOf(folder) });
      await appendFile(join(folder, 'run.log'), waveform(5000, turn));
    }
    for (const [turn, { at, picture }] of states.entries()) {
      await restoredBy.operator(target(`growing-${turn}`), '--at', at);
      const back = await pictureOf(join(target(`growing-${turn}`), folder));
      expect(differences(picture, back)).toEqual([]);
    }
  });

  it('a folder that is renamed, one that is touched, and a second PC with both store no slab again', async () => {
    const folder = await world.place('again');
    for (const plate of [1, 2]) {
      await mkdir(join(folder, `plate ${plate}`));
      for (let file = 0; file < 120; file += 1) {
        const path = join(folder, `plate ${plate}`, `report ${file}`);
        await writeFile(path, waveform(1200, 1000 * plate + file));
      }
    }
    const chunks = async (): Promise<unknown> =>
      (await world.aliquot(['stats', '--json'])).lines[0]?.['chunks'];
    await backup([folder]);
    const before = await chunks();
    expect(before).toBeGreaterThan(0);
    await rename(join(folder, 'plate 1'), join(folder, 'plate 1, repeated'));
    for (let file = 0; file < 120; file += 1)
      await utimes(join(folder, 'plate 2', `report ${file}`), 1_600_000_000, 1_600_000_000);
    expect(await backup([folder])).toMatchObject({ failed: 0, newFiles: 120, changed: 120 });
    expect(await chunks()).toBe(before);
    const other = await world.agent('plates-2');
    expect(await world.backup(other, [folder])).toMatchObject({ failed: 0, newFiles: 240 });
    expect(await chunks()).toBe(before);
  });

  it('P6: the store and the queue are sound at the end', async () => {
    await world.aliquot(['fsck', '--data', world.collectorData]);
    await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
  });
});
