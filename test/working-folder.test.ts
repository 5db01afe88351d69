import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect, it } from 'vitest';
import { DemoService } from '../demo/programs.ts';
import { World } from './world.ts';

it('both services go on when the folder that they were started in is removed, and take relative paths as they were meant', async () => {
  const world = await World.open();
  const folder = await mkdtemp(join(tmpdir(), 'aliquot-started-'));
  const within = ['env', '-C', folder];
  const services: DemoService[] = [];
  try {
    const agent = await world.agent('pc');
    const source = await world.place('data');
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `scanIntervalSeconds: 1\nsources: [{path: ${JSON.stringify(source)}, quietPeriodSeconds: 0}]\n`,
    );
    await world.unserve();
    const { host } = new URL(world.url);
    const collector = new DemoService(
      'aliquot',
      ['serve', '--data', relative(folder, world.collectorData), '--listen', host],
      {},
      within,
    );
    services.push(collector);
    await collector.event('listening');
    const service = new DemoService(
      'aliquot-agent',
      ['run', '--data', relative(folder, agent.data)],
      {},
      within,
    );
    services.push(service);
    await service.event('running');

    await rm(folder, { recursive: true });
    await world.write('data/run.csv', 'result');
    await expect
      .poll(
        async () =>
          (await world.aliquot(['ls', '--agent', 'pc', '--json'])).lines.map(({ path }) => path),
        { timeout: 240_000 },
      )
      .toContain(join(source, 'run.csv'));
    for (const one of services.splice(0).reverse()) expect(await one.stop()).toBe(0);
  } finally {
    for (const one of services) await one.stop('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    await world.close();
  }
});
