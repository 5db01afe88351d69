import type { EventBody } from '@aliquot/proto';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { expect, test } from 'vitest';
import { all, type Begin, codeOf } from './conformance-place.ts';
import { content, StoreWorld, WorldAgent } from './world.ts';

/** Agents: how they come, are replaced and end. */
export function registerConformance(begin: Begin): void {
  test('a revoked agent and one that was replaced may not commit; the successor has history and set', async () => {
    const { world, store } = await begin();
    const old = await world.agent(store, 'hplc-1');
    const file = old.file('/d/a', [content('a')]);
    await old.back(store, [file]);
    const successor = await world.agent(store, 'hplc-1', { replaces: old, enrol: false });
    expect(store.register.agentByName('hplc-1')?.agentId).toEqual(old.agentId);
    await successor.enrolAt(store);
    expect(store.register.agentByName('hplc-1')?.agentId).toEqual(successor.agentId);
    expect(store.register.agentById(old.agentId)?.state).toBe('replaced');
    expect(
      await store.intake.commit(
        old.agentId,
        old.build([old.directory('/e')]).bytes,
        world.clock.now,
      ),
    ).toMatchObject({ code: 'replaced' });
    const outcome = await store.intake.commit(
      successor.agentId,
      successor.build([file.draft]).bytes,
      world.clock.now,
    );
    expect(outcome.type).toBe('accepted');
    expect(await all(store.reading.versions(successor.lineageId, old.fileId('/d/a')))).toHaveLength(
      2,
    );
    await store.events.append({
      type: 'agentRevoked',
      timeMs: world.clock.now,
      agentId: successor.agentId,
      reason: 'lost',
    });
    expect(
      await store.intake.commit(
        successor.agentId,
        successor.build([successor.directory('/d')]).bytes,
        world.clock.now,
      ),
    ).toMatchObject({
      code: 'revoked',
    });
  });

  test('an enrolment repeated with the same keys answers the same leaf, with others it fails', async () => {
    const { world, store } = await begin();
    const agent = await world.agent(store, 'hplc-1');
    const leaf = await agent.enrolAt(store);
    expect(await agent.enrolAt(store)).toBe(leaf);
    expect(await codeOf(agent.enrolAt(store, agent.bindingOf(newSigningKey(world.random))))).toBe(
      'STORE_OTHER_KEYS',
    );
    const unknown = new WorldAgent(world, 'stranger');
    expect(await codeOf(unknown.enrolAt(store))).toBe('STORE_UNKNOWN_AGENT');
    const rival = new WorldAgent(world, 'hplc-1');
    expect(
      await codeOf(
        store.events.append({ type: 'agentExpected', timeMs: 1, enrolment: rival.enrolment }),
      ),
    ).toBe('STORE_NAME_TAKEN');
    const foreign = new WorldAgent(new StoreWorld('elsewhere'), 'x');
    expect(
      await codeOf(
        store.events.append({ type: 'agentExpected', timeMs: 1, enrolment: foreign.enrolment }),
      ),
    ).toBe('STORE_BAD_EVENT');
  });

  test('a name that a bundle waits for is given to no other, and of several at once all or none are expected', async () => {
    const { world, store } = await begin();
    const first = await world.agent(store, 'ms-1', { enrol: false });
    const rivals = [
      new WorldAgent(world, 'ms-2'),
      new WorldAgent(world, 'ms-1'),
      new WorldAgent(world, 'ms-3'),
    ];
    const expected = (agents: readonly WorldAgent[]): EventBody[] =>
      agents.map(({ enrolment }) => ({
        type: 'agentExpected',
        timeMs: world.clock.now,
        enrolment,
      }));
    const before = store.log.treeHead().size;
    expect(await codeOf(store.events.appendAll(expected(rivals)))).toBe('STORE_NAME_TAKEN');
    expect([
      store.log.treeHead().size,
      store.register.agentByName('ms-2'),
      store.register.agentByName('ms-3'),
    ]).toEqual([before, undefined, undefined]);
    const free = rivals.filter(({ name }) => name !== 'ms-1');
    expect(await store.events.appendAll(expected(free))).toEqual({ leafIndex: before + 1 });
    expect(await store.events.appendAll(expected(free))).toEqual({ leafIndex: before + 1 });
    expect(store.register.agents().map(({ name, state }) => `${name} ${state}`)).toEqual([
      'ms-1 expected',
      'ms-2 expected',
      'ms-3 expected',
    ]);
    await first.enrolAt(store);
  });

  test('a newer bundle that replaces the same agent takes an older one away that was not used', async () => {
    const { world, store } = await begin();
    const old = await world.agent(store, 'ms-1');
    const first = await world.agent(store, 'ms-2', { enrol: false, replaces: old });
    const second = await world.agent(store, 'ms-2', { enrol: false, replaces: old });
    expect(store.register.agentByName('ms-2')?.agentId).toEqual(second.agentId);
    expect(await codeOf(first.enrolAt(store))).toBe('STORE_REVOKED');
    await second.enrolAt(store);
  });
}
