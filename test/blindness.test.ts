import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Cable } from '../demo/cable.ts';
import { generator } from '../demo/instruments.ts';
import { DemoService, mustRun } from '../demo/programs.ts';
import { copyTree, makeTree, realData } from './trees.ts';
import { World } from './world.ts';

/** Every regular file below a folder whose name is Unicode. */
async function filesBelow(folder: string): Promise<string[]> {
  const items = await readdir(folder, { recursive: true, withFileTypes: true });
  return items
    .filter((item) => item.isFile() && !item.name.includes('\ufffd'))
    .map((item) => join(item.parentPath, item.name));
}

/**
 * Up to `count` byte strings that occur in the files and hardly anywhere else: 24 bytes of many
 * different values.
 */
async function distinctive(
  files: readonly string[],
  count: number,
  seed: number,
): Promise<Buffer[]> {
  const next = generator(seed);
  const found: Buffer[] = [];
  for (let attempt = 0; attempt < files.length * 4 && found.length < count; attempt += 1) {
    const content = await readFile(files[next() % files.length] ?? '');
    if (content.length < 64) continue;
    const piece = content.subarray(next() % (content.length - 24)).subarray(0, 24);
    if (new Set(piece).size >= 12) found.push(Buffer.from(piece));
  }
  return found;
}

/** Names long enough not to occur by chance. */
function distinctiveNames(files: readonly string[], count: number, seed: number): Buffer[] {
  const next = generator(seed);
  const names = [
    ...new Set(files.map((file) => basename(file)).filter((name) => name.length >= 14)),
  ].sort();
  return Array.from({ length: Math.min(count, names.length) }, () =>
    Buffer.from(names[next() % names.length] ?? ''),
  );
}

async function whereFound(needles: readonly Buffer[], files: readonly string[]): Promise<string[]> {
  const hits: string[] = [];
  for (const file of files) {
    const content = await readFile(file);
    for (const needle of needles)
      if (content.includes(needle)) hits.push(`${file}: ${needle.toString('latin1')}`);
  }
  return hits;
}

describe('P3: blindness', () => {
  for (const { blind, kinds } of [
    // Real files of several makers each; the whole corpus makes the round trip in
    // round-trip.test.ts.
    { blind: true, kinds: ['illumina_run', 'waters_raw', 'fcs'] },
    { blind: false, kinds: ['lab_exports', 'bruker_nmr'] },
  ]) {
    it(`nothing at the ${blind ? 'collector of a blind vault' : 'collector of an ordinary vault'}, on the wire, in the log or among the arguments reveals content${blind ? ' or names' : ''}`, async () => {
      const world = await World.open({ blind });
      const wire: Buffer[] = [];
      const cable = new Cable(
        { host: '127.0.0.1', port: Number(new URL(world.url).port) },
        () => (bytes) => {
          wire.push(Buffer.from(bytes));
          return bytes;
        },
      );
      try {
        await cable.plug();
        const agent = await world.agent('watched', ['--no-self-restore'], cable.url);
        const tree = await world.place('data');
        await makeTree(join(tree, 'made'), 7);
        await world.write(
          'data/patient-4711-Mustermann-Erika.csv',
          'Erika Mustermann, HIV-1 viral load 48000 copies/mL\r\n'.repeat(40),
        );
        for (const kind of realData ? kinds : [])
          await copyTree(join(realData ?? '', kind), join(tree, 'real', kind));
        const service = new DemoService('aliquot-agent', [
          'backup',
          tree,
          '--data',
          agent.data,
          '--json',
        ]);
        const seen: string[] = [];
        for (const child of [service.child, world.server.child]) {
          seen.push((await readFile(`/proc/${child.pid}/cmdline`, 'latin1').catch(() => '')) ?? '');
        }
        await service.event('summary');
        expect(await service.stop()).toBe(0);

        const sources = await filesBelow(tree);
        const content = [
          ...(await distinctive(sources, 30, 3)),
          Buffer.from('viral load 48000'),
          Buffer.from('Method completed'),
        ];
        const names = [...distinctiveNames(sources, 30, 5), Buffer.from('Mustermann')];
        const stored = await filesBelow(world.collectorData);
        expect(stored.length).toBeGreaterThan(3);
        expect(await whereFound(content, stored)).toEqual([]);
        expect(await whereFound(blind ? names : [], stored)).toEqual([]);

        const traffic = Buffer.concat(wire);
        expect(traffic.length).toBeGreaterThan(10_000);
        const tokens = (await readFile(join(world.collectorData, 'admin.token'), 'utf8')).trim();
        const passed = [...content, ...names].filter((needle) => traffic.includes(needle));
        expect(passed.map(String)).toEqual([]);
        const told = [world.server.complaint, service.complaint, ...seen].join('\n');
        for (const secret of [...content, ...names, Buffer.from(tokens)])
          expect(told).not.toContain(secret.toString('latin1'));

        // What an operator may see is still there for anyone who holds the kit.
        const listed = await world.aliquot([
          'ls',
          '--agent',
          'watched',
          '--json',
          ...(blind ? ['--kit', world.kit] : []),
        ]);
        expect(listed.stdout).toContain('patient-4711-Mustermann-Erika.csv');
        if (blind) {
          const refused = await world.tryAliquot(['ls', '--agent', 'watched']);
          expect(refused.code).toBe(2);
          expect(refused.stderr).toMatch(/--kit/);
        }
        await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
      } finally {
        await cable.pull();
        await world.close();
      }
    });
  }
});
