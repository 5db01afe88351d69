import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MistakeLab } from './first-day/mistake.ts';
import { mistakes, prepare } from './first-day/mistakes.ts';
import { World } from './world.ts';

/**
 * Everything that an admin does wrong on the first day: one true line with the way out, the right
 * exit code, nothing lost.
 */
describe('a mistake of the first day', () => {
  let lab: MistakeLab;

  beforeAll(async () => {
    const world = await World.open();
    const agent = await world.agent('pc');
    const tree = await world.place('data');
    await world.write('data/run.csv', 'time,signal\n');
    await world.backup(agent, [tree]);
    const token = (await readFile(join(world.collectorData, 'admin.token'), 'utf8')).trim();
    lab = { world, agent, tree, token };
    await prepare(lab, async (args) => void (await promisify(execFile)('openssl', args)));
  });
  afterAll(async () => lab.world.close());

  it('is one of at least 65', () => {
    expect(mistakes.length).toBeGreaterThanOrEqual(65);
    expect(new Set(mistakes.map(({ what }) => what)).size).toBe(mistakes.length);
  });

  for (const { what, make, code, says, help, unless } of mistakes) {
    it.skipIf(unless?.() === true)(
      `${what}: ${code === 0 ? 'is none' : 'one line says what is wrong and the way out'}`,
      async () => {
        const finished = await make(lab);
        const lines = finished.stderr.split('\n').filter((line) => line !== '');
        const last = lines.at(-1) ?? '';
        expect({ code: finished.code, last }).toEqual({ code, last: expect.stringMatching(says) });
        if (code !== 0 && help !== true) {
          expect(last).toMatch(/^aliquot(-agent)?: .+ \[[A-Z][A-Z0-9_]+\]$/);
          expect(last).not.toMatch(/UNEXPECTED|undefined|\[object/);
        }
      },
    );
  }

  it('leaves everything as it was', async () => {
    const { world, tree } = lab;
    await world.aliquot(['fsck', '--data', world.collectorData]);
    const { lines } = await world.aliquot(['ls', '--agent', 'pc', '--json']);
    expect(lines.map(({ path }) => path)).toContain(join(tree, 'run.csv'));
  });
});
