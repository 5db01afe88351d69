import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeReceiptBody,
  type EntryDraft,
  type LineageId,
  type StateRecord,
} from '@aliquot/proto';
import { clampVersionTime } from '@aliquot/shared/log/version-time';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import type { CatalogStore } from './catalog/catalog-store.ts';
import { StoredVault } from './stored-vault.ts';
import { diskMedia } from './vault/media.ts';

const paths = ['/a', '/b', '/c', '/d', '/e'];

/**
 * One version: of which path, whether it is gone, and by how much its time differs from the clock.
 */
const version = fc.record({
  path: fc.nat(paths.length - 1),
  gone: fc.boolean(),
  lateMs: fc.integer({ min: -3000, max: 2000 }),
});
const commits = fc.array(fc.array(version, { minLength: 1, maxLength: 6 }), { maxLength: 6 });

interface Known {
  readonly timeMs: number;
  readonly leafIndex: number;
  readonly slot: number;
  readonly gone: boolean;
}

/** What a history should be, as a plain list of the versions of each path. */
class Model {
  readonly files = new Map<string, Known[]>();
  afterMs: number;

  constructor(afterMs: number) {
    this.afterMs = afterMs;
  }

  static sort(versions: Known[]): Known[] {
    return versions.sort(
      (a, b) => a.timeMs - b.timeMs || a.leafIndex - b.leafIndex || a.slot - b.slot,
    );
  }

  merge(other: Model): void {
    for (const [path, versions] of other.files)
      this.files.set(path, Model.sort([...(this.files.get(path) ?? []), ...versions]));
    this.afterMs = Math.max(this.afterMs, other.afterMs);
  }

  /** Of each path the newest version not later than a time, unless it is gone. */
  at(timeMs: number): string[] {
    const live = [...this.files.values()].flatMap((versions) => {
      const last = versions.filter((one) => one.timeMs <= timeMs).at(-1);
      return last === undefined || last.gone ? [] : [shown(last)];
    });
    return live.sort();
  }

  all(): string[] {
    return [...this.files.values()].flat().map(shown).sort();
  }
}

const shown = ({ leafIndex, slot, timeMs }: Omit<Known, 'gone'>): string =>
  `${leafIndex} ${slot} ${timeMs}`;

async function told(records: AsyncIterable<StateRecord>): Promise<string[]> {
  const found: string[] = [];
  for await (const { receipt, live, versionTimesMs } of records) {
    const { leafIndex } = decodeReceiptBody(receipt.body);
    for (const [at, slot] of live.entries())
      found.push(shown({ leafIndex, slot, timeMs: versionTimesMs[at] ?? -1 }));
  }
  return found;
}

async function back(
  store: StoredVault,
  agent: WorldAgent,
  model: Model,
  versions: readonly { path: number; gone: boolean; lateMs: number }[],
): Promise<void> {
  const { clock } = agent.world;
  clock.now += 1000;
  const drafts = versions.map(({ path, gone, lateMs }): EntryDraft => {
    const name = paths[path] ?? '';
    const draft = gone ? agent.gone(name) : agent.directory(name);
    return { ...draft, capturedAtMs: clock.now + lateMs };
  });
  const { receipt, leafIndex } = await agent.back(store, drafts);
  const { receivedAtMs } = decodeReceiptBody(receipt.body);
  for (const [slot, { path, gone }] of versions.entries()) {
    const name = paths[path] ?? '';
    const known = model.files.get(name) ?? [];
    const claimed = clampVersionTime(drafts[slot]?.capturedAtMs ?? 0, model.afterMs, receivedAtMs);
    const timeMs = Math.max(claimed, known.at(-1)?.timeMs ?? 0);
    model.files.set(name, [...known, { timeMs, leafIndex, slot, gone }]);
  }
  model.afterMs = receivedAtMs;
}

async function expectSame(
  store: StoredVault,
  agent: WorldAgent,
  branchId: LineageId,
  model: Model,
): Promise<void> {
  const { reading } = store;
  const { now } = agent.world.clock;
  expect((await told(reading.state(branchId, undefined))).sort()).toEqual(model.at(now + 10_000));
  const times = new Set([...model.files.values()].flat().map(({ timeMs }) => timeMs));
  for (const time of [0, now, ...[...times].flatMap((one) => [one - 1, one])])
    expect((await told(reading.state(branchId, time))).sort()).toEqual(model.at(time));
  expect((await told(reading.everyVersion(branchId))).sort()).toEqual(model.all());
  for (const path of paths)
    expect(await told(reading.versions(branchId, agent.fileId(path)))).toEqual(
      (model.files.get(path) ?? []).map(shown),
    );
}

