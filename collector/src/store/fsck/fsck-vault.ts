import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import { LogTimes } from '@aliquot/shared/log/log-times';
import { ranges } from '../catalog/catalog-keys.ts';
import { correctionsIn } from '../catalog/corrections.ts';
import { openCatalog, removeCatalog } from '../catalog/derived-catalog.ts';
import { StoreError, type UnfitRecord } from '../errors.ts';
import type { Finding } from '../fsck-finding.ts';
import { checkHistory, type HistoryReport } from '../history/check-history.ts';
import { DiskHistory } from '../history/disk-history.ts';
import { compareHistory, type DurablePoint, historyStart } from '../history/history-log.ts';
import { checkPacks, type DamagedRow } from '../packs/check-packs.ts';
import { DiskPacks } from '../packs/disk-packs.ts';
import { followsCorrections } from '../vault/apply-clock.ts';
import { lostPacks, takeInPack } from '../vault/catch-up.ts';
import { VaultCore } from '../vault/core.ts';
import { durablePoint, knownHistory, knownPacks } from '../vault/core-load.ts';
import { readMark, removeMark } from '../vault/durable-mark.ts';
import { Endings } from '../vault/endings.ts';
import { followFiles } from '../vault/history-files.ts';
import { HoldBook } from '../vault/hold-book.ts';
import { diskMedia, PACKS_BACK, type VaultMedia } from '../vault/media.ts';
import { openCore, reliesOnPacks } from '../vault/open-core.ts';
import { PurgeBook } from '../vault/purge-book.ts';
import { replayInto } from '../vault/replay.ts';
import type { VaultIdentity } from '../vault/vault-parts.ts';
import type { CheckOptions } from './check-options.ts';
import { LogAudit } from './fsck-audit.ts';
import {
  catalogToAsk,
  catalogToCompare,
  compareCatalogs,
  type OwnCatalog,
  tellDifferences,
} from './fsck-catalog.ts';
import { hasOther, tellDamage } from './fsck-damage.ts';
import { checkEndings } from './fsck-endings.ts';
import { checkHolds } from './fsck-holds.ts';
import { checkPurges } from './fsck-purges.ts';
import { tellReserve } from './fsck-reserve.ts';
import { tellHalfRewritten, tellSounderFormer } from './fsck-rewriting.ts';
import { scratchBeside } from './fsck-scratch.ts';

export interface VaultCheckOptions extends CheckOptions {
  readonly hasher: Hasher;
  /** A living process uses the folder. */
  readonly live: boolean;
  readonly tell: (finding: Finding) => void;
}

/** How far history and packs are known to have been durable. */
interface Known {
  readonly history: DurablePoint;
  readonly packs: ReadonlyMap<number, number>;
}

/** Proves one vault: its packs side by side, its history by itself, then what follows from both. */
export class VaultCheck {
  readonly counts = { packs: 0, bytes: 0, items: 0, commits: 0, repaired: 0 };
  readonly #dir: string;
  readonly #own: OwnCatalog;
  readonly #vault: VaultIdentity;
  readonly #options: VaultCheckOptions;
  readonly #media: VaultMedia;
  /** Whether the history says that packs hold something. */
  #reliesOnPacks = false;
  #endingsBroken = false;
  #history: DiskHistory | undefined;
  #holdsBroken = false;
  #purgesBroken = false;
  /** Where history or packs end in a torn record. */
  readonly #torn: string[] = [];

  constructor(dir: string, vault: VaultIdentity, options: VaultCheckOptions) {
    this.#dir = dir;
    this.#vault = vault;
    this.#options = options;
    const { files, live } = options;
    const { vaultId } = vault.descriptor;
    this.#own = { files, live, vaultId, dir: join(dir, 'catalog') };
    this.#media = diskMedia(dir, vaultId, options);
  }

  async run(): Promise<void> {
    const known = await this.#known();
    const checks = {
      ...this.#options,
      vaultId: this.#vault.descriptor.vaultId,
      tell: this.#tell,
    };
    await tellReserve(this.#media.reserve, this.#tell);
    const damaged = await this.#packs(known, checks);
    const history = await checkHistory(join(this.#dir, 'history'), {
      ...checks,
      durable: known.history,
    });
    this.counts.bytes += history.bytes;
    await tellSounderFormer(this.#options.files, join(this.#dir, 'history'), this.#tell);
    // Behind a broken commit or event nothing can be judged: its finding stands for what follows.
    if (history.broken) return;
    const differs = await this.#follows(history, damaged);
    const gone = this.counts.packs === 0 && (known.packs.size > 0 || this.#reliesOnPacks);
    if (gone) this.#tellPacksGone();
    if (this.#options.repair !== true || (gone && this.#options.packsLost !== true)) return;
    if (gone) await this.#beginPacks(known);
    await this.#repair({ rebuild: differs || history.endLost, endLost: history.endLost });
  }

  #tellPacksGone(): void {
    this.#tell({
      code: 'packs-gone',
      severity: 'error',
      what: 'the folder is there and empty, and the history relies on packs',
      where: join(this.#dir, 'packs'),
      remedy: PACKS_BACK,
    });
  }

  /** An empty pack, with a number that none had: what is stored from now on goes there. */
  async #beginPacks({ packs }: Known): Promise<void> {
    const durable = [...packs].map(([pack, syncedBytes]) => ({ pack, syncedBytes }));
    const dir = join(this.#dir, 'packs');
    const begun = await DiskPacks.open(dir, this.#vault.descriptor.vaultId, this.#options, {
      durable: durable.length > 0 ? durable : [{ pack: 1, syncedBytes: 0 }],
    });
    await begun.close();
    this.#repaired('the vault goes on without its packs', dir);
  }

  /** The files in force, as they were read. */
  readonly #nameOf: VaultMedia['nameOf'] = (what) =>
    'pack' in what || this.#history === undefined
      ? this.#media.nameOf(what)
      : this.#history.nameOf(what);

  readonly #tell = (finding: Finding): void => {
    if (finding.code === 'torn-tail') this.#torn.push(finding.where);
    this.#options.tell(finding);
  };

