import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeEntry, decodePage, decodeSignedCommit, type Signed } from '@aliquot/proto';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  boundaries,
  cachedDisk,
  catalogRows,
  compareFilePlaces,
  copyAfterPowerCut,
  copyCutAt,
  type Ends,
  endsOnDisk,
  type FilePlace,
  fileOf,
} from '../../testing/store/copies.ts';
import { content, StoreWorld, seededRandom, type WorldAgent } from '../../testing/store/world.ts';
import { StoreError } from './errors.ts';
import { StoredVault } from './stored-vault.ts';
import type { VaultIntake } from './vault-store.ts';

interface Promised {
  readonly agent: WorldAgent;
  readonly commit: Uint8Array;
  readonly receipt: Signed;
  readonly ids: Parameters<VaultIntake['has']>[1];
  /** Where history and packs ended when the receipt was given. */
  readonly at: Ends;
}

/** A small life of a vault over several packs; `step` is called after each receipt. */
async function life(
  store: StoredVault,
  world: StoreWorld,
  dir: string,
  step: (promised: Promised) => Promise<void> | void = () => undefined,
): Promise<Promised[]> {
  await store.events.append(world.vaultAdded());
  const agents = [await world.agent(store, 'hplc-1'), await world.agent(store, 'ms-2')];
  const promised: Promised[] = [];
  const back = async (
    agent: WorldAgent,
    files: Parameters<WorldAgent['back']>[1],
  ): Promise<void> => {
    world.clock.now += 1000;
    const done = await agent.back(store, files);
    const ids = files.flatMap((file) => ('items' in file ? file.items.map((item) => item.id) : []));
    const one = { agent, commit: done.bytes, receipt: done.receipt, ids, at: endsOnDisk(dir) };
    promised.push(one);
    await step(one);
  };
  for (let round = 0; round < 3; round += 1) {
    for (const agent of agents) {
      const chunks = Array.from({ length: round === 1 ? 36 : 2 }, (_, index) =>
        content(`${agent.name} ${round} ${index}`, 100),
      );
      await back(agent, [
        agent.file(`/d/${round}`, chunks),
        agent.file('/d/same', [content('same'), content(`grown ${round}`)]),
        agent.gone(`/d/${round - 1}`),
      ]);
    }
  }
  await twoOfOne(store, agents[0] ?? fail(), back);
  await store.sweep.announceGcEpoch(world.clock.now);
  return promised;
}

/**
 * A PC that is put back to an older state beside its own newest one: held apart, merged; then the
 * other one is a clone (I-C12).
 */
async function twoOfOne(
  store: StoredVault,
  agent: WorldAgent,
  back: (agent: WorldAgent, files: Parameters<WorldAgent['back']>[1]) => Promise<void>,
) {
  const copy = agent.copy();
  await back(agent, [agent.file('/d/original', [content('original')])]);
  await back(copy, [
    copy.file('/d/copy', [content('copy')]),
    copy.file('/d/same', [content('same')]),
  ]);
  copy.fork();
  await back(copy, [copy.gone('/d/copy')]);
  const { agentId } = agent;
  const decide = async (decision: 'restored' | 'clone', name: string) => {
    const [history] = store.register.agentById(agentId)?.histories ?? [];
    if (history === undefined) throw new Error('nothing is held apart');
    await store.events.append({
      type: 'forkDecided',
      timeMs: 1,
      agentId,
      branchId: history.branchId,
      decision,
      name,
    });
  };
  await decide('restored', '');
  await back(copy, [copy.directory('/goes on')]);
  await back(agent, [agent.file('/d/0', [content('of the clone')])]);
  await decide('clone', 'hplc-9');
}

function fail(): never {
  throw new Error('no agent');
}

async function expectKept(
  store: StoredVault,
  world: StoreWorld,
  promised: readonly Promised[],
): Promise<void> {
  for (const { agent, commit, receipt, ids } of promised) {
    const outcome = await store.intake.commit(agent.agentId, commit, world.clock.now);
    expect(outcome).toMatchObject({ type: 'accepted', repeated: true, receipt });
    for await (const item of store.reading.readItems(ids)) expect(item.type).toBe('item');
    expect(await store.intake.has(agent.lineageId, ids)).not.toContain(false);
  }
}

