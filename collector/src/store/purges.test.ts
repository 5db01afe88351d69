import { asFileId, type EventBody, type FileId } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  operatorCalled,
  purgeCancel,
  purgeOrder,
  type TestOperator,
} from '../../testing/retention/purges.ts';
import { holdOn, policySet, rulesOf } from '../../testing/retention/signed.ts';
import { StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { PURGE_DELAY_MS } from '../retention/brakes.ts';
import { StoredVault } from './stored-vault.ts';

/* Purges: who may order and cancel one, and what keeps one from being ordered. */

let world: StoreWorld;
let dir: string;
let store: StoredVault;
let agent: WorldAgent;
let maria: TestOperator;

const open = async (): Promise<StoredVault> => {
  const identity = { ...world.identity, catalogSecretKey: world.kit.catalogSecretKey };
  return StoredVault.inFolder(dir, identity, world.ports());
};

beforeEach(async () => {
  world = new StoreWorld('purges');
  dir = temporaryFolder();
  store = await open();
  await store.events.append(world.vaultAdded());
  agent = await world.agent(store, 'hplc-1');
  maria = operatorCalled(world, 'maria');
  await agent.back(store, [agent.directory('/data/p-0815'), agent.directory('/data/other')]);
});
afterEach(() => store.close());

type Ordered = ReturnType<typeof purgeOrder>;

function order(by = maria, files: readonly FileId[] = [agent.fileId('/data/p-0815')]): Ordered {
  const { lineageId } = agent;
  return purgeOrder(world, by, { lineageId, files, head: store.log.treeHead() });
}

const bad = (why: RegExp) =>
  expect.objectContaining({ code: 'STORE_BAD_EVENT', message: expect.stringMatching(why) });
const refused = (event: Ordered, why: RegExp) =>
  expect(store.purges.order(event)).rejects.toEqual(bad(why));
const refusedEvent = (event: EventBody, why: RegExp) =>
  expect(store.events.append(event)).rejects.toEqual(bad(why));

describe('I-C30 an order to purge', () => {
  test('is an operator’s for retention within the term, once; and the same again is the same leaf', async () => {
    const event = order();
    const { leafIndex } = await store.purges.order(event);
    expect(await store.purges.order(event)).toEqual({ leafIndex });
    expect(store.purges.all()).toMatchObject([
      { ordered: { leaf: leafIndex, by: 'maria' }, approved: undefined, cancelled: undefined },
    ]);
    await refused(order(operatorCalled(world, 'ines', ['settings'])), /not for retention/);
    const late = operatorCalled(world, 'otto', ['retention'], 1000);
    const kept = order(late);
    world.clock.now += 2000;
    await refused(kept, /key of operator otto expired/);
    await refused(order(operatorCalled(new StoreWorld('foreign'), 'eve')), /not signed by the key/);
    expect(store.purges.all()).toHaveLength(1);
  });

  test('names files that are there, and leaves that this log has', async () => {
    await refused(order(maria, [asFileId(world.random.bytes(16))]), /does not have/);
    const head = { ...store.log.treeHead(), size: 900 };
    const files = [agent.fileId('/data/p-0815')];
    const ahead = purgeOrder(world, maria, { lineageId: agent.lineageId, files, head });
    await refused(ahead, /leaves that this log does not have/);
    expect(store.purges.all()).toEqual([]);
  });

  test('is refused under a hold, which is named, and taken once that is over', async () => {
    const hold = holdOn(world, ['/data/p-*']);
    await store.events.append(hold.set);
    await refused(order(), /hold trial-7 covers versions/);
    // What else there is may be ordered.
    await store.purges.order(order(maria, [agent.fileId('/data/other')]));
    await store.events.append(hold.over());
    await store.purges.order(order());
    expect(store.purges.all()).toHaveLength(2);
  });

  test('is refused under a lock, saying until when', async () => {
    await store.events.append(policySet(world, 1, rulesOf('{match: {}, lock: 1y, keep: all}')));
    world.clock.now += 2 * 86_400_000;
    await refused(order(), /the lock of policy 1 covers .* until 2024-11-/);
    world.clock.now += 366 * 86_400_000;
    maria = operatorCalled(world, 'maria');
    await store.purges.order(order());
    expect(store.purges.all()).toHaveLength(1);
  });

  test('is refused while nobody knows what time it is', async () => {
    world.clock.now -= 2 * 3_600_000;
    await expect(store.purges.order(order())).rejects.toMatchObject({
      code: 'STORE_RETENTION_HELD',
    });
  });

  test('comes by its own way only, which looks at holds and locks', async () => {
    const { purgeId: _, ...event } = order();
    await refusedEvent(event, /their own way/);
  });

  test('is cancelled by the kit or an operator for retention, and that is all that happens', async () => {
    const first = order();
    await store.purges.order(first);
    await refusedEvent(
      purgeCancel(world, first.purgeId, operatorCalled(world, 'ines', ['settings'])),
      /not for retention/,
    );
    const event = purgeCancel(world, first.purgeId, maria);
    const { leafIndex } = await store.events.append(event);
    expect(await store.events.append(purgeCancel(world, first.purgeId))).toEqual({ leafIndex });
    const second = order();
    await store.purges.order(second);
    await store.events.append(purgeCancel(world, second.purgeId));
    const all = store.purges.all();
    expect(all.map(({ cancelled }) => [cancelled?.by, cancelled?.reason])).toEqual([
      ['maria', 'another subject'],
      ['', 'another subject'],
    ]);
    await refusedEvent(purgeCancel(world, order().purgeId), /no such purge/);
    world.clock.now += PURGE_DELAY_MS;
    // A start says the same, and so does a catalog that is made anew.
    await store.close();
    store = await open();
    expect(store.purges.all()).toEqual(all);
  });
});
