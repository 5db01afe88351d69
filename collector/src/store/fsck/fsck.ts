import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { FolderError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { isForeseen } from '@aliquot/shared/durable/unexpected';
import { checkDataFolder } from '@aliquot/shared/folder/data-folder';
import { lockDirectory } from '@aliquot/shared/folder/lock';
import { type Hasher, hereHasher } from '@aliquot/shared/hashing/hasher';
import { listGenerations, recordFileName } from '@aliquot/shared/records/folder';
import type { FileFormat } from '@aliquot/shared/records/format';
import { HashPool } from '../../hashing/hash-pool.ts';
import { readIdentity } from '../collector.ts';
import type { Finding } from '../fsck-finding.ts';
import { historyFormat } from '../history/history-format.ts';
import { packFormat } from '../packs/pack-format.ts';
import type { VaultIdentity } from '../vault/vault-parts.ts';
import { readVault, vaultFolders } from '../vault-folder.ts';
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
  const hasher = options.hasher === undefined ? new HashPool() : undefined;
  try {
    const prover = options.hasher ?? hasher ?? hereHasher;
    return await new Fsck(dir, options, lock === undefined, prover).run();
  } finally {
    await hasher?.close();
    await lock?.release();
  }
}

/** How often a vault is looked at whose packs are removed meanwhile. */
const MOST_ROUNDS = 3;

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

  async #attempt<T>(
    where: string,
    run: () => Promise<T>,
    tell = this.#tell,
  ): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      tell({
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
    const found = await this.#attempt(dir, () => readVault(this.#options.files, dir, identity));
    if (found === undefined) return;
    const { vault, faults } = found;
    for (const { where, why } of faults)
      this.#tell({
        ...{ code: 'folder', severity: 'warning', what: why, where },
        remedy: 'hand the vault over again: aliquot vault add',
      });
    if (this.#live) {
      await this.#besideCollector(dir, vault);
      return;
    }
    const check = this.#checkOf(dir, vault, this.#tell);
    await this.#attempt(dir, () => check.run()).finally(() => this.#count(check));
  }

  /**
   * A collector may remove packs, and files of the history, while they are read, after it has
   * copied what lives in them: then what was found says nothing, and the vault is looked at once
   * more.
   */
  async #besideCollector(dir: string, vault: VaultIdentity): Promise<void> {
    const names = async () => [
      ...(await namesIn(this.#options.files, join(dir, 'packs'), packFormat)),
      ...(await namesIn(this.#options.files, join(dir, 'history'), historyFormat)),
    ];
    for (let round = 1; ; round += 1) {
      const found: Finding[] = [];
      const before = await names();
      const tell = (finding: Finding) => void found.push(finding);
      const check = this.#checkOf(dir, vault, tell);
      let failure: unknown;
      try {
        await this.#attempt(dir, () => check.run(), tell);
      } catch (error) {
        failure = error;
      }
      const after = await names();
      const went = before.some((name) => !after.includes(name));
      if (went && round < MOST_ROUNDS) continue;
      if (went) {
        this.#tell({
          code: 'packs-rewritten',
          severity: 'info',
          what: 'packs, or files of the history, were removed while they were read, three times: what follows may be of that',
          where: dir,
          remedy: 'run fsck again when collection rests, or while the collector is stopped',
        });
      }
      for (const finding of found) this.#tell(finding);
      this.#count(check);
      if (failure !== undefined) throw failure;
      return;
    }
  }

  #checkOf(dir: string, vault: VaultIdentity, tell: (finding: Finding) => void): VaultCheck {
    return new VaultCheck(dir, vault, {
      ...this.#options,
      hasher: this.#hasher,
      live: this.#live,
      tell,
    });
  }

  #count({ counts }: VaultCheck): void {
    for (const key of ['packs', 'bytes', 'items', 'commits', 'repaired'] as const)
      this.#summary[key] += counts[key];
  }
}

/** Names of files in force; none where the folder cannot be listed: that is told when it is checked. */
async function namesIn(
  files: FilePort,
  dir: string,
  format: FileFormat<string>,
): Promise<readonly string[]> {
  try {
    const { sizes, generations } = await listGenerations(files, dir, format);
    return [...sizes.keys()].map((file) => recordFileName(format, file, generations.get(file)));
  } catch (error) {
    if (!(error instanceof AliquotError)) throw error;
    return [];
  }
}