/** Packs and files of the history that are soon full. */
const smallFiles = { packBytes: 9000, branchBytes: 9000 };

/** Every boundary between records, and places inside of them. */
async function cutsIn(dir: string, log: 'history' | 'packs'): Promise<FilePlace[]> {
  const random = seededRandom('cuts');
  const places = await boundaries(nodeDisk, dir, log);
  const inside = places.flatMap((place, index) => {
    const next = places[index + 1];
    if (next?.file !== place.file || index % 4 !== 0) return [];
    const byte = Buffer.from(random.bytes(4)).readUInt32BE(0) % (next.offset - place.offset);
    return [{ file: place.file, offset: place.offset + byte }];
  });
  return [...places, ...inside];
}

/** As much of the history as may have been written when the packs ended there. */
function historyWithin(promised: readonly Promised[], packs: FilePlace): FilePlace {
  const last = promised.findLast(({ at }) => compareFilePlaces(at.packs, packs) <= 0);
  return last?.at.history ?? { file: 0, offset: 0 };
}

/** Everything that any commit in the history refers to is held. */
async function expectWhole(store: StoredVault): Promise<void> {
  for (let leaf = 0; leaf < store.log.treeHead().size; leaf += 1) {
    const { record } = await store.log.leafAt(leaf);
    if (record.type !== 'commit') continue;
    const contents = decodeSignedCommit(record.commit).slots.flatMap((slot) =>
      slot.type === 'entry' ? [decodeEntry(slot.bytes).content] : [],
    );
    for (let below = contents.pop(); below !== undefined; below = contents.pop()) {
      for await (const item of store.reading.readItems(below.refs.map(({ id }) => id))) {
        expect(item.type).toBe('item');
        if (item.type === 'item' && item.kind === 'page')
          contents.push(decodePage(item.bytes).content);
      }
    }
  }
}

/** Folders of their own do not disturb each other, and each waits for the disk most of its time. */
async function severalAtOnce<Item>(
  items: readonly Item[],
  what: (item: Item) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += 6) await Promise.all(items.slice(at, at + 6).map(what));
}

