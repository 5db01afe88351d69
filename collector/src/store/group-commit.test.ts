import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';

describe('a group commit', () => {
  test('I-C1 many agents that commit at once share their fdatasync', async () => {
    const world = new StoreWorld('group');
    const counting = faultyFiles(nodeDisk, () => undefined);
    const store = await StoredVault.inFolder(
      temporaryFolder(),
      world.identity,
      world.ports({ files: counting }),
    );
    onTestFinished(() => store.close());
    await store.events.append(world.vaultAdded());
    const agents: WorldAgent[] = [];
    for (let index = 0; index < 12; index += 1)
      agents.push(await world.agent(store, `pc-${index}`));
    const before = counting.steps.filter(({ operation }) => operation === 'datasync').length;
    const commits = agents.map((agent) => agent.build([agent.directory('/d')]));
    const outcomes = await Promise.all(
      commits.map(({ bytes, header }) =>
        store.intake.commit(header.agentId, bytes, world.clock.now),
      ),
    );
    expect(outcomes.map((outcome) => outcome.type)).toEqual(agents.map(() => 'accepted'));
    expect(
      counting.steps.filter(({ operation }) => operation === 'datasync').length - before,
    ).toBeLessThanOrEqual(2);
  });

  test('I-C1 a commit waits for two flushes, and for one where its data was flushed before', async () => {
    const world = new StoreWorld('flushes');
    const counting = faultyFiles(nodeDisk, () => undefined);
    const ports = world.ports({ files: counting });
    const store = await StoredVault.inFolder(temporaryFolder(), world.identity, ports);
    onTestFinished(() => store.close());
    await store.events.append(world.vaultAdded());
    const agent = await world.agent(store, 'hplc-1');
    const flushes = async (run: () => Promise<unknown>) => {
      const before = counting.steps.length;
      await run();
      return counting.steps.slice(before).filter(({ operation }) => /sync/.test(operation)).length;
    };
    await agent.back(store, [agent.file('/d/first', [content('first')])]);
    const file = agent.file('/d/a', [content('a'), content('b')]);
    expect(await flushes(() => agent.back(store, [file]))).toBe(2);
    const ahead = agent.file('/d/ahead', [content('ahead')]);
    await store.intake.putChunks(agent.lineageId, ahead.items);
    expect(await flushes(() => store.intake.sync())).toBe(2);
    expect(await flushes(() => agent.back(store, [ahead]))).toBe(1);
    expect(await flushes(() => agent.back(store, [agent.directory('/d')]))).toBe(1);
    expect(await flushes(() => store.intake.sync())).toBe(0);
  });
});
