import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import { isForeseen } from '@aliquot/shared/cli/unexpected';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { checkDataFolder } from '@aliquot/shared/durable/data-folder';
import { exists } from '@aliquot/shared/durable/durable';
import { FolderError } from '@aliquot/shared/durable/errors';
import { lockDirectory } from '@aliquot/shared/durable/lock';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import { HashPool } from '../hashing/hash-pool.ts';
import { Catalog, removeCatalog } from './catalog.ts';
import { readIdentity, readVault, vaultFolders } from './collector.ts';
import { START, VaultCore } from './core.ts';
import { readMark, removeMark } from './durable-mark.ts';
import { StoreError, type UnfitRecord } from './errors.ts';
import { LogAudit, tellDamagedVersions } from './fsck-audit.ts';
import { compareCatalogs } from './fsck-catalog.ts';
import type { CheckOptions, Finding, FsckSummary } from './fsck-finding.ts';
import { checkPack, type DamagedItem, damageFinding } from './fsck-packs.ts';
import { listPacks } from './journal-scan.ts';
import { packFileName } from './pack-source.ts';
import { comparePositions, furthest, type Position } from './position.ts';
import { PACK_HEADER_BYTES } from './record.ts';
import { replayInto } from './replay.ts';
import type { VaultIdentity } from './vault-parts.ts';

export type { CheckOptions, Finding, FsckSummary } from './fsck-finding.ts';

/**
 * Proves a collector's folder: every byte of every pack, every commit, event, receipt and the log,
 * every reference, and that the catalog is what the packs say. Writes nothing, unless `repair` asks
 * to cut a torn tail and rebuild a catalog; never removes what anybody stored. May run while a
 * collector uses the folder: it then reads up to the last complete record and leaves the catalog
 * out, and says so.
 *
 * Throws `FOLDER_…` when the folder is none of ours, and `FOLDER_IN_USE` for a repair of a folder
 * in use.
 */
export async function fsckCollector(dir: string, options: CheckOptions): Promise<FsckSummary> {
  await checkDataFolder(options.files, dir, 'aliquot-collector');
  const lock = await lockDirectory(options.files, dir, 'the data folder').catch(
    (error: unknown) => {
      if (
        !(error instanceof FolderError) ||
        error.code !== 'FOLDER_IN_USE' ||
        options.repair === true
      )
        throw error;
      return undefined;
    },
  );
  const hasher = new HashPool();
  try {
    return await new Fsck(dir, options, lock === undefined, hasher).run();
  } finally {
    await hasher.close();
    await lock?.release();
  }
}

