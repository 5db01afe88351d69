import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import { isForeseen } from '@aliquot/shared/cli/unexpected';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { FolderError } from '@aliquot/shared/durable/errors';
import { checkDataFolder } from '@aliquot/shared/folder/data-folder';
import { lockDirectory } from '@aliquot/shared/folder/lock';
import type { Hasher } from '@aliquot/shared/hashing/hasher';
import { HashPool } from '../../hashing/hash-pool.ts';
import { readIdentity, readVault, vaultFolders } from '../collector.ts';
import type { Finding } from '../fsck-finding.ts';
import type { CheckOptions, FsckSummary } from './check-options.ts';
import { VaultCheck } from './fsck-vault.ts';

/**
 * Proves a collector's folder: every byte of every pack and of the history, every commit, event,
 * receipt and the log, every reference, and that the catalog is what history and packs say. Writes
 * nothing, unless `repair` asks to cut a torn tail and rebuild a catalog; never removes what
 * anybody stored. May run while a collector uses the folder: it then reads up to the last complete
 * record and leaves the catalog out, and says so.
 *
 * Throws `FOLDER_…` when the folder is not ours, and `FOLDER_IN_USE` for a repair of a folder in
 * use.
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
    const vault = await this.#attempt(dir, () => readVault(this.#options.files, dir, identity));
    if (vault === undefined) return;
    const check = new VaultCheck(dir, vault, {
      ...this.#options,
      hasher: this.#hasher,
      live: this.#live,
      tell: this.#tell,
    });
    await this.#attempt(dir, () => check.run()).finally(() => {
      for (const key of ['packs', 'bytes', 'items', 'commits', 'repaired'] as const)
        this.#summary[key] += check.counts[key];
    });
  }
}
