import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCollector } from '../collector/src/store/collector.ts';
import type { VaultStore } from '../collector/src/store/vault-store.ts';
import { waveform } from '../demo/instruments.ts';
import { mustRun } from '../demo/programs.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * Garbage collection itself comes later; what keeps it from taking too much is here, and no program
 * announces an epoch by itself yet.
 */
describe('the sweep rule', () => {
  let world: World;
  let agent: AgentPlace;

  beforeEach(async () => {
    world = await World.open();
    agent = await world.agent('weeks-offline');
  });

  afterEach(() => world.close());

  /** Looks into the store while the collector is down. */
  const lineageOf = (vault: VaultStore) =>
    vault.register.agentByName('weeks-offline')?.lineageId ?? expect.fail('no such agent');

  async function inStore<T>(step: (vault: VaultStore) => Promise<T> | T): Promise<T> {
    const store = await openCollector(world.collectorData, {
      files: nodeDisk,
      clock: systemClock,
      random: systemRandom,
    });
    try {
      const [vault] = store.vaults();
      if (vault === undefined) throw new Error('no vault');
      return await step(vault);
    } finally {
      await store.close();
    }
  }

  it('I-A9: a version captured offline against an old commit keeps its chunks until its agent has answered the epoch', async () => {
    const content = waveform(3_000_000, 5);
    const tree = await world.place('data');
    await world.write('data/old.bin', content);
    await world.write('data/stays.txt', 'so that not everything goes at once');
    await world.backup(agent, [tree]);
    await world.unserve();

    await rm(join(tree, 'old.bin'));
    const path = await world.write('data/copy.bin', content);
    await world.backup(agent, [tree], ['--offline']);
    const { entries, bytes } = (await statusOf(agent))['queue'] as {
      entries: number;
      bytes: number;
    };
    expect(entries).toBeGreaterThan(0);
    // The version brings nothing of its own: it relies on what the collector has, and the source
    // goes too.
    expect(bytes).toBeLessThan(content.length / 10);
    await rm(tree, { recursive: true });

    const epoch = await inStore(async (vault) => {
      const announced = await vault.sweep.announceGcEpoch(lineageOf(vault), Date.now());
      expect(vault.sweep.sweepWaitsFor(lineageOf(vault), announced)).toMatchObject([
        { agent: 'weeks-offline' },
      ]);
      return announced;
    });
    await world.serve();
    await mustRun('aliquot-agent', ['flush', '--data', agent.data]);
    await world.unserve();
    // It has answered, and is to be heard once more by each collector that starts (I-C11).
    const waits = await inStore((vault) => vault.sweep.sweepWaitsFor(lineageOf(vault), epoch));
    expect(waits.map(({ reason }) => reason)).toEqual([
      `has answered epoch ${epoch}, and was not heard since the collector started`,
    ]);
    await world.serve();
    const target = join(world.folder, 'back');
    await world.aliquot([
      'restore',
      '--kit',
      world.kit,
      '--agent',
      'weeks-offline',
      '--to',
      target,
    ]);
    expect(Buffer.compare(await readFile(join(target, path)), content)).toBe(0);
  });
});
