import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  asChunkId,
  type Content,
  type EntryDraft,
  encodePage,
  MAX_TIME_MS,
  type Ref,
} from '@aliquot/proto';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import { sealChunk } from '@aliquot/shared/content/seal';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { seededSource } from '@aliquot/shared/testing/random';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { appendStranger } from '../../testing/store/unfit.ts';
import { content, StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { storeLimits } from '../limits.ts';
import { RowReader, RowWriter } from './catalog/row.ts';
import { initCollector, openCollector } from './collector.ts';
import { fsckCollector } from './fsck/fsck.ts';
import { diskMedia } from './vault/media.ts';
import { openCore } from './vault/open-core.ts';
import type { PutItem } from './vault-records.ts';
import type { VaultStore } from './vault-store.ts';

const MIB = 1024 * 1024;
/** As before there was a bound at the gate. */
const noBound = { ...storeLimits, branchBytes: 1n << 100n };

/**
 * Contents of any claimed size, made of one tiny chunk and a few pages whose sealed keys are
 * rubbish: a collector cannot tell.
 */
class Claims {
  readonly items: PutItem[] = [];
  /** 2^52 bytes, and one byte less. */
  readonly full: Ref;
  readonly less: Ref;

  constructor(agent: WorldAgent) {
    const chunk = sealChunk(agent.world.keys, content('tiny', 8));
    this.items.push({ id: chunk.id, kind: 'chunk', bytes: chunk.sealed });
    const claimed = (plainSize: number): Ref => ({ id: chunk.id, plainSize, epoch: 1 });
    const rows = (first: Ref, last: Ref): Ref[] => [
      ...Array.from({ length: 1023 }, () => first),
      last,
    ];
    let [full, less] = [claimed(4 * MIB), claimed(4 * MIB - 1)];
    for (const depth of [0, 1, 2])
      [full, less] = [this.#page(depth, rows(full, full)), this.#page(depth, rows(full, less))];
    [this.full, this.less] = [full, less];
  }

  #page(depth: number, refs: readonly Ref[]): Ref {
    const bytes = encodePage(
      { depth, refs: [...refs] },
      new Uint8Array(refs.length * 32 + 16).fill(depth),
    );
    const id = asChunkId(sha256(bytes));
    this.items.push({ id, kind: 'page', bytes });
    return { id, plainSize: refs.reduce((sum, { plainSize }) => sum + plainSize, 0), epoch: 1 };
  }

  /** The largest size that a version may have, or half of it. */
  file(agent: WorldAgent, path: string, half = false): EntryDraft {
    const refs = half ? [this.full] : [this.full, this.less];
    const size = refs.reduce((sum, { plainSize }) => sum + plainSize, 0);
    const { draft } = agent.file(path, [content('any')]);
    const whole: Content = { depth: 3, piece: 0, refs };
    return {
      ...draft,
      size,
      content: whole,
      read: { sha256: sha256(content(path)), keys: refs.map(() => content(path, 32)) },
    };
  }
}

async function opened(world: StoreWorld, limits = storeLimits) {
  const dir = join(temporaryFolder(), 'collector');
  const store = await initCollector(dir, { name: 'freezer' }, world.ports({ limits }));
  const vault = await store.addVault({
    descriptor: world.kit.descriptor,
    certificate: world.certificateFor(store.identity),
    catalogSecretKey: undefined,
  });
  return { dir, store, vault, vaultDir: join(dir, 'vaults', hex(world.descriptor.vaultId)) };
}

async function findingsOf(dir: string, world: StoreWorld): Promise<string[]> {
  const found: string[] = [];
  await fsckCollector(dir, {
    ...world.ports(),
    onFinding: ({ code, what }) => found.push(`${code}: ${what}`),
  });
  return found;
}

function send(
  vault: VaultStore,
  agent: WorldAgent,
  drafts: readonly EntryDraft[],
  results: readonly RowDraft[] = [],
) {
  const built = agent.build(drafts, { results });
  return vault.intake.commit(agent.agentId, built.bytes, agent.world.clock.now).then((outcome) => {
    if (outcome.type === 'accepted') agent.advance(built, outcome.head);
    return outcome;
  });
}

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? 20261121);

