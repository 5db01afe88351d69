import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { type ChunkId, decodeSlab, pieceOf } from '@aliquot/proto';
import { type Hasher, hereHasher } from '@aliquot/shared/hashing/hasher';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, onTestFinished, test } from 'vitest';
import { catalogRows } from '../../testing/store/copies.ts';
import { heldBytes } from '../../testing/store/read-one.ts';
import { content, StoreWorld, type WorldAgent, type WorldFile } from '../../testing/store/world.ts';
import { VaultCheck } from './fsck/fsck-vault.ts';
import { StoredVault } from './stored-vault.ts';

const names = ['/d/a', '/d/b', '/d/c', '/d/d'];

/** A vault with a slab of four small files, of which the first two were replaced and dropped. */
class Lab {
  readonly world = new StoreWorld('thin', { blind: true });
  readonly dir = temporaryFolder();
  store!: StoredVault;
  agent!: WorldAgent;
  files: WorldFile[] = [];
  /** Called before something is hashed, as rewriting does before it copies and reads back. */
  onHash: () => Promise<void> = async () => undefined;

  static async begin(): Promise<Lab> {
    const lab = new Lab();
    await lab.open();
    onTestFinished(() => lab.store.close());
    await lab.store.events.append(lab.world.vaultAdded());
    lab.agent = await lab.world.agent(lab.store, 'hplc-1');
    lab.files = lab.agent.small(
      Object.fromEntries(names.map((name) => [name, content(name, 3000)])),
    );
    const { leafIndex } = await lab.back(lab.agent, ...lab.files);
    const newer = Object.fromEntries(names.slice(0, 2).map((name) => [name, content(`${name} 2`)]));
    await lab.back(lab.agent, ...lab.agent.small(newer));
    const leaves = [{ leafIndex, slots: Uint8Array.of(3) }];
    const { lineageId: branchId } = lab.agent;
    expect(await lab.store.sweep.drop({ run: 1, branchId, leaves })).toBe(2);
    return lab;
  }

  async open(): Promise<void> {
    const hasher: Hasher = {
      hash: async (bytes, spans) => {
        await this.onHash();
        return hereHasher.hash(bytes, spans);
      },
      hashMany: async (runs) => {
        await this.onHash();
        return hereHasher.hashMany(runs);
      },
    };
    const ports = { ...this.world.ports(), hasher };
    this.store = await StoredVault.inFolder(this.dir, this.world.identity, ports);
  }

  get slab(): ChunkId {
    const [item] = this.files[0]?.items ?? [];
    if (item === undefined) throw new Error('no slab');
    return item.id;
  }

  async back(by: WorldAgent, ...files: Parameters<WorldAgent['back']>[1]) {
    this.world.clock.now += 1000;
    return by.back(this.store, files);
  }

  async announce(): Promise<void> {
    const { lineageId, agentId, chainId } = this.agent;
    const epoch = await this.store.sweep.announceGcEpoch(lineageId, this.world.clock.now);
    this.store.sweep.gcLearned(agentId, chainId, epoch);
  }

  async sweep(): Promise<void> {
    const outcome = await this.store.sweep.sweep(this.agent.lineageId);
    expect(outcome).toMatchObject({ type: 'swept' });
  }

  async rewrite(): Promise<void> {
    const report = await this.store.data.rewrite({ all: true });
    expect(report).toMatchObject({ isDone: true, kept: [] });
  }

  /** What fsck finds. */
  async findings(): Promise<string[]> {
    const found: string[] = [];
    const check = new VaultCheck(this.dir, this.world.identity, {
      ...{ ...this.world.ports(), hasher: hereHasher, live: false },
      tell: ({ code, what }) => void found.push(`${code}: ${what}`),
      onFinding: () => undefined,
    });
    await check.run();
    return found;
  }

  /** Which pieces of the slab are there. */
  async pieces(): Promise<boolean[]> {
    const slab = decodeSlab(await heldBytes(this.store, this.slab));
    return names.map((_, at) => pieceOf(slab, at).sealed !== undefined);
  }

  async has(by = this.agent): Promise<boolean> {
    const [answer] = await this.store.intake.has(by.lineageId, [this.slab]);
    return answer === true;
  }

  /** Commits a version that is a piece of the slab, which nothing is sent for. */
  async commit(...files: readonly WorldFile[]): Promise<string> {
    const { agent, world, store } = this;
    world.clock.now += 1000;
    const { bytes } = agent.build(files.map(({ draft }) => draft));
    return (await store.intake.commit(agent.agentId, bytes, world.clock.now)).type;
  }
}