class Fsck {
  readonly #dir: string;
  readonly #options: CheckOptions;
  readonly #live: boolean;
  readonly #hasher: Hasher;
  /** Where the vault that is being looked at ends in a torn record. */
  #torn: string | undefined;
  readonly #summary = {
    vaults: 0,
    packs: 0,
    bytes: 0,
    commits: 0,
    items: 0,
    faults: 0,
    repaired: 0,
  };

  constructor(dir: string, options: CheckOptions, live: boolean, hasher: Hasher) {
    this.#dir = dir;
    this.#hasher = hasher;
    this.#options = options;
    this.#live = live;
  }

  async run(): Promise<FsckSummary> {
    const identity = await this.#attempt(this.#dir, () =>
      readIdentity(this.#options.files, this.#dir),
    );
    if (identity === undefined) return this.#summary;
    for (const id of await vaultFolders(this.#options.files, this.#dir)) {
      const dir = join(this.#dir, 'vaults', id);
      try {
        await this.#vault(dir, identity.identity);
      } catch (error) {
        this.#stopped(dir, error);
      }
    }
    return this.#summary;
  }

  readonly #tell = (finding: Finding): void => {
    if (finding.code === 'torn-tail') this.#torn = finding.where;
    if (finding.severity !== 'info') this.#summary.faults += 1;
    this.#options.onFinding(finding);
  };

  /**
   * Whatever stops the check of a vault is what somebody wants to know of it, and keeps no other
   * vault from being looked at.
   */
  #stopped(where: string, error: unknown): void {
    const known = isForeseen(error);
    const says = error instanceof Error ? error.message : String(error);
    this.#tell({
      code: 'check-stopped',
      severity: 'error',
      what: `the check of this vault stopped: ${known ? says : `unexpected: ${error instanceof Error ? (error.stack ?? says) : says}`}`,
      where,
      remedy: known
        ? 'mend that, then run fsck again'
        : 'a fault of Aliquot: report it with these lines',
    });
  }

  async #attempt<T>(where: string, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#tell({
        code: 'folder',
        severity: 'error',
        what: error.message,
        where,
        remedy: 'put the named file back from a copy of the collector',
      });
      return undefined;
    }
  }

  async #vault(dir: string, identity: SigningKey): Promise<void> {
    this.#summary.vaults += 1;
    this.#torn = undefined;
    const vault = await this.#attempt(dir, () => readVault(this.#options.files, dir, identity));
    if (vault === undefined) return;
    let numbers: number[];
    try {
      numbers = await listPacks(this.#options.files, join(dir, 'packs'));
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#tell({
        code: 'pack-missing',
        severity: 'error',
        what: error.message,
        where: join(dir, 'packs'),
        remedy: 'put the missing pack back from a copy',
      });
      return;
    }
    const durable = await this.#durableEnd(dir);
    const loss = await this.#lostEnd(dir, numbers, durable);
    const { damaged, broken, end, unindexed } = await this.#packs(dir, vault, numbers, durable);
    if (loss === 'packs') return;
    // Behind a broken commit or event nothing can be judged: its finding stands for what follows.
    const catalogDiffers = broken
      ? false
      : await this.#history(dir, vault, damaged, { end, unindexed, endLost: loss === 'end' });
    if (this.#options.repair === true && !broken)
      await this.#repair(dir, vault, {
        rebuild: catalogDiffers || loss === 'end',
        endLost: loss === 'end',
        unindexed,
      });
  }

  /**
   * Up to where the journal was durable when the catalog was last written; `undefined` when that
   * cannot be told.
   */
  async #durableEnd(dir: string): Promise<Position | undefined> {
    if (this.#live) return undefined;
    const mark = await readMark(this.#options.files, dir);
    const path = join(dir, 'catalog');
    if (!(await exists(this.#options.files, path))) return mark;
    let catalog: Catalog | undefined;
    try {
      catalog = await Catalog.openExisting(this.#options.files, path);
      return furthest(catalog.durable, mark);
    } catch (error) {
      if (!isForeseen(error)) throw error;
      return mark; // the catalog's trouble is told when it is compared
    } finally {
      await catalog?.close();
    }
  }

  /**
   * Tells when whole packs, or the end of the last one, are gone although the catalog knows of
   * them: receipts cover what was there.
   */
  async #lostEnd(
    dir: string,
    numbers: readonly number[],
    durable: Position | undefined,
  ): Promise<'packs' | 'end' | undefined> {
    if (durable === undefined) return undefined;
    const packs = join(dir, 'packs');
    const last = numbers.at(-1) ?? 0;
    if (comparePositions(durable, { pack: last + 1, offset: PACK_HEADER_BYTES }) > 0) {
      const [first, to] = [packFileName(last + 1), packFileName(durable.pack)];
      const what = last + 1 === durable.pack ? `${to} is missing` : `${first} to ${to} are missing`;
      const remedy =
        'put them back from a copy of the collector; nothing is changed here meanwhile';
      this.#tell({
        code: 'pack-missing',
        severity: 'error',
        what: `${what}, and the catalog knows of what was there`,
        where: packs,
        remedy,
      });
      return 'packs';
    }
    // between two packs: the last one was closed, which is proved with it
    if (durable.pack > last) return undefined;
    const path = join(packs, packFileName(durable.pack));
    const { size } = await this.#options.files.stat(path);
    if (durable.pack < last || size >= durable.offset) return undefined;
    this.#tell({
      code: 'pack-short',
      severity: 'error',
      what: `the pack was ${durable.offset} bytes long and has lost its end, with what receipts were given for`,
      where: `${path}, byte ${size}`,
      remedy:
        'put the file back from a copy of the collector; only if there is none, aliquot fsck --repair goes on without it, and the agents send again what they still have',
    });
    return 'end';
  }

  async #packs(
    dir: string,
    vault: VaultIdentity,
    numbers: readonly number[],
    durable: Position | undefined,
  ): Promise<{
    damaged: DamagedItem[];
    broken: boolean;
    end: Position | undefined;
    unindexed: ReadonlySet<number>;
  }> {
    const { files, onProgress } = this.#options;
    const packs = join(dir, 'packs');
    let total = 0;
    for (const number of numbers)
      total += (await files.stat(join(packs, packFileName(number)))).size;
    const damaged: DamagedItem[] = [];
    const unindexed = new Set<number>();
    let broken = false;
    let end: Position | undefined;
    let done = 0;
    for (const number of numbers) {
      const isLast = number === numbers.at(-1) && (durable === undefined || durable.pack <= number);
      const report = await checkPack(files, packs, number, {
        vaultId: vault.descriptor.vaultId,
        isLast,
        durableTo: durable?.pack === number ? durable.offset : 0,
        live: this.#live,
        hasher: this.#hasher,
        tell: this.#tell,
      });
      damaged.push(...report.damaged);
      broken ||= report.broken;
      if (!report.indexed) unindexed.add(number);
      end = { pack: number, offset: report.end };
      done += report.bytes;
      this.#summary.packs += 1;
      this.#summary.bytes += report.bytes;
      this.#summary.items += report.items;
      onProgress?.(done, total);
    }
    return { damaged, broken, end, unindexed };
  }

  /**
   * Replays the journal into a catalog of its own, proving each step; true when the real catalog is
   * not the same.
   */
  async #history(
    dir: string,
    vault: VaultIdentity,
    damaged: readonly DamagedItem[],
    {
      end,
      unindexed,
      endLost,
    }: {
      readonly end: Position | undefined;
      readonly unindexed: ReadonlySet<number>;
      readonly endLost: boolean;
    },
  ): Promise<boolean> {
    const scratch = await mkdtemp(join(tmpdir(), 'aliquot-fsck-'));
    let core: VaultCore | undefined;
    try {
      core = await VaultCore.inspect(
        dir,
        scratch,
        vault.descriptor.vaultId,
        { ...this.#options, unindexed },
        end,
      );
      for (const item of damaged) core.setDamaged(item.id);
      const audit = new LogAudit(vault, this.#tell);
      const differs = await this.#replay(dir, core, audit, {
        endLost,
        empty: end === undefined,
      });
      this.#summary.commits += audit.commits;
      await this.#tellDamage(dir, core, damaged);
      return differs;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_CORRUPT') throw error;
      this.#tell({
        code: 'receipt-invalid',
        severity: 'error',
        what: error.message,
        where: dir,
        remedy: 'put the packs back from a copy of the collector',
      });
      return false;
    } finally {
      await core?.close();
      await rm(scratch, { recursive: true, force: true });
    }
  }

  async #replay(
    dir: string,
    core: VaultCore,
    audit: LogAudit,
    { endLost, empty }: { readonly endLost: boolean; readonly empty: boolean },
  ): Promise<boolean> {
    const onUnfit = ({ where, why }: UnfitRecord): void => {
      const remedy =
        'nothing else is concerned, and it cannot be mended; back up again what this agent has, or revoke it';
      this.#tell({
        code: 'record-unfit',
        severity: 'error',
        what: `a record cannot be applied, so it is passed over: ${why}`,
        where,
        remedy,
      });
    };
    // A vault that was just added, and whose first start was cut short: nothing is in it yet.
    const real = empty ? undefined : await this.#openCatalog(join(dir, 'catalog'));
    if (real === 'broken' || real === undefined) {
      await replayInto(core, core.journal, START, { audit, onUnfit });
      return real === 'broken';
    }
    try {
      const until = real.checkpoint ?? START;
      const met = await replayInto(core, core.journal, START, { audit, until, onUnfit });
      await core.catalog.flush();
      const path = join(dir, 'catalog');
      const differences = met
        ? await compareCatalogs(core.catalog, real)
        : [`it stands at pack ${until.pack}, byte ${until.offset}, where no record ends`];
      for (const what of differences) {
        if (endLost) break; // told already, with what it means
        this.#tell({
          code: 'catalog-differs',
          severity: 'error',
          what,
          where: path,
          remedy: 'aliquot fsck --repair builds it anew from the packs',
        });
      }
      if (met) await replayInto(core, core.journal, until, { audit, onUnfit });
      return differences.length > 0;
    } finally {
      await real.close();
    }
  }

  /** The real catalog; `undefined` when it cannot be looked at now. */
  async #openCatalog(path: string): Promise<Catalog | 'broken' | undefined> {
    const skip = (what: string, remedy: string): undefined => {
      this.#tell({
        code: 'catalog-not-compared',
        severity: 'info',
        what: `the catalog was not compared: ${what}`,
        where: path,
        remedy,
      });
    };
    if (this.#live)
      return skip('a living process has it open', 'run fsck again while the collector is stopped');
    try {
      if (await exists(this.#options.files, path)) {
        const found = await Catalog.openExisting(this.#options.files, path);
        if (found.isCurrent) return found;
        await found.close();
        return skip('it is of another release', 'nothing to do: the next start builds it anew');
      }
      this.#tell({
        code: 'catalog-broken',
        severity: 'warning',
        what: 'there is no catalog',
        where: path,
        remedy: 'nothing to do: the next start builds it',
      });
    } catch (error) {
      const what = `the catalog cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      this.#tell({
        code: 'catalog-broken',
        severity: 'error',
        what,
        where: path,
        remedy: 'aliquot fsck --repair builds it anew from the packs',
      });
    }
    return 'broken';
  }

  async #tellDamage(dir: string, core: VaultCore, damaged: readonly DamagedItem[]): Promise<void> {
    const lost = new Set<string>();
    for (const item of damaged) {
      const row = await core.item(item.id);
      const mended = row !== undefined && comparePositions(row.position, item.position) !== 0;
      if (!mended) lost.add(Buffer.from(item.id).toString('latin1'));
      this.#tell(damageFinding(item, join(dir, 'packs', packFileName(item.position.pack)), mended));
    }
    if (lost.size > 0) await tellDamagedVersions(core, lost, this.#tell);
  }

  /**
   * What a start does by itself (cut the torn tail, catch up), and a new catalog where the old one
   * was wrong.
   */
  async #repair(
    dir: string,
    vault: VaultIdentity,
    {
      rebuild,
      endLost,
      unindexed,
    }: {
      readonly rebuild: boolean;
      readonly endLost: boolean;
      readonly unindexed: ReadonlySet<number>;
    },
  ): Promise<void> {
    const catalog = join(dir, 'catalog');
    if (endLost) await removeMark(this.#options.files, dir);
    if (rebuild) await removeCatalog(this.#options.files, catalog);
    const core = await VaultCore.open(dir, vault.descriptor.vaultId, {
      ...this.#options,
      unindexed,
    });
    await core.close();
    if (this.#torn !== undefined)
      this.#tellRepaired('the bytes that are no complete record were cut off', this.#torn);
    if (rebuild) this.#tellRepaired('the catalog was built anew from the packs', catalog);
  }

  #tellRepaired(what: string, where: string): void {
    this.#summary.repaired += 1;
    this.#tell({ code: 'repaired', severity: 'info', what, where, remedy: 'nothing to do' });
  }
}