describe('a crash of the collector', () => {
  test('I-C1 I-C2 P1 at every record boundary, and inside records, leaves every receipt honoured', async () => {
    const world = new StoreWorld('crash');
    const dir = temporaryFolder();
    const store = await StoredVault.inFolder(dir, world.identity, world.ports(smallFiles));
    const promised = await life(store, world, dir);
    await store.close();
    const copies = temporaryFolder();
    const ends = endsOnDisk(dir);
    const [inHistory, inPacks] = [await cutsIn(dir, 'history'), await cutsIn(dir, 'packs')];
    expect(ends.packs.file).toBeGreaterThan(3);
    expect(ends.history.file).toBeGreaterThan(2);
    // Data is durable before what relies on it is in the history: so history never reaches further.
    const cuts: Ends[] = [
      ...inHistory.map((history) => ({ history, packs: ends.packs })),
      ...inPacks.map((packs) => ({ history: historyWithin(promised, packs), packs })),
    ];
    await severalAtOnce([...cuts.entries()], async ([turn, cut]) => {
      const copy = join(copies, `${turn}`);
      copyCutAt(dir, copy, cut);
      const reopened = await StoredVault.inFolder(copy, world.identity, world.ports(smallFiles));
      await expectKept(
        reopened,
        world,
        promised.filter(({ at }) => compareFilePlaces(at.history, cut.history) <= 0),
      );
      await reopened.close();
      rmSync(copy, { recursive: true });
    });
  });

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C2 a catalog that caught up equals one that was built anew',
    async () => {
      const world = new StoreWorld('catch up');
      const dir = temporaryFolder();
      const early = temporaryFolder();
      let store = await StoredVault.inFolder(dir, world.identity, world.ports(smallFiles));
      let count = 0;
      await life(store, world, dir, async () => {
        count += 1;
        if (count !== 4) return;
        await store.flush();
        cpSync(join(dir, 'catalog'), join(early, 'catalog'), { recursive: true });
      });
      await store.close();
      const live = await catalogRows(dir);
      for (const catalog of [join(early, 'catalog'), undefined]) {
        const copy = temporaryFolder();
        copyCutAt(dir, copy, endsOnDisk(dir), catalog === undefined ? {} : { catalog });
        store = await StoredVault.inFolder(copy, world.identity, world.ports());
        await store.close();
        expect(await catalogRows(copy)).toEqual(live);
      }
    },
  );

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C1 I-C3 P1 a power cut that loses and tears what was not synced leaves every receipt honoured',
    async () => {
      const world = new StoreWorld('power');
      const dir = temporaryFolder();
      const disk = cachedDisk(nodeDisk);
      const random = seededRandom('survivors');
      const store = await StoredVault.inFolder(
        dir,
        world.identity,
        world.ports({ ...smallFiles, files: disk.files }),
      );
      onTestFinished(() => store.close());
      const promised: Promised[] = [];
      const copies = temporaryFolder();
      await life(store, world, dir, async (one) => {
        promised.push(one);
        // Uploads that nobody was promised anything about, in every state of getting to the disk.
        await store.intake.putChunks(
          one.agent.lineageId,
          one.agent.file('/d/next', [
            content(`next ${promised.length}`),
            content(`after ${promised.length}`),
          ]).items,
        );
        for (const keep of [0, 1, 2]) {
          const copy = join(copies, `${promised.length}-${keep}`);
          copyAfterPowerCut(
            dir,
            copy,
            disk,
            () => keep === 2 || (keep === 1 && (random.bytes(1)[0] ?? 0) > 60),
          );
          const reopened = await StoredVault.inFolder(
            copy,
            world.identity,
            world.ports(smallFiles),
          );
          await expectKept(reopened, world, promised);
          await reopened.close();
          rmSync(copy, { recursive: true });
        }
      });
    },
    120_000,
  );

  test.runIf(posixOnly('on Windows nobody copies the files of a running store'))(
    'I-C1 P1 at every write and flush, a power cut that takes what is not synced of data, of history, or of both, leaves no history that relies on lost data',
    async () => {
      const world = new StoreWorld('between');
      const dir = temporaryFolder();
      const copies = temporaryFolder();
      const promised: Promised[] = [];
      const cut: { readonly copy: string; readonly promised: number }[] = [];
      let steps = 0;
      const disk = cachedDisk(nodeDisk, async (path) => {
        if (!/\.(pack|history)$/.test(path)) return;
        steps += 1;
        if (steps % 3 !== 0) return;
        for (const survivor of ['none', 'history', 'packs']) {
          const copy = join(copies, `${steps}-${survivor}`);
          copyAfterPowerCut(dir, copy, disk, (log) => log === survivor, { catalog: false });
          cut.push({ copy, promised: promised.length });
        }
      });
      const ports = world.ports({ ...smallFiles, files: disk.files });
      const store = await StoredVault.inFolder(dir, world.identity, ports);
      await life(store, world, dir, (one) => void promised.push(one));
      await store.close();
      expect(cut.length).toBeGreaterThan(90);
      await severalAtOnce(cut, async ({ copy, promised: told }) => {
        const reopened = await StoredVault.inFolder(copy, world.identity, world.ports(smallFiles));
        await expectKept(reopened, world, promised.slice(0, told));
        await expectWhole(reopened);
        await reopened.close();
        rmSync(copy, { recursive: true });
      });
    },
    120_000,
  );

  test('I-C5 a broken record below what was synced later is never cut', async () => {
    const world = new StoreWorld('rot');
    const dir = temporaryFolder();
    const store = await StoredVault.inFolder(dir, world.identity, world.ports());
    const promised = await life(store, world, dir);
    await store.close();
    const copy = temporaryFolder();
    copyCutAt(dir, copy, endsOnDisk(dir));
    const { at } = promised[1] as Promised;
    const file = await nodeDisk.open(fileOf(copy, 'history', at.history.file), 'update');
    await file.write(Buffer.from('rot'), at.history.offset - 200); // in the second commit
    await file.close();
    await expect(StoredVault.inFolder(copy, world.identity, world.ports())).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: /00000001\.history.*byte \d+/,
    });
  });
});

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