const wholePieces = [true, true, true, true];
const livePieces = [false, false, true, true];

describe('I-C32 a slab', () => {
  test('loses pieces that no version names when its pack is rewritten, and is missing for who would take it for whole', async () => {
    const lab = await Lab.begin();
    await lab.announce();
    await lab.sweep();
    expect(await lab.pieces()).toEqual(wholePieces);
    const before = (await lab.store.data.space()).bytes;
    await lab.rewrite();
    expect(before - (await lab.store.data.space()).bytes).toBeGreaterThan(5000);
    expect(await lab.pieces()).toEqual(livePieces);
    expect(await lab.has()).toBe(false);
    const [a, , c] = lab.files as [WorldFile, WorldFile, WorldFile];
    expect(await lab.commit(a)).toBe('missing');
    expect(await lab.commit(c)).toBe('accepted');
    await lab.store.close();
    expect(await lab.findings()).toEqual([]);
    const live = await catalogRows(lab.dir);
    rmSync(join(lab.dir, 'catalog'), { recursive: true });
    await lab.open();
    await lab.store.close();
    expect(await catalogRows(lab.dir)).toEqual(live);
    await lab.open();
    expect([await lab.has(), await lab.pieces()]).toEqual([false, livePieces]);
    // Sent again it is whole, and stays so.
    await lab.back(lab.agent, a);
    expect([await lab.has(), await lab.pieces()]).toEqual([true, wholePieces]);
  });

  test('stays whole where an agent heard that it is here since the announcement, or until its pack goes', async () => {
    for (const when of ['announced', 'swept'] as const) {
      const lab = await Lab.begin();
      await lab.announce();
      if (when === 'announced') expect(await lab.has()).toBe(true);
      await lab.sweep();
      if (when === 'swept') expect(await lab.has()).toBe(true);
      await lab.rewrite();
      expect([when, await lab.pieces()]).toEqual([when, wholePieces]);
      const [a] = lab.files as [WorldFile];
      expect(await lab.commit(a)).toBe('accepted');
    }
  });

  test('stays whole where a version of it was committed, or somebody has sent it, since the sweep', async () => {
    const committed = await Lab.begin();
    await committed.announce();
    await committed.sweep();
    const [a] = committed.files as [WorldFile];
    expect(await committed.commit(a)).toBe('accepted');
    await committed.rewrite();
    expect(await committed.pieces()).toEqual(wholePieces);

    const sent = await Lab.begin();
    await sent.announce();
    await sent.sweep();
    const other = await sent.world.agent(sent.store, 'ms-2');
    await sent.store.intake.putChunks(other.lineageId, sent.files[0]?.items ?? []);
    await sent.rewrite();
    expect(await sent.pieces()).toEqual(wholePieces);
    expect(await sent.has(other)).toBe(true);
  });

  test('is not thinned for one lineage where another has it too, nor after a start', async () => {
    const shared = await Lab.begin();
    const other = await shared.world.agent(shared.store, 'ms-2');
    await shared.back(other, ...shared.files);
    await shared.announce();
    await shared.sweep();
    await shared.rewrite();
    expect(await shared.pieces()).toEqual(wholePieces);

    const started = await Lab.begin();
    await started.announce();
    await started.sweep();
    await started.store.close();
    await started.open();
    await started.rewrite();
    expect(await started.pieces()).toEqual(wholePieces);
  });

  test('is whole for whoever hears that it is here, at whatever moment of the rewriting he asks', async () => {
    const answers: boolean[] = [];
    for (const turns of [0, 1, 2, 3, 4, 6, 9, 13, 18, 24, 32, 'reading back'] as const) {
      const lab = await Lab.begin();
      await lab.announce();
      await lab.sweep();
      let asked: Promise<boolean> | undefined;
      lab.onHash = async () => {
        if (turns === 'reading back') asked ??= lab.has();
      };
      const rewriting = lab.rewrite();
      for (let at = 0; at < Number(turns); at += 1) await turn();
      if (turns !== 'reading back') asked = lab.has();
      await rewriting;
      lab.onHash = async () => undefined;
      const answer = (await asked) === true;
      answers.push(answer);
      expect([turns, await lab.pieces()]).toEqual([turns, answer ? wholePieces : livePieces]);
      const [a] = lab.files as [WorldFile];
      expect(await lab.commit(a)).toBe(answer ? 'accepted' : 'missing');
    }
    expect(answers).toContain(true);
  });
});
