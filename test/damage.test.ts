import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { type AgentPlace, World } from './world.ts';

describe('a collector whose disk rots', () => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;

  /** Two bits of a record of a kind turn over: one alone is mended. */
  const rot = async (part: 'packs' | 'history', kind: number, ordinal: number): Promise<void> => {
    const vaults = join(world.collectorData, 'vaults');
    const [id = ''] = await readdir(vaults);
    const dir = join(vaults, id, part);
    const [name = ''] = (await readdir(dir)).filter((one) => one.startsWith('0000'));
    const bytes = await readFile(join(dir, name));
    let seen = 0;
    for (let at = bytes.indexOf('ALQR'); at >= 0; at = bytes.indexOf('ALQR', at + 1)) {
      if (bytes[at + 5] !== kind || seen++ !== ordinal) continue;
      for (const byte of [at + 152, at + 153]) bytes[byte] = (bytes[byte] ?? 0) ^ 1;
      await writeFile(join(dir, name), bytes);
      return;
    }
    throw new Error('no such record');
  };
  const restored = async (): Promise<{ code: number; missing: number }> => {
    const target = await world.place('back');
    const { code } = await world.tryAliquot([
      ...['restore', '--agent', 'pc', '--kit', world.kit, '--to', target],
    ]);
    const back = await pictureOf(join(target, tree)).catch(() => new Map());
    const missing = differences(await pictureOf(tree), back).length;
    await rm(target, { recursive: true });
    return { code, missing };
  };

  beforeAll(async () => {
    world = await World.open();
    agent = await world.agent('pc');
    tree = await world.place('data');
    for (let commit = 0; commit < 4; commit += 1) {
      await world.write(`data/${commit}.bin`, waveform(90_000, commit));
      await world.backup(agent, [tree]);
    }
    await world.unserve();
  });

  afterAll(() => world.close());

  it('P1 P2 P6 a commit that rotted costs its own files, is named, and comes again with the next backup of an unchanged PC', async () => {
    await rot('history', 2, 1);
    await world.serve();
    const ls = await world.tryAliquot(['ls', '--agent', 'pc']);
    expect(ls.code).toBe(3);
    expect(ls.stderr).toMatch(/in commit 2 .*of agent pc.*damaged.*\[STORE_DAMAGED\]/);
    const before = await restored();
    expect(before.code).toBe(3);
    expect(before.missing).toBeGreaterThan(0);
    await world.backup(agent, [tree]);
    expect(await restored()).toEqual({ code: 0, missing: 0 });
    await world.aliquot(['ls', '--agent', 'pc']);
    await world.unserve();
  });

  it('P1 P2 P6 what rotted in a pack is named, and comes again from the sources of an unchanged PC', async () => {
    await rot('packs', 1, 1);
    await world.serve();
    const before = await restored();
    expect(before.code).toBe(3);
    await world.backup(agent, [tree]);
    expect(await restored()).toEqual({ code: 0, missing: 0 });
    await world.unserve();
  });
});
