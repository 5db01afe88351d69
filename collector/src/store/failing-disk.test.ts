import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import {
  expectKept,
  life,
  type Promised,
  severalAtOnce,
  smallFiles,
} from '../../testing/store/vault-life.ts';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { StoreError } from './errors.ts';
import { StoredVault } from './stored-vault.ts';
import type { VaultIntake } from './vault-store.ts';

describe('a failing disk', () => {
  test('I-C4 I-C7 P1 writes, cuts and flushes failing in turn lose no receipt, and the store goes on by itself', async () => {
    const dry = new StoreWorld('faults');
    const counting = faultyFiles(nodeDisk, () => undefined);
    const first = temporaryFolder();
    const store = await StoredVault.inFolder(
      first,
      dry.identity,
      dry.ports({ packBytes: 9000, files: counting }),
    );
    const opened = counting.steps.length;
    await life(store, dry, first);
    const steps = counting.steps.filter(
      (step) =>
        step.index >= opened &&
        /^(write|datasync|sync|truncate|open:updateOrCreate)$/.test(step.operation),
    );
    await store.close();
    expect(steps.length).toBeGreaterThan(40);
    // A spread over the run: each kind of step is met, with both ways to fail.
    const turns = [...steps.entries()].filter(([turn]) => turn % 6 === 0);
    await severalAtOnce(turns, ([turn, { index }]) =>
      survive(index, turn % 12 === 0 ? 'EIO' : 'ENOSPC'),
    );
  });

  test('I-C7 P6 what was told as failed is not shown as done afterwards, and can be said again', async () => {
    const world = new StoreWorld('failed flush');
    const dir = temporaryFolder();
    let failing = false;
    const files = faultyFiles(nodeDisk, ({ operation }) => {
      if (!failing || operation !== 'datasync') return undefined;
      failing = false;
      return { fail: 'EIO' };
    });
    const store = await StoredVault.inFolder(dir, world.identity, world.ports({ files }));
    await store.events.append(world.vaultAdded());
    const { agentId } = await world.agent(store, 'stolen');
    const revoke = () =>
      store.events.append({ type: 'agentRevoked', timeMs: 1, agentId, reason: 'stolen' });
    failing = true;
    await expect(revoke()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(failing).toBe(false);
    expect(store.register.agentById(agentId)).toMatchObject({ state: 'enrolled' });
    await revoke();
    expect(store.register.agentById(agentId)).toMatchObject({ state: 'revoked' });
    await store.close();
  });

  test('P1 P6 a disk that is full takes nothing, can be read to the end, and goes on when there is room', async () => {
    const world = new StoreWorld('full');
    const dir = temporaryFolder();
    let full = false;
    const files = faultyFiles(nodeDisk, ({ operation }) =>
      full && /^(write|open:updateOrCreate|mkdir)$/.test(operation)
        ? { fail: 'ENOSPC' }
        : undefined,
    );
    // LevelDB on a full disk, too: nothing that only waits in memory may be needed on it for a
    // read.
    const port: typeof files = {
      ...files,
      level: {
        ...nodeDisk.level,
        open: async (path, options) => {
          const level = await nodeDisk.level.open(path, options);
          const batch = level.batch.bind(level) as (...args: unknown[]) => Promise<void>;
          const failing = async (...args: unknown[]) =>
            full
              ? Promise.reject(
                  Object.assign(new Error('IO error: No space left on device'), {
                    code: 'LEVEL_IO_ERROR',
                  }),
                )
              : batch(...args);
          return Object.assign(level, { batch: failing });
        },
      },
    };
    const store = await StoredVault.inFolder(dir, world.identity, world.ports({ files: port }));
    await store.events.append(world.vaultAdded());
    const agent = await world.agent(store, 'hplc-1');
    await agent.back(store, [agent.file('/d/a', [content('a')])]);
    full = true;
    const file = agent.file('/d/b', [content('b')]);
    await expect(agent.back(store, [file])).rejects.toMatchObject({
      code: 'STORE_NO_SPACE',
      retryable: true,
    });
    const live = async (from: StoredVault) => {
      let count = 0;
      for await (const record of from.reading.state(agent.lineageId, undefined))
        count += record.live.length;
      for await (const record of from.reading.versions(agent.lineageId, agent.fileId('/d/a')))
        count += record.live.length;
      return count;
    };
    expect(await live(store)).toBe(2);
    await expect(store.flush()).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: true });
    full = false;
    await agent.back(store, [file]);
    expect(await live(store)).toBe(3);
    await store.close();
  });

  async function survive(failing: number, fail: string): Promise<void> {
    const world = new StoreWorld('faults');
    const dir = temporaryFolder();
    let failed = 0;
    const files = faultyFiles(nodeDisk, ({ index }) => {
      if (index !== failing) return undefined;
      failed += 1;
      return { fail };
    });
    const store = await StoredVault.inFolder(
      dir,
      world.identity,
      world.ports({ ...smallFiles, files }),
    );
    const retrying = new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value === 'function') return value.bind(target);
        return ['intake', 'events', 'sweep'].includes(String(name))
          ? twice(value as Record<string, (...args: unknown[]) => unknown>)
          : value;
      },
    });
    const promised = await resilientLife(retrying, world, dir);
    expect(failed).toBe(1);
    await store.close();
    const reopened = await StoredVault.inFolder(dir, world.identity, world.ports());
    await expectKept(reopened, world, promised);
    await reopened.close();
  }
});

const repeatedCalls = ['putChunks', 'commit', 'append', 'announceGcEpoch'];

/** A part of the store whose calls are made again after a failure that waiting may help. */
function twice(part: Record<string, (...args: unknown[]) => unknown>): typeof part {
  const again =
    (call: (...args: unknown[]) => unknown) =>
    async (...args: unknown[]) => {
      try {
        return await call(...args);
      } catch (error) {
        if (!(error instanceof StoreError) || !error.retryable) throw error;
        return call(...args);
      }
    };
  return Object.fromEntries(
    Object.entries(part).map(([name, call]) => [
      name,
      repeatedCalls.includes(name) ? again(call) : call,
    ]),
  );
}

/** As `life`, but an agent that is told "missing" uploads again, as a real one does. */
async function resilientLife(
  store: StoredVault,
  world: StoreWorld,
  dir: string,
): Promise<Promised[]> {
  const { intake } = store;
  const uploads = new Map<string, Parameters<VaultIntake['putChunks']>>();
  const patientIntake: VaultIntake = {
    ...intake,
    async putChunks(lineageId, items) {
      for (const item of items)
        uploads.set(Buffer.from(item.id).toString('hex'), [lineageId, [item]]);
      await intake.putChunks(lineageId, items);
    },
    async commit(agentId, ...rest) {
      const lineageId = store.register.agentById(agentId)?.lineageId as WorldAgent['lineageId'];
      for (let round = 0; ; round += 1) {
        const outcome = await intake.commit(agentId, ...rest);
        if (outcome.type !== 'missing' || round === 5) return outcome;
        // Pages are named first; what is below them is asked for once they are there.
        for (const id of outcome.ids)
          await intake.putChunks(
            lineageId,
            uploads.get(Buffer.from(id).toString('hex'))?.[1] ?? [],
          );
      }
    },
  };
  const patient: StoredVault = new Proxy(store, {
    get: (target, name) => (name === 'intake' ? patientIntake : Reflect.get(target, name, target)),
  });
  return life(patient, world, dir);
}