  async #known(): Promise<Known> {
    const mark = await readMark(this.#options.files, this.#dir);
    const packs = new Map<number, number>();
    let history: DurablePoint = mark?.history ?? historyStart;
    const catalog = await catalogToAsk(this.#own);
    try {
      if (catalog !== undefined) {
        for (const [pack, bytes] of await knownPacks(catalog)) packs.set(pack, bytes);
        const point = await durablePoint(catalog);
        if (compareHistory(point, history) > 0) history = point;
      }
    } finally {
      await catalog?.close();
    }
    for (const { pack, syncedBytes } of mark?.packs ?? [])
      packs.set(pack, Math.max(syncedBytes, packs.get(pack) ?? 0));
    return { history, packs };
  }

  async #packs(
    known: Known,
    checks: Pick<
      Parameters<typeof checkPacks>[1],
      'vaultId' | 'files' | 'hasher' | 'live' | 'tell'
    >,
  ): Promise<DamagedRow[]> {
    const durable = [...known.packs].map(([pack, syncedBytes]) => ({ pack, syncedBytes }));
    const packs = await DiskPacks.inspect(join(this.#dir, 'packs'), checks.vaultId, checks);
    const total = packs.bytes;
    await packs.close();
    let done = 0;
    const reports = await checkPacks(join(this.#dir, 'packs'), {
      ...checks,
      durable,
      onPack: ({ bytes }) => {
        done += bytes;
        this.#options.onProgress?.(done, total);
      },
    });
    for (const { bytes, items } of reports) {
      this.counts.packs += 1;
      this.counts.bytes += bytes;
      this.counts.items += items;
    }
    return reports.flatMap(({ damaged }) => damaged);
  }

  /**
   * Replays the history, and takes in the packs, into a catalog of its own, proving each step; true
   * when the real catalog is not the same.
   */
  async #follows(
    { end, endLost }: HistoryReport,
    damaged: readonly DamagedRow[],
  ): Promise<boolean> {
    const scratch = await scratchBeside(this.#dir, this.#options.live);
    const { vaultId } = this.#vault.descriptor;
    const opened: { close(): Promise<void> }[] = [];
    try {
      const history = await DiskHistory.inspect(
        join(this.#dir, 'history'),
        vaultId,
        this.#options,
        end,
      );
      opened.push(history);
      this.#history = history;
      this.#reliesOnPacks = await reliesOnPacks({}, history);
      const packs = await DiskPacks.inspect(join(this.#dir, 'packs'), vaultId, this.#options);
      opened.push(packs);
      const catalog = await openCatalog(this.#options.files, scratch, vaultId);
      opened.push(catalog);
      await followFiles(history, catalog);
      const core = await VaultCore.inspect(history, packs, catalog);
      return await this.#judge(core, damaged, { endLost, empty: end.file === 0 });
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_CORRUPT') throw error;
      this.#tell({
        code: 'receipt-invalid',
        severity: 'error',
        what: error.message,
        where: this.#dir,
        remedy: 'put history and packs back from a copy of the collector',
      });
      return false;
    } finally {
      for (const one of opened.toReversed()) await one.close();
      await rm(scratch, { recursive: true, force: true });
    }
  }

  async #judge(
    core: VaultCore,
    damaged: readonly DamagedRow[],
    { endLost, empty }: { readonly endLost: boolean; readonly empty: boolean },
  ): Promise<boolean> {
    // A vault that was just added, and whose first start was cut short: nothing is in it yet.
    const real = empty ? undefined : await catalogToCompare(this.#own, this.#tell);
    const audit = new LogAudit(this.#vault, this.#tell);
    const options = { audit, onUnfit: this.#unfit, nameOf: this.#nameOf };
    let differences: readonly string[] = [];
    try {
      if (real !== undefined && real !== 'broken') {
        await tellHalfRewritten(this.#options.files, join(this.#dir, 'history'), {
          ...{ history: core.history, catalog: real, tell: this.#tell },
        });
        const [until, known] = [await knownHistory(real), await knownPacks(real)];
        core.registry.times = new LogTimes(await correctionsIn(real, ranges.followed));
        await this.#takeIn(core, damaged, (pack) => known.get(pack) ?? 0);
        const met = await replayInto(core, historyStart, { ...options, until });
        await core.catalog.flush();
        const { short, foreign } = await lostPacks(core.packs, known);
        const lost = new Set([...short, ...foreign]);
        differences = met
          ? await compareCatalogs(core.catalog, real, lost)
          : [
              `it stands at file ${until.file} of the history, byte ${until.offset}, where no record ends`,
            ];
        if (met && !followsCorrections(core.registry))
          differences = [
            ...differences,
            'its times do not follow the corrections of the clock that the log has',
          ];
        // told already, with what it means
        if (!endLost) tellDifferences(this.#own, differences, this.#tell);
        await this.#takeIn(core, damaged, () => Number.POSITIVE_INFINITY);
        if (met) await replayInto(core, until, options);
      } else {
        await this.#takeIn(core, damaged, () => Number.POSITIVE_INFINITY);
        await replayInto(core, historyStart, options);
      }
    } finally {
      if (real !== 'broken') await real?.close();
    }
    this.counts.commits += audit.commits;
    const { descriptor } = this.#vault;
    this.#endingsBroken = await checkEndings(core, this.#media.ended, descriptor, this.#tell);
    this.#holdsBroken = await checkHolds(core, this.#media.holds, descriptor, this.#tell);
    this.#purgesBroken = await checkPurges(core, this.#media.purges, descriptor, this.#tell);
    await audit.leaveOutSwept(core);
    const damage = { damaged, missing: audit.missing, holes: audit.holes };
    const packsDir = join(this.#dir, 'packs');
    await tellDamage(core, damage, { tell: this.#tell, nameOf: this.#nameOf, packsDir });
    return real === 'broken' || differences.length > 0;
  }

  readonly #unfit = ({ where, why }: UnfitRecord): void => {
    this.#tell({
      code: 'record-unfit',
      severity: 'error',
      what: `a record cannot be applied, so it is passed over: ${why}`,
      where,
      remedy:
        'nothing else is concerned, and it cannot be mended; back up again what this agent has, or revoke it',
    });
  };

  /** Takes in what packs hold up to a place in each. A pack that cannot be read was told. */
  async #takeIn(
    core: VaultCore,
    damaged: readonly DamagedRow[],
    to: (pack: number) => number,
  ): Promise<void> {
    for (const { pack, bytes } of core.packs.packs()) {
      if (to(pack) <= (core.items.known.get(pack) ?? 0) || core.items.known.get(pack) === bytes)
        continue;
      await takeInPack(core, { pack, bytes }, to(pack)).catch((error: unknown) => {
        if (!(error instanceof StoreError) || error.code !== 'STORE_CORRUPT') throw error;
      });
    }
    for (const { id } of damaged)
      if (!(await hasOther(core, id, damaged))) core.items.setDamaged(id);
  }

  /**
   * What a start does by itself (cut the torn tail, catch up), and a new catalog where the old one
   * was wrong.
   */
  async #repair({
    rebuild,
    endLost,
  }: {
    readonly rebuild: boolean;
    readonly endLost: boolean;
  }): Promise<void> {
    const { files } = this.#options;
    if (endLost) await removeMark(files, this.#dir);
    if (rebuild) await removeCatalog(files, this.#own.dir);
    const core = await openCore(this.#media);
    try {
      if (this.#endingsBroken) await this.#keepEndings(core);
      if (this.#holdsBroken) await this.#keepHolds(core);
      if (this.#purgesBroken) await this.#keepPurges(core);
    } finally {
      await core.close();
    }
    for (const where of this.#torn)
      this.#repaired('the bytes that are no complete record were cut off', where);
    if (rebuild) this.#repaired('the catalog was built anew from history and packs', this.#own.dir);
  }

  async #keepEndings(core: VaultCore): Promise<void> {
    const { ended } = this.#media;
    await (await Endings.open(ended, this.#vault.descriptor)).keep(core);
    this.#repaired('who ended was written down again from the history', ended.path);
  }

  async #keepHolds({ registry }: VaultCore): Promise<void> {
    const { holds } = this.#media;
    await (await HoldBook.open(holds, this.#vault.descriptor)).keep(registry);
    this.#repaired('the holds in force were written down again from the history', holds.path);
  }

  async #keepPurges(core: VaultCore): Promise<void> {
    const { purges } = this.#media;
    await (await PurgeBook.open(purges, this.#vault.descriptor)).keep(core);
    this.#repaired('the approved purges were written down again from the history', purges.path);
  }

  #repaired(what: string, where: string): void {
    this.counts.repaired += 1;
    this.#tell({ code: 'repaired', severity: 'info', what, where, remedy: 'nothing to do' });
  }
}
