import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServedCollector } from '../../testing/served.ts';
import { content } from '../../testing/store/world.ts';
import { openCollector } from '../store/collector.ts';

let served: ServedCollector;
const ok = (...args: string[]) => served.ok(...args);

/** Drops the first version of the only PC, as a collection does when its grace is over. */
async function dropFirst(): Promise<void> {
  const ports = { files: nodeDisk, random: systemRandom, clock: systemClock };
  const store = await openCollector(served.data, ports);
  const [vault] = store.vaults();
  const branchId = vault?.register.agentByName('hplc-1')?.lineageId;
  if (vault === undefined || branchId === undefined) throw new Error('no PC');
  const leaves = [{ leafIndex: 3, slots: new Uint8Array([1]) }];
  expect(await vault.sweep.drop({ run: 1, branchId, leaves })).toBe(1);
  await store.close();
}

beforeAll(async () => {
  served = await ServedCollector.start();
  await served.addVault('lab');
  const pc = await served.addPc('lab', 'hplc-1');
  for (const state of ['one', 'two'])
    await served.send(pc, [{ path: '/data/a', bytes: content(state, 50_000) }]);
  expect((await served.sendRules('lab', '{keep: {within: 7d}}')).status).toBe(200);
  await served.stop();
  await dropFirst();
  await served.serve();
});

afterAll(() => served.end());

describe('gc', () => {
  it('says what would be freed, waits for PCs by name, and removes when nobody is waited for', async () => {
    expect((await ok('gc', 'status')).stdout).toContain('hplc-1: 1 version dropped');
    const ahead = await ok('gc', 'run', '--dry-run', '--json');
    const [lineage, would] = ahead.lines;
    expect(lineage).toMatchObject({ event: 'lineage', agent: 'hplc-1', state: 'swept', items: 1 });
    expect(would).toMatchObject({ event: 'summary', dryRun: true, versions: 0, waits: 0 });
    const waits = await served.tried('gc', 'run');
    expect([waits.code, waits.stdout]).toEqual([
      3,
      expect.stringMatching(/hplc-1: waits, .*\n {2}hplc-1, which has answered no epoch .*seen/),
    ]);
    expect((await ok('gc', 'status', '--json')).lines[0]).toMatchObject({
      ...{ paused: false, running: false },
      lineages: [{ agent: 'hplc-1', isAnnounced: true, waits: [{ agent: 'hplc-1' }] }],
    });
    expect((await ok('agent', 'lost', 'hplc-1')).stdout).toContain('Nobody waits for agent hplc-1');
    const problems = await served.tried('agents', '--problems');
    expect(problems.stdout).toContain('was said to be lost');
    const done = await ok('gc', 'run', '--all', '--json');
    const freed = Number(done.lines.at(-1)?.['freedBytes']);
    expect(freed).toBeGreaterThanOrEqual(Number(would?.['bytes']));
    expect((await ok('gc', 'status', '--json')).lines[0]).toMatchObject({ lineages: [] });
  });

  it('is told where a version went: by explain, and by whoever asks for it by its id', async () => {
    const explain = ['explain', '--agent', 'hplc-1', '--path', '/data/a', '--json'];
    const plain = (await ok(...explain)).lines;
    expect((await ok(...explain, '--kit', served.kitOf('lab'))).lines).toEqual(plain);
    const [dropped, left] = plain;
    expect(dropped).toMatchObject({ event: 'dropped', kind: 'content', size: 50_000, run: 1 });
    expect(dropped?.['until']).toBe(left?.['from']);
    expect([plain.length, left?.['event']]).toEqual([2, 'version']);
    const text = (await ok(...explain.slice(0, -1))).stdout;
    expect(text).toMatch(/dropped after run 1 of retention: it does not come back/);
    const version = String(dropped?.['version']);
    const cat = ['cat', '--kit', served.kitOf('lab'), '--agent', 'hplc-1', '--version'];
    for (const asked of [[version], [version.slice(0, 8)], [version, '--path', '/data/a']]) {
      const gone = await served.tried(...cat, ...asked);
      expect([gone.code, gone.stderr]).toEqual([
        1,
        expect.stringContaining(`version ${version} was dropped after run 1 of retention`),
      ]);
    }
    const never = await served.tried(...cat, '0123456789abcdef.0');
    expect(never.stderr).toContain('agent hplc-1 has no version 0123456789abcdef.0');
    expect((await served.tried(...cat, String(left?.['version']))).code).toBe(0);
  });

  it('does nothing while it is paused, and goes on when it is resumed', async () => {
    await ok('gc', 'pause');
    const held = await served.tried('gc', 'run');
    expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('aliquot gc resume')]);
    expect((await ok('gc', 'status')).stdout).toContain('Collection is paused');
    await ok('gc', 'run', '--dry-run');
    await ok('gc', 'resume');
    expect((await ok('gc', 'run')).stdout).toContain('Dropped 0 versions');
    const both = await served.tried('gc', 'run', '--dry-run', '--all');
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('leave --all')]);
  });
});
