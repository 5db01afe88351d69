import { join } from 'node:path';
import { asChunkId, asVaultId } from '@aliquot/proto';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { hereHasher } from '@aliquot/shared/hashing/hasher';
import type { CrashScenario, JudgedState, Life, LifeStep } from '@aliquot/shared/testing/enumerate';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { StoreError } from '../../src/store/errors.ts';
import type { Finding } from '../../src/store/fsck-finding.ts';
import { checkHistory } from '../../src/store/history/check-history.ts';
import { DiskHistory } from '../../src/store/history/disk-history.ts';
import { type HistoryPoint, historyStart } from '../../src/store/history/history-log.ts';
import { checkPacks } from '../../src/store/packs/check-packs.ts';
import { DiskPacks } from '../../src/store/packs/disk-packs.ts';
import type { PackExtent, PackItem, Place, PlacedItem } from '../../src/store/packs/pack-store.ts';

const vaultId = asVaultId(new Uint8Array(16).fill(7));
/** So small that a few items fill a pack, and a few records a file. */
const itemSizes = { packBytes: 6000, fileBytes: 500 };

/** What is known to be durable, as a catalog's checkpoint and a store that failed say it. */
interface Known {
  readonly packs: readonly PackExtent[];
  readonly history: HistoryPoint;
}

/** What a receipt would have been given for. */
interface Kept {
  readonly round: string;
  readonly items: readonly PlacedItem[];
}

type Opener = (known: Known, discard: boolean) => Promise<[DiskPacks, DiskHistory]>;

/** Both stores of a vault, opened again after a failed write as the keeper does it. */
class Stores {
  readonly #open: Opener;
  packs: DiskPacks;
  history: DiskHistory;

  private constructor(open: Opener, [packs, history]: [DiskPacks, DiskHistory]) {
    this.#open = open;
    this.packs = packs;
    this.history = history;
  }

  static async open(
    dir: string,
    files: FilePort,
    random: SeededRandom,
    known: Known,
  ): Promise<Stores> {
    const ports = { files, random, ...itemSizes };
    const open: Opener = async ({ packs: durable, history: end }, discard) => {
      const packs = await DiskPacks.open(join(dir, 'packs'), vaultId, ports, { durable, discard });
      try {
        const opening = { durable: end, discard };
        return [packs, await DiskHistory.open(join(dir, 'history'), vaultId, ports, opening)];
      } catch (error) {
        await packs.close();
        throw error;
      }
    };
    return new Stores(open, await open(known, false));
  }

  get known(): Known {
    return { packs: this.packs.packs(), history: this.history.synced };
  }

  /** After `STORE_FAILED` everything that was not synced is dropped. */
  async orAnew<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_FAILED') throw error;
      const { known } = this;
      await this.close();
      [this.packs, this.history] = await this.#open(known, true);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.packs.close();
    await this.history.close();
  }
}

/**
 * Packs and history under every fault: rounds of items that are put, synced, and named by a synced
 * record (I-C1), packs that are removed, the newest too.
 */
class MediaLife implements Life<Stores> {
  readonly steps: LifeStep<Stores>[] = [];
  readonly #dir: string;
  readonly #random: SeededRandom;
  readonly #kept: Kept[] = [];
  readonly #bytes = new Map<string, PackItem>();
  /** Packs whose removal was begun: what lay there is promised no more. */
  readonly #going = new Set<number>();
  readonly #gone = new Set<number>();
  #known: Known = { packs: [], history: historyStart };

  constructor(dir: string, random: SeededRandom) {
    this.#dir = dir;
    this.#random = random;
  }