describe('I-C2 I-C12 the versions of a history', () => {
  test('are a chain of each file, held apart and joined, now and at any time, and the same after a rebuild', async () => {
    await fc.assert(
      fc.asyncProperty(commits, commits, commits, commits, async (early, ours, theirs, late) => {
        const world = new StoreWorld('versions', { blind: true });
        const dir = temporaryFolder();
        let store = await StoredVault.inFolder(dir, world.identity, world.ports());
        try {
          await store.events.append(world.vaultAdded());
          const agent = await world.agent(store, 'hplc-1');
          const trunk = new Model(world.clock.now);
          await back(store, agent, trunk, [{ path: 0, gone: false, lateMs: 0 }]);
          for (const one of early) await back(store, agent, trunk, one);
          const copy = agent.copy();
          const apart = new Model(trunk.afterMs);
          await back(store, agent, trunk, [{ path: 1, gone: false, lateMs: 0 }]);
          await back(store, copy, apart, [{ path: 1, gone: true, lateMs: 0 }]);
          for (let at = 0; at < Math.max(ours.length, theirs.length); at += 1) {
            if (ours[at] !== undefined) await back(store, agent, trunk, ours[at] ?? []);
            if (theirs[at] !== undefined) await back(store, copy, apart, theirs[at] ?? []);
          }
          const branchId = store.register.branchIds(agent.agentId)[0] as LineageId;
          await expectSame(store, agent, agent.lineageId, trunk);
          await expectSame(store, agent, branchId, apart);
          await store.events.append({
            type: 'forkDecided',
            timeMs: world.clock.now,
            agentId: agent.agentId,
            branchId,
            decision: 'restored',
            name: '',
          });
          trunk.merge(apart);
          await expectSame(store, agent, agent.lineageId, trunk);
          await expectSame(store, agent, branchId, new Model(0));
          for (const one of late) await back(store, copy, trunk, one);
          await expectSame(store, agent, agent.lineageId, trunk);
          await store.close();
          const live = await catalogRows(dir);
          rmSync(join(dir, 'catalog'), { recursive: true });
          store = await StoredVault.inFolder(dir, world.identity, world.ports());
          await store.flush();
          await expectSame(store, agent, agent.lineageId, trunk);
          await store.close();
          expect(await catalogRows(dir)).toEqual(live);
        } finally {
          await store.close();
        }
      }),
      { numRuns: 12 },
    );
  });

  test('come once each, also when a commit arrives while they are listed', async () => {
    const world = new StoreWorld('versions', { blind: true });
    const { vaultId } = world.descriptor;
    let meanwhile = async (): Promise<unknown> => undefined;
    const media = diskMedia(temporaryFolder(), vaultId, world.ports());
    const openCatalog = async (): Promise<CatalogStore> => {
      const catalog = await media.openCatalog();
      const scan = catalog.scan.bind(catalog);
      catalog.scan = async function* (range) {
        yield* scan(range);
        if (range.gte.toString('latin1', 0, 1) === 'H') await meanwhile();
      };
      return catalog;
    };
    const store = await StoredVault.open({ ...media, openCatalog }, world.identity, world.ports());
    onTestFinished(() => store.close());
    await store.events.append(world.vaultAdded());
    const agent = await world.agent(store, 'hplc-1');
    const model = new Model(world.clock.now);
    const change = [{ path: 0, gone: false, lateMs: 0 }];
    await back(store, agent, model, change);
    await back(
      store,
      agent,
      model,
      [1, 2].map((path) => ({ path, gone: false, lateMs: 0 })),
    );
    const now = world.clock.now;
    const { state, everyVersion } = store.reading;
    const before = model.at(now);
    meanwhile = () => back(store, agent, model, change);
    expect((await told(state(agent.lineageId, now))).sort()).toEqual(before);
    const all = model.all();
    expect((await told(everyVersion(agent.lineageId))).sort()).toEqual(all);
  });
});
