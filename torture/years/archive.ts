import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { initCollector, openCollector } from '../../collector/src/store/collector.ts';
import type { CollectorStore } from '../../collector/src/store/collector-store.ts';
import { fsckCollector } from '../../collector/src/store/fsck/fsck.ts';
import type { VaultStore } from '../../collector/src/store/vault-store.ts';
import { catalogRows } from '../../collector/testing/store/copies.ts';
import type { StoreWorld } from '../../collector/testing/store/world.ts';
import { MortalDisk } from './mortal-disk.ts';

/** Small, so that many packs are begun and rewritten. */
const PACK_BYTES = 2 * 1024 * 1024;
/** How many steps of a work may pass before the collector's process ends in it. */
const longestLives = [3, 12, 40, 150, 600] as const;

/** The real collector's store, in a process that ends now and then. */
export class Archive {
  readonly dir: string;
  readonly #world: StoreWorld;
  readonly #random: SeededRandom;
  #disk = new MortalDisk();
  #store: CollectorStore | undefined;
  /** What it did when it ended. */
  readonly crashes = new Map<string, number>();

  private constructor(dir: string, world: StoreWorld, random: SeededRandom) {
    this.dir = dir;
    this.#world = world;
    this.#random = random;
  }

  static async begin(root: string, world: StoreWorld, random: SeededRandom): Promise<Archive> {
    const archive = new Archive(join(root, 'collector'), world, random);
    const store = await initCollector(archive.dir, { name: 'freezer' }, archive.#ports());
    archive.#store = store;
    await store.addVault({
      descriptor: world.kit.descriptor,
      certificate: world.certificateFor(store.identity),
      catalogSecretKey: world.kit.catalogSecretKey,
    });
    return archive;
  }

  get vault(): VaultStore {
    const vault = this.#store?.vault(this.#world.descriptor.vaultId);
    if (vault === undefined) throw new Error('the vault is not open');
    return vault;
  }

  get vaultDir(): string {
    return join(this.dir, 'vaults', Buffer.from(this.#world.descriptor.vaultId).toString('hex'));
  }

  get crashed(): number {
    return [...this.crashes.values()].reduce((sum, count) => sum + count, 0);
  }

  /**
   * Does a work that may be begun again at any point, while the process ends in it with this
   * probability: until it has come to its end.
   */
  async risky<T>(
    what: string,
    probability: number,
    work: (vault: VaultStore) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const dies = this.#random.chance(probability);
      this.#disk.dieAfter(dies ? this.#random.below(this.#random.pick(longestLives)) : Infinity);
      try {
        const done = await work(this.vault);
        this.#disk.dieAfter(Infinity);
        if (!this.#disk.isDead) return done;
      } catch (error) {
        if (!this.#disk.isDead) throw error;
      }
      this.crashes.set(what, (this.crashes.get(what) ?? 0) + 1);
      await this.#again();
    }
  }

  /** The next process, on what the one before has left. */
  async #again(): Promise<void> {
    // What has ended closes nothing properly, whatever it says to that.
    await this.#store?.close().catch(() => undefined);
    await this.#disk.bury();
    await this.open();
  }

  async open(): Promise<void> {
    this.#disk = new MortalDisk();
    this.#store = await openCollector(this.dir, this.#ports());
    const [ailing] = this.#store.ailing();
    if (ailing !== undefined) throw ailing.error;
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  /** What fsck finds in the closed folder: nothing is expected. */
  async findings(): Promise<string[]> {
    await this.close();
    const found: string[] = [];
    await fsckCollector(this.dir, {
      ...this.#ports(),
      onFinding: ({ severity, code, what, where }) => {
        if (severity !== 'info') found.push(`fsck: ${code} ${what} (${where})`);
      },
    });
    await this.open();
    return found;
  }

  /** Whether a catalog that is made anew from the history is, row by row, the one there is. */
  async replayed(): Promise<string[]> {
    await this.close();
    const live = await catalogRows(this.vaultDir);
    await rm(join(this.vaultDir, 'catalog'), { recursive: true });
    await this.open();
    await this.close();
    const anew = await catalogRows(this.vaultDir);
    await this.open();
    const differs = live.filter((row, at) => row !== anew[at]).length;
    return live.length === anew.length && differs === 0
      ? []
      : [`the catalog has ${live.length} rows, a replay gives ${anew.length}; ${differs} differ`];
  }

  #ports() {
    return this.#world.ports({ files: this.#disk.disk, packBytes: PACK_BYTES });
  }
}