describe(`sizes that an agent claims (seed ${seed})`, () => {
  test('I-C13 beyond what a history may have are refused before anything is appended, and concern nobody else', async () => {
    const world = new StoreWorld('claims', { blind: true });
    const { dir, store, vault } = await opened(world);
    const [evil, honest] = [await world.agent(vault, 'evil'), await world.agent(vault, 'honest')];
    const claims = new Claims(evil);
    await vault.intake.putChunks(evil.lineageId, claims.items);
    expect(await send(vault, evil, [claims.file(evil, '/d/most')])).toMatchObject({
      type: 'accepted',
    });
    await vault.intake.sync();
    const before = vault.log.treeHead().size;
    for (let turn = 0; turn < 3; turn += 1)
      expect(await send(vault, evil, [claims.file(evil, `/d/${turn}`)])).toMatchObject({
        type: 'refused',
        code: 'limit',
      });
    // Not the event of a fork either, which would come before the first commit of another history.
    const copy = evil.copy();
    copy.fork();
    const many = Array.from({ length: 4 }, (_, at) => claims.file(copy, `/f/${at}`));
    expect(await send(vault, copy, many)).toMatchObject({ type: 'refused', code: 'limit' });
    expect(vault.log.treeHead().size).toBe(before);
    // What is given up makes room again.
    expect(await send(vault, evil, [evil.gone('/d/most')])).toMatchObject({ type: 'accepted' });
    expect(await send(vault, evil, [claims.file(evil, '/d/again')])).toMatchObject({
      type: 'accepted',
    });
    await honest.back(vault, [honest.file('/d/real', [content('real')])]);
    expect(vault.register.agentById(evil.agentId)).toMatchObject({
      bytes: Number.MAX_SAFE_INTEGER,
      files: 1,
    });
    await store.close();
    expect(await findingsOf(dir, world)).toEqual([]);
  });

  test('I-C13 that a log holds from before there was a bound stop no start, no fsck and no agent', async () => {
    const world = new StoreWorld('beyond', { blind: true });
    const { dir, store, vault, vaultDir } = await opened(world, noBound);
    const [evil, honest] = [await world.agent(vault, 'evil'), await world.agent(vault, 'honest')];
    const claims = new Claims(evil);
    await vault.intake.putChunks(evil.lineageId, claims.items);
    // 2^64 and more, in two commits.
    for (const part of [0, 1]) {
      const drafts = Array.from({ length: 2048 }, (_, at) =>
        claims.file(evil, `/${part}/${at}`, true),
      );
      expect(await send(vault, evil, drafts)).toMatchObject({ type: 'accepted' });
    }
    expect(vault.figures.stats().rawBytes).toBe(2 ** 64);
    await honest.back(vault, [honest.file('/d/a', [content('a')])]);
    await store.close();
    rmSync(join(vaultDir, 'catalog'), { recursive: true });
    const again = await openCollector(dir, world.ports());
    const [reopened] = again.vaults();
    if (reopened === undefined) throw new Error('no vault');
    await honest.back(reopened, [honest.file('/d/b', [content('b')])]);
    // Whoever is above the bound already goes on with what makes it less.
    expect(await send(reopened, evil, [claims.file(evil, '/more')])).toMatchObject({
      type: 'refused',
      code: 'limit',
    });
    await again.close();
    expect(await findingsOf(dir, world)).toEqual([]);
  });

  test('I-C13 at the limits, in any order, with forks, merges and restarts: no accepted commit makes applying, replay, fsck or close fail', async () => {
    const random = seededSource(seed);
    const world = new StoreWorld(`limits ${seed}`, { blind: true });
    const ports = world.ports({
      limits: random.chance(0.5) ? noBound : storeLimits,
      packBytes: 64 * 1024,
    });
    const first = await opened(world, ports.limits);
    const { dir, vaultDir } = first;
    let store = first.store;
    let vault: VaultStore = first.vault;
    const agents = [await world.agent(vault, 'one'), await world.agent(vault, 'two')];
    for (let turn = 0; turn < 60; turn += 1) {
      const agent = agents[random.below(agents.length)];
      if (agent === undefined) continue;
      const claims = new Claims(agent);
      await vault.intake.putChunks(agent.lineageId, claims.items);
      const path = () => `/d/${random.below(6)}`;
      const one = (of: readonly number[]): number => of[random.below(of.length)] ?? 0;
      const times = [0, 1, world.clock.now + 1, 2 ** 32, 2 ** 48 - 1, 2 ** 48, MAX_TIME_MS];
      const counts = [1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
      const results = random.chance(0.3)
        ? [
            agent.result(`/r/${random.below(3)}`, [], {
              ...{ members: one(counts), size: one([0, ...counts]), capturedAtMs: one(times) },
            }),
          ]
        : [];
      const kinds = [
        () => agent.gone(path(), one(times)),
        () => ({ ...agent.directory(path()), capturedAtMs: one(times) }),
        () => agent.gone(path()),
        () => claims.file(agent, path()),
        () => claims.file(agent, path(), true),
        () => agent.directory(path()),
      ];
      const drafts = Array.from({ length: 1 + random.below(8) }, () =>
        (kinds[random.below(kinds.length)] ?? (() => agent.gone(path())))(),
      );
      if (agent.sequence > 0 && random.chance(0.1)) agent.fork();
      const outcome = await send(vault, agent, drafts, results);
      expect(['accepted', 'refused']).toContain(outcome.type);
      if (random.chance(0.2)) {
        const held = vault.register
          .agentById(agent.agentId)
          ?.histories.find(({ state }) => state === 'held');
        if (held !== undefined)
          await vault.events.append({
            type: 'forkDecided',
            timeMs: 1,
            agentId: agent.agentId,
            branchId: held.branchId,
            decision: 'restored',
            name: '',
          });
      }
      if (random.chance(0.1)) {
        await store.close();
        store = await openCollector(dir, ports);
        vault = store.vaults()[0] ?? vault;
      }
    }
    await store.close();
    expect(await findingsOf(dir, world)).toEqual([]);
    const rows = await catalogRows(vaultDir);
    rmSync(join(vaultDir, 'catalog'), { recursive: true });
    await (await openCollector(dir, ports)).close();
    expect(await catalogRows(vaultDir)).toEqual(rows);
  });

  test('numbers that a row cannot hold are a known error, and sums are exact to 16 bytes', () => {
    for (const sum of [0n, 1n, (1n << 53n) + 1n, (1n << 64n) - 1n, 1n << 64n, (1n << 128n) - 1n])
      expect(new RowReader(new RowWriter().u128(sum).finish()).u128()).toBe(sum);
    for (const sum of [-1n, 1n << 128n])
      expect(() => new RowWriter().u128(sum)).toThrow(
        expect.objectContaining({ code: 'STORE_UNFIT' }),
      );
    for (const number of [0, 2 ** 53 - 1, 2 ** 53])
      expect(new RowReader(new RowWriter().u64(number).finish()).u64()).toBe(number);
    for (const number of [-1, 2 ** 54, 2 ** 64, 0.5, Number.NaN])
      expect(() => new RowWriter().u64(number)).toThrow(
        expect.objectContaining({ code: 'STORE_UNFIT' }),
      );
  });
});

describe('a record that cannot be applied', () => {
  test('I-C13 is named and passed over by a start and by fsck, and everything behind it is there', async () => {
    const world = new StoreWorld('unfit', { blind: true });
    const { dir, store, vault, vaultDir } = await opened(world);
    const agent = await world.agent(vault, 'hplc');
    await agent.back(vault, [agent.file('/d/a', [content('a')])]);
    await store.close();
    // A commit of an agent that nobody expected, as a fault of ours might have taken it in.
    const stranger = new StoreWorld('unfit', { blind: true });
    const ghost = Object.assign(agent.copy(), {
      agentId: stranger.random.bytes(16),
      sequence: 0,
      treeHead: undefined,
    });
    const core = await openCore(diskMedia(vaultDir, world.descriptor.vaultId, world.ports()));
    const made = ghost.build([ghost.gone('/d/b')], {
      sequence: 1,
      predecessor: new Uint8Array(32) as typeof agent.headHash,
    });
    const { agentId } = made.header;
    const leaf = commitLeaf(agentId, made.hash, core.leafTime(world.clock.now), undefined);
    await appendStranger(core, made, leaf, world);
    await core.flush();
    await core.close();
    rmSync(join(vaultDir, 'catalog'), { recursive: true });

    const passed: string[] = [];
    const again = await openCollector(
      dir,
      world.ports({ onUnfit: ({ where, why }) => passed.push(`${where}: ${why}`) }),
    );
    expect(passed).toEqual([
      expect.stringMatching(
        /00000001\.history, byte \d+: a commit of an agent that never enrolled$/,
      ),
    ]);
    const [reopened] = again.vaults();
    if (reopened === undefined) throw new Error('no vault');
    await agent.back(reopened, [agent.file('/d/c', [content('c')])]);
    expect(reopened.register.agentById(agent.agentId)).toMatchObject({ files: 2 });
    await again.close();
    const found = await findingsOf(dir, world);
    expect(found).toContainEqual(expect.stringMatching(/^record-unfit: .*never enrolled/));
    expect(found.filter((text) => !/^(record-unfit|commit-invalid)/.test(text))).toEqual([]);
  });
});