  open(files: FilePort): Promise<Stores> {
    return Stores.open(this.#dir, files, this.#random, this.#known);
  }

  close(stores: Stores): Promise<void> {
    return stores.close();
  }

  /** `flush`: the catalog is written behind it, so that a start knows of it. */
  round(round: string, sizes: readonly number[], flush: boolean): this {
    const items = sizes.map((size): PackItem => {
      const bytes = this.#random.bytes(size);
      return { id: asChunkId(sha256(bytes)), kind: 'chunk', bytes };
    });
    for (const item of items) this.#bytes.set(hex(item.id), item);
    return this.#step(round, async ({ packs, history }) => {
      const places: Place[] = [];
      for (const item of items) places.push(...(await packs.put([item])));
      const placed = items.map(({ id }, at) => ({ id, place: places[at] as Place }));
      await packs.sync();
      const { places: told } = await history.placesOf([round.length]);
      const { places: stood } = await history.append([
        { kind: 'event', payload: Buffer.from(round) },
      ]);
      expectThat(told[0]?.offset === stood[0]?.offset, 'a record stands elsewhere than was told');
      await history.sync();
      this.#kept.push({ round, items: placed });
      if (flush) this.#known = { packs: packs.packs(), history: history.synced };
    });
  }

  remove(name: string, which: (packs: readonly PackExtent[]) => PackExtent | undefined): this {
    return this.#step(name, async ({ packs }) => {
      const pack = which(packs.packs())?.pack;
      if (pack === undefined) return;
      this.#going.add(pack);
      await packs.remove(pack);
      this.#gone.add(pack);
    });
  }

  async judge(files: FilePort, { whole, damaged }: JudgedState): Promise<void> {
    const packs = this.#known.packs.filter(({ pack }) => !this.#going.has(pack));
    if (!damaged) await this.#prove(files, packs);
    const stores = await this.open(files);
    try {
      const rounds = new Set<string>();
      for await (const { payload } of stores.history.replay(historyStart))
        rounds.add(Buffer.from(payload).toString());
      for (const { round, items } of this.#kept) {
        expectThat(rounds.has(round), `I-C1: ${round} is no longer in the history`);
        await this.#items(stores.packs, items);
      }
      if (whole) expectThat(this.#kept.length > 5, 'rounds are missing');
      for (const { pack } of stores.packs.packs())
        expectThat(!this.#gone.has(pack), `D2: pack ${pack} came back`);
      const [place] = await stores.packs.put([...this.#bytes.values()].slice(0, 1));
      expectThat(
        place !== undefined && !this.#going.has(place.pack),
        `I-C14: number ${place?.pack} was given twice`,
      );
    } finally {
      await stores.close();
    }
  }

  async #prove(files: FilePort, durable: readonly PackExtent[]): Promise<void> {
    const found: string[] = [];
    const tell = ({ severity, code, what, where }: Finding) => {
      if (severity !== 'info') found.push(`${code} ${what} (${where})`);
    };
    const checks = { files, hasher: hereHasher, live: false, vaultId, tell };
    if (!(await hasFolder(files, join(this.#dir, 'history')))) return;
    const reports = await checkPacks(join(this.#dir, 'packs'), { ...checks, durable });
    for (const { damaged } of reports) expectThat(damaged.length === 0, 'fsck: an item is damaged');
    await checkHistory(join(this.#dir, 'history'), { ...checks, durable: this.#known.history });
    expectThat(found.length === 0, `fsck: ${found.join('; ')}`);
  }

  async #items(packs: DiskPacks, items: readonly PlacedItem[]): Promise<void> {
    const held = items.filter(({ place }) => !this.#going.has(place.pack));
    let inRuns = 0;
    for await (const run of packs.readRuns(held))
      inRuns += run.type === 'run' ? run.items.length : 0;
    expectThat(inRuns === held.length, 'P1: an item does not come in a run');
    for (const { id, place } of held) {
      const { bytes } = await packs.read(id, place);
      const sent = this.#bytes.get(hex(id));
      expectThat(sent !== undefined && equalBytes(bytes, sent.bytes), 'P1: an item is another one');
      let named = false;
      for await (const rows of packs.rows(place.pack, place.offset))
        named ||= rows.some((row) => row.place.offset === place.offset && equalBytes(row.id, id));
      expectThat(named, 'P1: no row leads to an item');
    }
  }

  #step(name: string, run: (stores: Stores) => Promise<void>): this {
    this.steps.push({ name, run: (stores) => stores.orAnew(() => run(stores)) });
    return this;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

async function hasFolder(files: FilePort, path: string): Promise<boolean> {
  try {
    await files.stat(path);
    return true;
  } catch {
    return false;
  }
}

function expectThat(holds: boolean, says: string): void {
  if (!holds) throw new Error(says);
}

export const packsAndHistory: CrashScenario = {
  name: 'packs-and-history',
  about:
    'packs that are filled, closed and removed, and a history beside them, with every file call failing, cut short or the last: what a record names is read, no number is given twice, nothing removed comes back',
  proves: ['P1', 'P2'],
  begin: async (root, random) =>
    new MediaLife(join(root, 'vault'), random)
      .round('one', [2000], true)
      .round('two', [2000, 500], false)
      .round('three of more bytes than a pack has left', [3000, 2500], true)
      .remove('the first pack goes', (packs) => packs.at(0))
      .round('four', [100], false)
      .remove('the newest pack goes', (packs) => packs.at(-1))
      .round('five, and by its name as long as it takes to fill a file of the history', [100], true)
      .round('six', [4000, 4000], false)
      .round('seven', [10], true),
};
