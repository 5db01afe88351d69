import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoService, mustRun, run } from '../demo/programs.ts';
import { OutputLab } from './lost-output/cases.ts';
import { losing, type Way, ways } from './lost-output/losing.ts';
import { rot, storedRecords } from './stored-records.ts';
import { World } from './world.ts';

/**
 * Standard output that nothing can be delivered to: work is done all the same, and no command ends
 * with 0. Standard error is for the eye: without it nothing changes. Here each command is run in
 * one way, and some in all; `npm run test:torture -- --only lost-output` runs all in all.
 */

const lab = new OutputLab();
let runs = 0;

beforeAll(() => lab.open());
afterAll(() => lab.close());

/** Which way comes first: another at each run. */
const first = Math.floor(Math.random() * ways.length);
const wayOf = (at: number): Way => ways[(first + at) % ways.length] ?? 'full';

/** Each in its way, and one of them in all. */
const spread = <C extends { readonly name: string }>(cases: readonly C[], inAll: string) =>
  cases.flatMap((one, at) =>
    (one.name === inAll ? ways : [wayOf(at)]).map((way) => ({ ...one, way })),
  );

describe('I-HEARD with a standard output that nothing can be delivered to', () => {
  it.each(spread(lab.readers, 'aliquot ls --json'))(
    '$name ends with 1 where it is $way',
    ({ way, ...reader }) => lab.mustFail(way, reader),
  );

  it.each(spread(lab.works, 'aliquot-agent backup'))(
    '$name does its work where it is $way, and does not end with 0',
    ({ way, ...work }) => lab.mustWork(way, work),
  );
});

// What becomes of standard error is one place's work, and no command has words of its own in it.
describe('I-HEARD with a standard error that nothing can be delivered to', () => {
  const some = lab.works.filter((_work, at) => at % ways.length === first);
  it.each(some.map((work, at) => ({ ...work, way: wayOf(at) })))(
    '$name is as ever where it is $way',
    ({ way, ...work }) => lab.mustNotMind(way, work),
  );
});

describe('a command that the running service carries out', () => {
  it.each(ways)('does its work though its output is %s, and does not end with 0', async (way) => {
    const { world, pc, file } = lab;
    await world.place('watched');
    const config = join(pc.data, 'agent.yaml');
    writeFileSync(config, `sources: [{path: ${JSON.stringify(join(world.folder, 'watched'))}}]\n`);
    const service = new DemoService('aliquot-agent', ['run', '--data', pc.data]);
    try {
      await service.event('running');
      const written = await world.write(`service-data/${runs++}/a`, 'new');
      expect(
        (
          await losing(way, 'aliquot-agent', [
            'backup',
            join(written, '..'),
            '--json',
            '--data',
            pc.data,
          ])
        ).code,
      ).toBe(1);
      await mustRun(
        'aliquot',
        [
          'versions',
          '--agent',
          'pc',
          '--path',
          written,
          '--token-file',
          join(world.collectorData, 'admin.token'),
        ],
        world.environment(),
      );
      const to = join(world.folder, `own-${runs++}`);
      expect(
        (
          await losing(way, 'aliquot-agent', [
            'restore',
            file,
            '--to',
            to,
            '--json',
            '--data',
            pc.data,
          ])
        ).code,
      ).toBe(1);
      expect(existsSync(join(to, file))).toBe(true);
      expect(
        (await losing(way, 'aliquot-agent', ['status', '--json', '--data', pc.data])).code,
      ).toBe(1);
    } finally {
      expect(await service.stop()).toBe(0);
      rmSync(config);
    }
  });
});

describe('I-HEARD a store or a queue that is damaged', () => {
  it('is never told of with 0, whatever becomes of the output', async () => {
    const other = await World.open();
    try {
      const agent = await other.agent('pc');
      await other.backup(agent, [join(await other.write('data/a', 'x'.repeat(5000)), '..')]);
      await other.backup(
        agent,
        [join(await other.write('data2/b', 'y'.repeat(5000)), '..')],
        ['--offline'],
      );
      await other.unserve();
      const slab = (await storedRecords(other.collectorData)).find(({ kind }) => kind === 'slab');
      if (slab === undefined) throw new Error('the store holds no slab');
      for (const [program, folder, damage] of [
        ['aliquot', other.collectorData, () => rot(slab)],
        [
          'aliquot-agent',
          agent.data,
          () => filesBelow(join(agent.data, 'queue'), /\.seg$/).forEach(flipInTheMiddle),
        ],
      ] as const) {
        await damage();
        const plainly = await run(program, ['fsck', '--data', folder, '--json']);
        expect(plainly.code, plainly.stdout + plainly.stderr).toBe(1);
        expect(plainly.lines.some(({ event }) => event === 'finding')).toBe(true);
        for (const way of ways)
          expect((await losing(way, program, ['fsck', '--data', folder])).code).toBe(1);
      }
    } finally {
      await other.close();
    }
  });
});

function filesBelow(folder: string, name: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function flipInTheMiddle(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
