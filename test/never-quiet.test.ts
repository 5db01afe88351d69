/**
 * P6: what never comes to rest is protected as it is, named here and there, and whole in the end.
 */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoService, type JsonLine, mustRun } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/** How often we look, and the instruments write; nothing depends on it. */
const STEP_MS = 200;

describe('an acquisition that never pauses', () => {
  let world: World;
  let agent: AgentPlace;
  beforeAll(async () => {
    world = await World.open();
    agent = await world.agent('busy');
  });
  afterAll(() => world.close());

  const lines = async (...args: string[]): Promise<readonly JsonLine[]> =>
    (await mustRun('aliquot-agent', [...args, '--data', agent.data, '--json'])).lines;
  const versions = async (path: string): Promise<readonly JsonLine[]> =>
    (await world.aliquot(['versions', '--agent', agent.name, '--path', path, '--json'])).lines;

  it('is captured as it is, is a problem at the PC and at central IT, and is whole and none when it rests', async () => {
    const folder = await world.place('busy');
    const [log, run] = [join(folder, 'acquisition.log'), join(folder, 'run.D')];
    await mkdir(run);
    await writeFile(join(folder, 'other'), 'at rest');
    const source = `{path: ${JSON.stringify(folder)}, quietPeriodSeconds: 1, maxUnsettledSeconds: 4}`;
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `scanIntervalSeconds: 2\nsources: [${source}]\n`,
      { mode: 0o600 },
    );
    const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
    let writes = true;
    const instrument = (async () => {
      for (let cycle = 0; writes; cycle += 1) {
        await appendFile(log, `cycle ${cycle}\n`);
        await writeFile(join(run, `scan ${cycle}`), `scan ${cycle}`);
        await delay(STEP_MS);
      }
    })();
    try {
      await service.event('running');
      const told = async (): Promise<JsonLine | undefined> =>
        (await world.aliquot(['agents', '--json'])).lines[0];
      while ((await told())?.['unsettled'] !== 2) await delay(STEP_MS);
      const shown = await lines('status');
      const named = shown.filter(({ event, code }) => event === 'problem' && code === 'unsettled');
      expect(named.map(({ path }) => path).sort()).toEqual([log, run]);
      expect(shown.find(({ event }) => event === 'status')).toMatchObject({
        allSafe: false,
        unsettled: 2,
      });
      expect(await told()).toMatchObject({ unprotected: 0, unsettled: 2 });
      while ((await versions(log)).length === 0) await delay(STEP_MS);
      expect((await versions(log))[0]).toMatchObject({ completion: 'growing' });

      writes = false;
      await instrument;
      const status = async () => (await lines('status')).find(({ event }) => event === 'status');
      while ((await status())?.['allSafe'] !== true) await delay(STEP_MS);
      while ((await told())?.['unsettled'] !== 0) await delay(STEP_MS);
      expect((await versions(log)).at(-1)).not.toMatchObject({ completion: 'growing' });
      const target = join(world.folder, 'back');
      await world.aliquot(['restore', '--kit', world.kit, '--agent', agent.name, '--to', target]);
      expect(await readFile(join(target, log), 'utf8')).toBe(await readFile(log, 'utf8'));
      await world.aliquot(['check', '--kit', world.kit]);
    } finally {
      writes = false;
      await instrument;
      await service.stop();
    }
  });
});
